//! Ids, topics, values and every message of Flotilla.
//!
//! This package is what edges, centers, the broker and dashboards agree on. It is pure: nothing here reads a
//! clock, a file or a socket, and signing takes the key that it is given. Text from outside is parsed once, here,
//! into types that cannot hold anything illegal.

pub mod app;
pub mod command;
pub mod countermeasure;
pub mod desired;
pub mod digest;
pub mod fault;
pub mod fleet;
pub mod id;
pub mod journal;
pub mod json;
mod measure;
pub mod point;
pub mod proof;
pub mod publisher;
pub mod release;
pub mod report;
pub mod sign;
pub mod time;
pub mod topic;
pub mod value;

pub use digest::{Artifact, Digest};
pub use id::*;
pub use json::Json;
pub use point::PointId;
pub use sign::Signed;
pub use topic::Topic;
pub use value::{Type, Value};
