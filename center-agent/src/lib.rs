//! The center agent: one driver loop, store, artifact shelf, HTTP API.

pub mod api;
pub mod prove;
pub mod shelf;
pub mod store;
