//! The edge agent: one driver loop around the decisions of [`edge_core`].
//!
//! ```text
//!  link ──┐                        ┌──▶ store   (redb: journal, values, the apps' keys)
//!  apps ──┼──▶ inputs ──▶ driver ──┼──▶ shelf   (artifacts by digest)
//!  timer ─┘               └ core   ├──▶ apps    (a task for each app in memory) ──▶ equipment
//!                                  └──▶ link    (MQTT)
//! ```
//!
//! The driver commits what the core wants kept before it does what the core wants done. An agent is a value: many
//! run in one process, each with a data folder of its own.

pub mod answer;
pub mod apps;
pub mod cli;
mod driver;
pub mod equipment;
mod host;
mod identity;
#[cfg(feature = "disk")]
pub mod journal;
mod log;
pub mod shelf;
mod start;
mod store;
mod vitals;

pub use start::{BUILT, Config, Edge, StartError};
