//! What a core asks for: what to keep, and what to do once that is kept.

use flotilla_schemas::app::{Grants, Limits};
use flotilla_schemas::journal::{Lane, Record};
use flotilla_schemas::{AppId, Artifact, Digest, EpochId, PointId, Topic, Value};

/// What came of an input: first `persist` is committed, all of it or nothing, then the effects are carried out in
/// order, and the core wants to be called again at `wake_at` at the latest.
#[derive(Debug, Default)]
pub struct Step {
    /// What is to be on disk before any effect.
    pub persist: Vec<Persist>,
    /// What is to be done.
    pub effects: Vec<Effect>,
    /// When to come back, in milliseconds of running time; none when only an input can change anything.
    pub wake_at: Option<u64>,
}

/// A change of what is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Persist {
    /// Adds a record to the journal.
    Append(Lane, Box<Record>),
    /// Deletes the journal's records of a lane below this number.
    Trim(Lane, u64),
    /// Gives the journal a new epoch; its records stay, under their numbers.
    Epoch(EpochId),
    /// Keeps a value under a key, in place of the former.
    Put(String, Vec<u8>),
    /// Forgets a key.
    Delete(String),
    /// Forgets all that an app keeps.
    DeleteKeys(AppId),
}

/// How a message is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// Retained: a later one for the same topic takes its place.
    State,
    /// Until the broker has it.
    Message,
    /// Once, if there is a connection.
    Reading,
}

/// The number of an effect within this run of the agent; another run knows nothing of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectId(pub u64);

/// Something to be done, once what is to be kept is on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What its answer names.
    pub id: EffectId,
    /// What is to be done.
    pub act: Act,
}

/// What is to be done. What [is answered](Act::is_answered) comes back exactly once as
/// [`Done`](crate::Input::Done), also when who was to do it died. Acts on one object, an artifact, an app or a
/// device, are done in the order in which they were asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Publish a message, signed if its topic is.
    Publish(Topic, Vec<u8>, Send),
    /// Publish the journal's records of a lane in `first ..= last`, those that are on disk, in as few batches as their
    /// limits allow. Answered when the broker has acknowledged them all, or when they were given up.
    SendRecords {
        /// The lane.
        lane: Lane,
        /// The first record; one past the last for a batch without records.
        first: u64,
        /// The last record.
        last: u64,
        /// The least number that the edge still has.
        floor: u64,
    },
    /// Say which chunks of an artifact are not on disk: [`Outcome::Missing`](crate::Outcome::Missing).
    Look(Artifact),
    /// Listen to the topics of these chunks.
    Listen(Vec<Digest>),
    /// Listen to no chunks any more but these.
    ListenOnly(Vec<Digest>),
    /// Write a chunk of an artifact into its place on disk.
    StoreChunk(Artifact, Digest, Vec<u8>),
    /// Read a script's files, definition, event list and script: [`Outcome::Script`](crate::Outcome::Script).
    ReadScript(Box<[Artifact; 3]>),
    /// Bring an app into memory, in place of what is there.
    Load {
        /// The app.
        app: AppId,
        /// Its code.
        code: Code,
        /// What it may touch.
        grants: Grants,
        /// How far it may go.
        limits: Limits,
    },
    /// Call an operation: [`Outcome::Value`](crate::Outcome::Value).
    Call {
        /// The app; it is in memory.
        app: AppId,
        /// The operation.
        operation: String,
        /// Its arguments.
        args: Vec<Value>,
    },
    /// Set the point that an app asked for with this number.
    Write(u64),
    /// Read a point, to see whether the device answers well again: [`Outcome::Health`](crate::Outcome::Health).
    Probe(PointId),
    /// Take an app out of memory. A load or call of it that is under way ends with it, and is answered.
    Unload(AppId),
    /// Delete an artifact from disk.
    Delete(Digest),
    /// Delete all artifacts from disk but these.
    Sweep(Vec<Digest>),
    /// Say something in the log.
    Warn(String),
    /// End the agent.
    Exit,
}

impl Act {
    /// Whether it comes back as an input: all that is done to disk, apps and devices, and what is sent for the journal.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Act::Publish(..) | Act::Listen(_) | Act::ListenOnly(_) | Act::Warn(_) | Act::Exit)
    }

    /// Whether it may be done though what was to be kept before it is not on disk: what keeps apps running, what only
    /// reads, and what tells of it. Never what changes or deletes files; that is answered with a failure instead.
    pub fn goes_without_disk(&self) -> bool {
        !matches!(self, Act::StoreChunk(..) | Act::Delete(_) | Act::Sweep(_))
    }
}

/// What is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// Machine code for this runtime.
    Machine(Artifact),
    /// A component, to be compiled here.
    Wasm(Artifact),
}

impl Code {
    /// The artifact, whatever it holds.
    pub fn artifact(&self) -> &Artifact {
        match self {
            Code::Machine(artifact) | Code::Wasm(artifact) => artifact,
        }
    }
}
