//! What is kept alike on disk and in memory.

use flotilla_schemas::Json;

/// The most bytes that one app may keep, keys included.
pub const APP_KEYS_BYTES_MAX: u64 = flotilla_sandbox::KV_BYTES_MAX;

/// A record with its number.
pub type Numbered = (u64, Json);
