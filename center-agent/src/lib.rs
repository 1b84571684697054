//! The center agent: one driver loop, store, artifact shelf, HTTP API.

pub mod api;
