//! The decisions of a center, without I/O.
//!
//! [`Core::handle`] takes an [`Input`] and the present, and gives a [`Step`]: what to write to disk, what to do then,
//! and when to come back. It reads no clock, file or socket and rolls no dice, so the same inputs give the same
//! steps, in production and in simulation. A crash is dropping the core and making another from its rows.
//!
//! | room | has | decides |
//! |---|---|---|
//! | `document` | what people decided | which version holds |
//! | `catalog` | what may be run | whether a publication is taken |
//! | `registry` | who an edge is, and what it says of itself | whether it is there |
//! | `service` | | whether a service is started or stopped |
//! | `desk` | the faults of all edges | what a fault is answered |
//! | `retained` | what the broker should keep, and what it does | what is published, and when to begin |
//! | `view` | what people are shown | |
//! | `core` | all of these, and wires them | |
//!
//! And by itself: `message`, whether one is believed; `desired`, what an edge should be; `delivery`, `command` and
//! `warning`: when to send chunks, to give up, to write to the log.

mod answer;
mod catalog;
mod command;
mod core;
mod delivery;
mod desired;
mod desk;
mod document;
mod interval;
mod message;
mod present;
mod registry;
mod request;
mod retained;
mod row;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scenario;
mod service;
mod step;
mod store;
pub mod view;
mod warning;

pub use answer::{Answer, Published, Refusal};
pub use catalog::Chunk;
pub use catalog::publication::PublishError;
pub use command::{CommandError, REPLY_MS_MAX};
pub use core::{Config, Core, EARLY_MAX, OFFLINE, ONLINE, PULSE_MS, STATUS_MS};
pub use desk::{Decided, FaultRow};
pub use document::{
    AppDocument, Body, Document, EdgeDocument, On, Run, ScriptDocument, ServiceDocument, Standing, Ver, Work,
};
pub use interval::{Held, INTERVALS_MAX, Intervals, Known};
pub use registry::EdgeRow;
pub use request::{Request, RequestId};
pub use retained::{BEHIND_MS, PAUSE_MS_MAX, PAUSE_MS_MIN, QUIET_MS, REPAIR_MS, SWEEP_MS_MAX};
pub use row::{Row, Write};
pub use service::{Reason, ServiceError, ServiceStart, ServiceStop};
pub use step::{Effect, Input, Note, Step};
pub use store::{
    Account, Arrived, BYTES_MAX, Bounds, EDGE_BYTES_MAX, EDGE_EPOCHS_MAX, EDGE_RECORDS_MAX, Journaled, Part,
    Place, Records, Store,
};

use flotilla_schemas::topic::filters_edges;

/// What a center subscribes to: what centers had the broker retain, and all that edges write. What was decided comes
/// first, so that a fleet's many messages do not keep a center from hearing it before it begins.
pub fn filters() -> Vec<String> {
    let centers = ["intent/#", "catalog/targets", "to/+/desired"];
    centers.map(str::to_owned).into_iter().chain(filters_edges()).collect()
}
