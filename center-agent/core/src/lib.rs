//! The decisions of a center, without I/O.
//!
//! [`Core::handle`] takes an [`Input`] and the present, and gives a [`Step`]: what to write to disk, what to do then,
//! and when to come back. It reads no clock, file or socket and rolls no dice, so the same inputs give the same
//! steps, in production and in simulation. A crash is dropping the core and making another from its rows.
//!
//! | file | decides |
//! |---|---|
//! | `message` | whether a message is believed |
//! | `registry` | who an edge is, and whether it is there |
//! | `document` | which version of a decision holds |
//! | `publication`, `service` | whether a publication or a start is taken |
//! | `desired` | what an edge should be |
//! | `fault` | what a fault is answered |
//! | `retained` | what the broker is told to keep |
//! | `sweep`, `delivery`, `behind`, `command`, `warning` | when: to begin, to send chunks, to send again, to give up, to write to the log |

mod behind;
mod catalog;
mod command;
mod core;
mod deciding;
mod delivery;
mod desired;
mod document;
mod fault;
mod hearing;
mod interval;
mod message;
mod publication;
mod registry;
mod request;
mod retained;
mod retaining;
mod row;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scenario;
mod service;
mod showing;
mod step;
mod sweep;
pub mod view;
mod warning;

pub use behind::BEHIND_MS;
pub use catalog::{AppDocument, ScriptDocument};
pub use command::{CommandError, REPLY_MS_MAX};
pub use core::{Config, Core, EARLY_MAX, PULSE_MS, STATUS_MS};
pub use document::{Body, Document, Ver};
pub use fault::{Decided, FaultRow};
pub use interval::{INTERVALS_MAX, Intervals};
pub use publication::PublishError;
pub use registry::EdgeRow;
pub use request::{Answer, Published, Refusal, Request, RequestId, ServiceStart, ServiceStop};
pub use retaining::{OFFLINE, ONLINE};
pub use row::{Row, Write};
pub use service::{On, Reason, Run, ServiceDocument, ServiceError, Work};
pub use step::{Chunk, Effect, Held, Input, Note, Step};
pub use sweep::{QUIET_MS, SWEEP_MS_MAX};

use flotilla_schemas::topic::{PREFIX, filters_edges};

/// What a center subscribes to: all that edges write, and what centers had the broker retain.
pub fn filters() -> Vec<String> {
    let centers = ["to/+/desired", "intent/+/+", "catalog/targets"];
    filters_edges().into_iter().chain(centers.iter().map(|rest| format!("{PREFIX}/{rest}"))).collect()
}
