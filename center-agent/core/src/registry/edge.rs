//! One edge, as it is known and as it is kept.

use std::collections::BTreeMap;

use flotilla_schemas::release::ReleaseName;
use flotilla_schemas::report::{Inventory, ReleaseRow, Status};
use flotilla_schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

/// The most bytes that are kept of what one edge says that it has: its inventory and its rows, counted as their texts
/// and [`ENTRY_BYTES`] for each entry.
pub const EDGE_BYTES_MAX: usize = 128 * 1024;

/// What an entry takes besides its texts.
pub const ENTRY_BYTES: usize = 256;

/// An edge on disk: its pinned key, and the status with which it last changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeRow {
    /// The first key that it showed.
    pub key: PublicKey,
    /// The last status of which the session, mode or journal differed from the one before.
    pub status: Status,
    /// When that came, in Unix milliseconds of the center's clock.
    pub heard_ts: i64,
}

/// An edge as it is known.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The first key that it showed.
    pub key: PublicKey,
    /// Its last status.
    pub status: Status,
    /// When it was last heard, in Unix milliseconds of the center's clock.
    pub heard_ts: i64,
    /// Whether it is believed to be reachable.
    pub online: bool,
    /// What it said that it has.
    pub inventory: Option<Inventory>,
    /// Its own rows of its own distribution table.
    pub releases: BTreeMap<ReleaseName, ReleaseRow>,
    /// When it was last heard live, in milliseconds of the center's running time.
    pub(super) heard_ms: u64,
    /// When it was last asked what it holds, likewise.
    pub(super) asked_ms: Option<u64>,
}

impl Edge {
    /// What it has said that it has, in bytes; see [`EDGE_BYTES_MAX`].
    pub(super) fn bytes(&self) -> usize {
        let rows: usize = self.releases.values().map(row_bytes).sum();
        rows + self.inventory.as_ref().map_or(0, inventory_bytes)
    }
}

/// What a row takes.
pub(super) fn row_bytes(row: &ReleaseRow) -> usize {
    let texts = [&row.installed, &row.latest, &row.waits, &row.replaced_by];
    ENTRY_BYTES + texts.map(String::len).iter().sum::<usize>()
}

/// What an inventory takes.
pub(super) fn inventory_bytes(inventory: &Inventory) -> usize {
    let apps = inventory.apps.values().map(|app| app.version.len());
    let services = inventory.services.values().map(String::len);
    let texts = [&inventory.arch, &inventory.runtime, &inventory.agent].map(String::len);
    apps.chain(services).chain(texts).map(|text| ENTRY_BYTES + text).sum()
}
