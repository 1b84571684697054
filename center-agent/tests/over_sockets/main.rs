//! A center over real sockets: its HTTP API on one side, an edge behind a broker on the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod doing;
mod lab;
mod refusing;
