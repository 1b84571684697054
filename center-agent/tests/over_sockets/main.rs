//! A center over real sockets: its HTTP API on one side, an edge behind a broker on the other.

mod doing;
mod lab;
mod refusing;
