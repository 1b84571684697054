//! What a core asks for: what to keep, and what to do once that is kept.

use flotilla_schemas::app::{Grants, Limits};
use flotilla_schemas::journal::{Lane, Record};
use flotilla_schemas::{AppId, Artifact, Digest, EpochId, PointId, ServiceId, Topic, Value};

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

/// Something to be done. Each may be done twice; what answers comes back as an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Publish a message, signed if its topic is.
    Publish(Topic, Vec<u8>, Send),
    /// Publish the journal's records of a lane in `first ..= last`, in as few batches as their limits allow.
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
    /// Publish a batch with this one record, which the journal may have no more.
    SendRecord {
        /// The lane.
        lane: Lane,
        /// The record.
        record: Record,
        /// The least number that the edge still has.
        floor: u64,
    },
    /// Say what of an artifact is on disk: [`Looked`](crate::Input::Looked).
    Look(Artifact),
    /// Listen to the topics of these chunks.
    Listen(Vec<Digest>),
    /// Listen to no chunks any more but these.
    ListenOnly(Vec<Digest>),
    /// Write a chunk of an artifact into its place on disk.
    StoreChunk(Artifact, Digest, Vec<u8>),
    /// Read a script's files: [`ScriptRead`](crate::Input::ScriptRead).
    ReadScript {
        /// The service whose run asks.
        service: ServiceId,
        /// Which run.
        run: u64,
        /// Definition, event list and script.
        files: [Artifact; 3],
    },
    /// Bring an app into memory, in place of what is there: [`Loaded`](crate::Input::Loaded).
    Load {
        /// The effect.
        load: u64,
        /// The app.
        app: AppId,
        /// Its code.
        code: Code,
        /// What it may touch.
        grants: Grants,
        /// How far it may go.
        limits: Limits,
    },
    /// Call an operation: [`Called`](crate::Input::Called).
    Call {
        /// The effect.
        call: u64,
        /// The app; it is in memory.
        app: AppId,
        /// The operation.
        operation: String,
        /// Its arguments.
        args: Vec<Value>,
    },
    /// Set the point that an app asked for: [`Written`](crate::Input::Written).
    Write(u64),
    /// Read a point, to see whether the device answers well again: [`Asked`](crate::Input::Asked).
    Probe(PointId),
    /// Take an app out of memory.
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
