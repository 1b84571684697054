//! Time as the cores are given it. Nothing here reads a clock.

use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The present, as the driver of a core says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Now {
    /// Milliseconds of running time since the agent started: for deadlines; never compared across a restart.
    pub mono_ms: u64,
    /// Unix milliseconds: for records.
    pub wall_ms: i64,
    /// Whether the wall clock can be believed: it is not before this program was made.
    pub clock_ok: bool,
}

/// No wall clock before this is believed: 2026-01-01, in Unix milliseconds.
pub const WALL_MS_MIN: i64 = 1_767_225_600_000;

impl Now {
    /// The present, with the wall clock judged by [`WALL_MS_MIN`].
    pub fn new(mono_ms: u64, wall_ms: i64) -> Self {
        Self { mono_ms, wall_ms, clock_ok: wall_ms >= WALL_MS_MIN }
    }
}

/// RFC 3339 in UTC with milliseconds. A time before 1970 is written as 1970, one after 9999 as its last moment.
///
/// ```
/// assert_eq!(flotilla_schemas::time::rfc3339(1_767_225_600_250), "2026-01-01T00:00:00.250Z");
/// assert_eq!(flotilla_schemas::time::rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
/// ```
pub fn rfc3339(wall_ms: i64) -> String {
    const LAST_MS: u64 = 253_402_300_799_999;
    let ms = u64::try_from(wall_ms).unwrap_or(0).min(LAST_MS);
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}
