//! The decisions of a center, without I/O.

mod request;
pub mod view;

pub use request::{Published, ServiceStart, ServiceStop};
