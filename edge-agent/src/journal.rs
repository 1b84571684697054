//! Reading a dead edge's journal from its folder, without any agent.

use std::path::Path;

use flotilla_schemas::EpochId;
use flotilla_schemas::journal::{Lane, Record};

use crate::store::Disk;
pub use crate::store::StoreError;

/// A journal as it lies on disk.
#[derive(Debug)]
pub struct Journal {
    /// Its epoch.
    pub epoch: EpochId,
    /// For each lane, the greatest number that was ever written.
    pub heads: [u64; 3],
    /// The records that are there, by lane and number.
    pub records: Vec<(Lane, Record)>,
    /// How many records a newer agent wrote, and this program cannot read.
    pub unread: u64,
}

/// Reads the journal in an edge's data folder.
///
/// # Errors
/// There is none, an agent has it open, or the disk does not give it.
pub fn read(folder: &Path) -> Result<Journal, StoreError> {
    let store = Disk::open_existing(folder)?;
    let found = store.found()?;
    let (mut records, mut unread) = (Vec::new(), 0);
    for (lane, (head, floor, _)) in Lane::ALL.into_iter().zip(found.lanes) {
        let mut next = floor;
        while next <= head {
            let batch = store.records(lane, next, head)?;
            let Some((last, _)) = batch.last() else { break };
            next = last + 1;
            for (_, record) in &batch {
                match record.read() {
                    Ok(record) => records.push((lane, record)),
                    Err(_) => unread += 1,
                }
            }
        }
    }
    Ok(Journal { epoch: found.epoch, heads: found.lanes.map(|(head, _, _)| head), records, unread })
}
