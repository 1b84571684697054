//! The decisions of a center, without I/O.
