//! What a store keeps when it cannot keep everything: bounds, and the order in which things go.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flotilla_schemas::EpochId;

use super::{Account, Place};
use crate::interval::Known;

/// The most journals of one edge of which something is known: each wiped, restored or cloned disk makes one.
pub const EDGE_EPOCHS_MAX: u64 = 8;

/// The most records of one edge.
pub const EDGE_RECORDS_MAX: u64 = 4 * 1024 * 1024;

/// The most that the records of one edge take, in bytes.
pub const EDGE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The most that the records of all edges take, in bytes.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// How much a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most journals of one edge of which something is known.
    pub edge_epochs: u64,
    /// The most records of one edge.
    pub edge_records: u64,
    /// The most that they take, in bytes.
    pub edge_bytes: u64,
    /// The most that the records of all edges take, in bytes.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            edge_epochs: EDGE_EPOCHS_MAX,
            edge_records: EDGE_RECORDS_MAX,
            edge_bytes: EDGE_BYTES_MAX,
            bytes: BYTES_MAX,
        }
    }
}

impl Bounds {
    /// Whether an edge has too much.
    pub(super) fn exceeded(&self, account: &Account) -> bool {
        account.records > self.edge_records || account.bytes > self.edge_bytes
    }
}

/// When something last came from each journal: its age.
pub(super) fn epochs(places: &[(Place, Known)]) -> BTreeMap<EpochId, u64> {
    let mut newest = BTreeMap::new();
    for (place, known) in places {
        let age: &mut u64 = newest.entry(place.epoch.clone()).or_default();
        *age = (*age).max(known.newest);
    }
    newest
}

/// The oldest journal first, and of each its readings.
pub(super) fn first_to_go(mut places: Vec<(Place, Known)>) -> Vec<(Place, Known)> {
    let newest = epochs(&places);
    places.sort_by_key(|(place, _)| {
        (newest.get(&place.epoch).copied(), place.epoch.clone(), Reverse(place.lane))
    });
    places
}
