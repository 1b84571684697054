//! Edges.

use std::collections::BTreeMap;

use flotilla_schemas::desired::{Item, Slot};
use flotilla_schemas::report::{Inventory, Mode, Profile, ReleaseRow, Status};
use flotilla_schemas::sign::PublicKey;
use flotilla_schemas::{EdgeId, SessionId};
use serde::{Deserialize, Serialize};

use super::fault::FaultView;

/// An edge, in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSummary {
    /// The edge.
    pub edge: EdgeId,
    /// Whether it is believed to be reachable.
    pub online: bool,
    /// When it was last heard, in Unix milliseconds of the center's clock.
    pub heard_ts: i64,
    /// What it is at.
    pub mode: Mode,
    /// What it can do; none until it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The agent's run.
    pub session: SessionId,
    /// How many services it has.
    pub services: u32,
    /// How many apps are loaded.
    pub apps_loaded: u32,
    /// How many faults are open, as the center's records say.
    pub faults_open: u32,
    /// Records that no center has acknowledged yet.
    pub journal_unacked: u64,
    /// The agent's resident memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Bytes free where its data is; 0 when unknown.
    pub disk_free_bytes: u64,
    /// The agent's version.
    pub agent: String,
}

/// An edge with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeDetail {
    /// Its row.
    #[serde(flatten)]
    pub summary: EdgeSummary,
    /// The key that was pinned when it first showed one.
    pub key: PublicKey,
    /// Its last status.
    pub status: Status,
    /// What it said that it has.
    pub inventory: Option<Inventory>,
    /// Its own rows of its own distribution table, by kind and name.
    pub releases: Vec<ReleaseRow>,
    /// What it should be.
    pub desired: BTreeMap<Slot, Item>,
    /// Its open faults, the oldest first.
    pub faults: Vec<FaultView>,
}
