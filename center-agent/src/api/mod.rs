//! The HTTP API: what an operator's command line speaks to.

pub mod types;
