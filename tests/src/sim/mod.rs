//! The simulated fleet.

mod app;
mod broker;
mod center;
mod disk;
mod edge;
pub mod oracle;
mod samples;
mod world;

pub use app::{Behaviour, Model};
pub use broker::Weather;
pub use samples::{Samples, place};
pub use world::World;
