//! What goes into a core and what comes out of it.
//!
//! The driver commits `persist` first and carries the effects out then, in order. Every effect may be carried out
//! twice. What was to be persisted and cannot be goes with the next commit; only what a person decided is taken back.

use std::collections::BTreeSet;

use flotilla_schemas::sign::Signature;
use flotilla_schemas::topic::ToTopic;
use flotilla_schemas::{EdgeId, Topic};
use serde::Serialize;

use crate::answer::{Answer, Refusal};
use crate::catalog::Chunk;
use crate::interval::Held;
use crate::request::{Request, RequestId};
use crate::row::Write;
use crate::store::Journaled;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The broker took the connection; what it retains for [`filters`](crate::filters) follows.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// A message, not verified yet.
    Message {
        /// Where.
        topic: Topic,
        /// What.
        payload: Vec<u8>,
        /// Who says to have signed it.
        sig: Option<Signature>,
        /// Whether the broker had kept it.
        retained: bool,
    },
    /// The store has committed a batch, or found that it had.
    Appended {
        /// The batch, as it went out in [`Effect::Append`].
        journaled: Box<Journaled>,
        /// What the store holds now.
        held: Held,
    },
    /// A person asks.
    Request {
        /// The request's name.
        id: RequestId,
        /// What is asked for.
        request: Request,
    },
    /// Time has passed.
    Tick,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Publish; signed if the topic is.
    Publish {
        /// Where.
        topic: Topic,
        /// What.
        payload: Vec<u8>,
        /// Whether the broker is to keep it. QoS is 1 either way.
        retain: bool,
    },
    /// Publish these chunks as they are, on the `blob` topic of each.
    SendChunks(Vec<Chunk>),
    /// Put the batch's records on disk, then come back with [`Input::Appended`].
    Append(Box<Journaled>),
    /// Answer a request.
    Reply {
        /// The request.
        id: RequestId,
        /// What came of it.
        answer: Result<Answer, Refusal>,
    },
    /// Write to the log.
    Note(Note),
}

/// A line of the log: a fixed message with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether a person should look into it; otherwise it is a change of state.
    pub warn: bool,
    /// The message, always the same for the same thing.
    pub message: &'static str,
    /// The edge concerned.
    pub edge: Option<EdgeId>,
    /// What it is about: a topic, a fault, a document.
    pub subject: String,
    /// Why, or empty.
    pub error: String,
    /// How many like it were left out since the last one.
    pub left_out: u64,
}

/// What came of one input.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// To be carried out first: it needs nothing on disk.
    pub at_once: Vec<Effect>,
    /// To be committed together, before any of the effects.
    pub persist: Vec<Write>,
    /// Whether that was decided for a person. If it cannot be stored, it does not hold: none of the effects is carried
    /// out, and the core is [told](crate::Core::unstored) before it decides anything else.
    pub decided: bool,
    /// To be carried out, in this order.
    pub effects: Vec<Effect>,
    /// The edges of which something else may be shown now.
    pub touched: BTreeSet<EdgeId>,
    /// When [`Input::Tick`] is due at the latest, in milliseconds of running time.
    pub wake_at: Option<u64>,
}

impl Step {
    pub(crate) fn note(&mut self, message: &'static str, edge: Option<&EdgeId>, subject: impl ToString) {
        let (edge, subject, error) = (edge.cloned(), subject.to_string(), String::new());
        self.effects.push(Effect::Note(Note { warn: false, message, edge, subject, error, left_out: 0 }));
    }

    /// A message to an edge. Serialising one of our own types does not fail; if it did, the edge would ask again.
    pub(crate) fn send<T: Serialize>(&mut self, edge: &EdgeId, rest: ToTopic, message: &T) {
        let Ok(payload) = serde_json::to_vec(message) else { return };
        let topic = Topic::To(edge.clone(), rest);
        self.effects.push(Effect::Publish { topic, payload, retain: false });
    }
}
