//! One edge, as it is known and as it is kept.

use std::collections::BTreeMap;

use flotilla_schemas::AppId;
use flotilla_schemas::report::{AppRow, Inventory, Status};
use flotilla_schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

/// The most rows of apps that are kept of one edge.
pub const APP_ROWS_MAX: usize = 1024;

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
    /// Its own rows of its own distribution table; at most [`APP_ROWS_MAX`].
    pub apps: BTreeMap<AppId, AppRow>,
    /// When it was last heard live, in milliseconds of the center's running time.
    pub(super) heard_ms: u64,
}
