//! The decisions of an edge, without I/O.
