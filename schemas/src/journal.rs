//! The journal: numbered records of one edge, the batches they travel in, and what a center says it has.
//!
//! A position is (epoch, lane, seq). The epoch is random and made with the journal's file; `seq` is dense within a
//! lane, begins at 1 and survives restarts. A center stores what is absent, syncs, and then acknowledges the
//! contiguous interval that holds the batch's end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::countermeasure::Measure;
use crate::fault::{Closed, Fault};
use crate::id::{AppId, CenterId, CommandId, EdgeId, EpochId, FaultId, ServiceId, SessionId};
use crate::json::Json;
use crate::point::PointId;
use crate::value::Value;

/// The most records of a batch.
pub const BATCH_RECORDS_MAX: usize = 256;

/// The most bytes of a batch's JSON; one record that is larger travels alone.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of one record's JSON; the edge shortens what is longer.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// A journal lane: what may be dropped last comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(extend("enum" = [0, 1, 2]))]
pub enum Lane {
    /// Faults, restorations, outcomes, procedures.
    Fault,
    /// Events.
    Event,
    /// Readings.
    Reading,
}

impl Lane {
    /// All lanes, the most important first.
    pub const ALL: [Lane; 3] = [Lane::Fault, Lane::Event, Lane::Reading];

    /// Its number: 0, 1, 2.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<Lane> for u8 {
    fn from(lane: Lane) -> u8 {
        lane.number()
    }
}

impl TryFrom<u8> for Lane {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        Lane::ALL.get(usize::from(number)).copied().ok_or_else(|| format!("{number} is no lane: 0, 1 or 2"))
    }
}

/// A record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Its number in its lane, from 1.
    pub seq: u64,
    /// When, in Unix milliseconds of the edge's clock.
    pub ts: i64,
    /// Whether that clock could be believed.
    pub clock_ok: bool,
    /// The agent's run that wrote it.
    pub session: SessionId,
    /// What happened.
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Body {
    /// An event of an app or of the system.
    Event {
        /// The app, or `system`.
        source: AppId,
        /// Its name, as its source gave it.
        name: String,
        /// What is known with it.
        fields: BTreeMap<String, Value>,
        /// The service that was running, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceId>,
    },
    /// An app sets a point of a device; the device sees it after this record is on disk.
    Write {
        /// The app.
        app: AppId,
        /// The point.
        point: PointId,
        /// What it is set to.
        value: Value,
        /// The service that was running, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceId>,
    },
    /// What came of setting a point.
    Written {
        /// The number of the record in this lane that announced it; 0 if the disk took none.
        write: u64,
        /// The point.
        point: PointId,
        /// Why it was not confirmed; none if the device confirmed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How long the device took, in milliseconds.
        elapsed_ms: u64,
    },
    /// A fault was seen, or seen again.
    Fault(Fault),
    /// A countermeasure was decided on; it is carried out after this record is on disk.
    Restoration {
        /// The fault.
        fault: FaultId,
        /// Which attempt.
        attempt: u32,
        /// What is done.
        measure: Measure,
        /// Why it happened, as decided.
        cause: String,
        /// Who decided: the center, or none when the edge did alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        center: Option<CenterId>,
    },
    /// A fault is over.
    Closed(Closed),
    /// A command was carried out, or refused.
    Command {
        /// The command.
        id: CommandId,
        /// Whether it was done.
        done: bool,
        /// What came of it.
        message: String,
    },
    /// Records were dropped because the journal was full.
    Dropped {
        /// The lane they were in.
        lane: Lane,
        /// The first that is still there.
        floor: u64,
    },
    /// Something that a newer program knows.
    #[serde(other)]
    Unknown,
}

/// On `edge/<e>/journal/<lane>`, signed by the edge. Without records it asks for an ack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Batch {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The journal's epoch.
    pub epoch: EpochId,
    /// The lane.
    pub lane: Lane,
    /// The number of the first record; without records, the next number.
    pub first: u64,
    /// The least number that the edge still has, or would have: what is below is gone.
    pub floor: u64,
    /// Records, their numbers dense from `first`, each a [`Record`] as it was written: what a center keeps and compares.
    pub records: Vec<Json>,
}

impl Batch {
    /// The number of the last record; without records, the one before `first`. None if the numbers run over.
    pub fn last(&self) -> Option<u64> {
        self.first.checked_add(self.records.len() as u64)?.checked_sub(1)
    }

    /// The records that this program can read; the others are kept all the same.
    pub fn readable(&self) -> impl Iterator<Item = Record> {
        self.records.iter().filter_map(|record| record.read().ok())
    }
}

/// On `to/<e>/ack`, signed by the center: what it has on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The center, as a store.
    pub center: CenterId,
    /// The journal's epoch.
    pub epoch: EpochId,
    /// The lane.
    pub lane: Lane,
    /// The least number of the contiguous interval.
    pub from: u64,
    /// Its greatest number; `from - 1` when it has none.
    pub upto: u64,
    /// Where the center wants the edge to send from, because it lacks what is below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub want: Option<u64>,
    /// Whether the center holds other bytes at a position of the batch: a disk was restored or cloned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fork: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}
