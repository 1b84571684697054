//! The center agent: one driver loop around the decisions of [`center_core`], with a store, an artifact shelf, the
//! link to the broker and an HTTP API for its operator.
//!
//! Edges are spoken to over MQTT alone, operators over HTTP alone. Nothing here decides: it verifies files, stores,
//! sends, and asks the core. A [`Center`] is a value; many may run in one process.

pub mod api;
pub mod cli;
mod desk;
mod driver;
mod identity;
pub mod prove;
pub mod shelf;
mod start;
pub mod store;
mod sweep;
mod views;

pub use desk::{Desk, Gone};
pub use identity::{IdentityError, TOKEN_CHARS_MAX, TOKEN_CHARS_MIN, TOKEN_FILE};
pub use start::{Center, Config, StartError};
