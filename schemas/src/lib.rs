//! Ids, topics, values and every message of Flotilla.
//!
//! This package is what edges, centers, the broker and dashboards agree on. It is pure: nothing here reads a
//! clock, a file or a socket, and signing takes the key that it is given. Text from outside is parsed once, here,
//! into types that cannot hold anything illegal.

pub mod app;
pub mod fault;
pub mod id;
pub mod topic;
pub mod value;

pub use id::*;
pub use topic::Topic;
pub use value::{Type, Value};
