//! What a store holds of a batch: the parts that it brought, and what they add up to.

use flotilla_schemas::journal::{Batch, Lane};
use flotilla_schemas::sign::Signature;
use flotilla_schemas::{EdgeId, EpochId, Json};
use serde::{Deserialize, Serialize};

/// A batch as its edge signed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Journaled {
    /// What it says.
    pub batch: Batch,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The edge's signature over them, in the place of the batch's topic.
    pub sig: Signature,
}

impl Journaled {
    /// Where its records belong.
    pub fn place(&self) -> Place {
        let Batch { edge, epoch, lane, .. } = &self.batch;
        Place { edge: edge.clone(), epoch: epoch.clone(), lane: *lane }
    }

    /// The part with the records from `first` to `last`, which arrive after `arrival`.
    pub(super) fn part(&self, first: u64, last: u64, arrival: u64) -> Part {
        let (payload, sig) = (self.payload.clone(), self.sig.clone());
        Part { first, last, arrival: arrival + (last - first + 1), payload, sig }
    }
}

/// One lane of one journal of one edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The edge.
    pub edge: EdgeId,
    /// Its journal.
    pub epoch: EpochId,
    /// The lane.
    pub lane: Lane,
}

/// Records that one batch brought, their numbers dense.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The number of the first,
    pub first: u64,
    /// and of the last.
    pub last: u64,
    /// The number of arrival of the last, among all records of the edge; those before it have those before.
    pub arrival: u64,
    /// The batch's bytes, which may hold more records than these.
    pub payload: Vec<u8>,
    /// The edge's signature over them.
    pub sig: Signature,
}

impl Part {
    /// The records, each with its number.
    ///
    /// # Errors
    /// The payload is not what an edge sent.
    pub fn records(&self) -> Result<impl Iterator<Item = (u64, Json)> + use<>, serde_json::Error> {
        let batch: Batch = serde_json::from_slice(&self.payload)?;
        let (first, last) = (self.first, self.last);
        let numbered = (batch.first..).zip(batch.records);
        Ok(numbered.filter(move |(seq, _)| (first..=last).contains(seq)))
    }

    /// The records with all that a store knows of them.
    ///
    /// # Errors
    /// As for [`Part::records`].
    pub fn arrived(
        &self,
        epoch: &EpochId,
        lane: Lane,
    ) -> Result<impl Iterator<Item = Arrived>, serde_json::Error> {
        let (last, newest) = (self.last, self.arrival);
        let numbered = self.records()?;
        Ok(numbered.map(move |(seq, record)| {
            let arrival = newest.saturating_sub(last - seq);
            Arrived { arrival, epoch: epoch.clone(), lane, record }
        }))
    }

    /// How many records it holds.
    pub fn count(&self) -> u64 {
        self.last - self.first + 1
    }

    /// What it takes on disk, in bytes.
    pub fn bytes(&self) -> u64 {
        self.payload.len() as u64
    }
}

/// What a store holds of one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// The number of arrival of the newest record.
    pub arrival: u64,
    /// How many records there are.
    pub records: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// Of how many journals something is known.
    pub epochs: u64,
}

impl Account {
    pub(super) fn add(&mut self, part: &Part) {
        self.arrival = part.arrival;
        (self.records, self.bytes) = (self.records + part.count(), self.bytes + part.bytes());
    }

    pub(super) fn remove(&mut self, part: &Part) {
        self.records = self.records.saturating_sub(part.count());
        self.bytes = self.bytes.saturating_sub(part.bytes());
    }
}

/// A record as a store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrived {
    /// Its number in the order of arrival, among all records of its edge; grows, and may skip.
    pub arrival: u64,
    /// The journal that it is from.
    pub epoch: EpochId,
    /// Its lane.
    pub lane: Lane,
    /// The record itself, with its number in the lane, as its edge wrote it.
    pub record: Json,
}
