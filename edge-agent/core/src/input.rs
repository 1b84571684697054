//! What a core is told.

use std::collections::BTreeMap;

pub use flotilla_schemas::fault::Failure;
use flotilla_schemas::sign::Signature;
use flotilla_schemas::{AppId, Digest, PointId, Topic, Value};

use crate::effect::EffectId;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Nothing but time passed, or the agent has just started.
    Tick,
    /// The broker has taken the connection.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// A message; its signature is not verified yet.
    Message {
        /// Where.
        topic: Topic,
        /// What.
        payload: Vec<u8>,
        /// Who says to have signed it.
        sig: Option<Signature>,
    },
    /// An effect was carried out, or not. What names an effect that is not under way changes nothing.
    Done {
        /// The effect.
        id: EffectId,
        /// What came of it.
        outcome: Outcome,
    },
    /// An app let an event be known.
    AppEvent {
        /// The app.
        app: AppId,
        /// The event's name.
        name: String,
        /// What is known with it.
        fields: BTreeMap<String, Value>,
    },
    /// A device did not answer an app well.
    Ill {
        /// The app.
        app: AppId,
        /// What it asked for.
        point: PointId,
        /// How the device answered: the kind is one of `equipment.*`.
        failure: Failure,
    },
    /// An app wants to set a point.
    Write {
        /// A number for it, which [`Act::Write`](crate::Act::Write) names.
        write: u64,
        /// The app.
        app: AppId,
        /// The point.
        point: PointId,
        /// What it is to be set to; the point takes it.
        value: Value,
    },
    /// What the machine has left.
    Vitals {
        /// The agent's resident memory in bytes.
        memory_bytes: u64,
        /// Bytes free where the data is.
        disk_free_bytes: u64,
    },
    /// Whether the disk takes what is to be kept.
    Storage {
        /// Why not; none when it does again.
        error: Option<String>,
    },
    /// The agent is told to end.
    Stop,
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done, and there is nothing to say.
    Done,
    /// The chunks of the artifact that are missing; none when it is complete and verified.
    Missing(Vec<Digest>),
    /// The script's files, verified.
    Script(Box<ScriptFiles>),
    /// What the operation gave.
    Value(Value),
    /// How the device is.
    Health(Health),
    /// It could not be done, or who was to do it died.
    Failed(Failure),
}

impl Outcome {
    /// What went wrong, if anything did.
    pub(crate) fn failure(self) -> Option<Failure> {
        match self {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// How a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it should.
    Well,
    /// Not as it should: the kind is one of `equipment.*`.
    Ill(Failure),
    /// There is no such point any more.
    Gone,
}

/// A script with what it is checked and driven by, as bytes that were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFiles {
    /// The definition, a DTD.
    pub definition: Vec<u8>,
    /// The event list, JSON.
    pub events: Vec<u8>,
    /// The script, XML.
    pub text: Vec<u8>,
}
