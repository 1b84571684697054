//! The bodies of the HTTP API: what is sent to it and what it answers, all in JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /v1/blobs` | the bytes | [`BlobStored`] |
//! | `HEAD`, `GET /v1/blobs/DIGEST` | | the bytes |
//! | `POST /v1/apps?force=` | `Signed<Release>`, [`AppQuery`] | [`Published`] |
//! | `GET /v1/apps`, `/v1/apps/NAME` | | `[`[`AppSummary`]`]`, [`AppDetail`] |
//! | `POST /v1/scripts` | `Signed<ScriptRelease>` | [`Published`] |
//! | `GET /v1/scripts`, `/v1/scripts/NAME` | | `[`[`ScriptRow`]`]`, [`ScriptDetail`] |
//! | `PUT /v1/services/NAME` | [`ServiceStart`] | [`ServiceView`] |
//! | `DELETE /v1/services/NAME` | [`ServiceStop`] | [`ServiceView`] |
//! | `GET /v1/services` | | `[`[`ServiceView`]`]` |
//! | `PUT`, `GET /v1/countermeasures` | `Countermeasures` | `Countermeasures` |
//! | `GET /v1/edges`, `/v1/edges/ID` | | `[`[`EdgeSummary`]`]`, [`EdgeDetail`] |
//! | `POST /v1/edges/ID/commands` | `Order` | `Reply` |
//! | `POST /v1/edges/ID/replace`, `…/retire` | | [`EdgeDocument`] |
//! | `GET /v1/faults?edge=&open=` | [`FaultsQuery`] | `[`[`FaultView`]`]` |
//! | `GET /v1/records?edge=&lane=&after=&limit=&wait_ms=` | [`RecordsQuery`] | [`RecordsPage`] |
//! | `GET /v1/status` | | [`StatusView`] |
//!
//! Every request carries `Authorization: Bearer TOKEN`. What is refused is answered with [`ErrorBody`] and 400 (not
//! readable), 401 (no or a wrong token), 404 (no such thing), 409 (contradicts what is there), 413 (too large), 422
//! (readable, and breaks a rule), 503 (the center cannot decide or store yet), 504 (the edge did not reply).

pub use center_core::view::{
    AppDetail, AppSummary, Distribution, EdgeDetail, EdgeSummary, FaultView, Running, ScriptDetail,
    ScriptSummary, ServiceView, StatusView,
};
pub use center_core::{
    Arrived as StoredRecord, EdgeDocument, Published, ServiceStart, ServiceStop, Standing, Work,
};

use flotilla_schemas::{Digest, EdgeId};
use serde::{Deserialize, Serialize};

/// The most records of one page, and how many there are when nobody says.
pub const RECORDS_PAGE_MAX: u32 = 1000;

/// The longest that a request for records waits for the next one, in milliseconds.
pub const WAIT_MS_MAX: u64 = 30_000;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// In one line.
    pub error: String,
    /// Each thing that is wrong, in a line of its own; empty when the one line says it all.
    #[serde(default)]
    pub details: Vec<String>,
}

/// A script of the catalog, and how far it was proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptRow {
    /// What the catalog says of it.
    #[serde(flatten)]
    pub summary: ScriptSummary,
    /// How much of its range its [proof](flotilla_schemas::proof::Proof::covered_percent) covers; none where that is not
    /// on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered_percent: Option<f64>,
}

/// A blob that is on the center's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStored {
    /// The digest of its bytes: its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// How an app is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppQuery {
    /// Even if published scripts call what it cannot do.
    #[serde(default)]
    pub force: bool,
}

/// Which faults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultsQuery {
    /// Of this edge only.
    pub edge: Option<EdgeId>,
    /// Only open ones (`true`) or only closed ones (`false`).
    pub open: Option<bool>,
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsQuery {
    /// The edge.
    pub edge: EdgeId,
    /// Of this lane only.
    pub lane: Option<u8>,
    /// Only those that arrived after this one: a page's `next`. 0 or none begins with the first.
    pub after: Option<u64>,
    /// At most so many, 1 to [`RECORDS_PAGE_MAX`].
    pub limit: Option<u32>,
    /// Where there is none yet, wait so long for one, in milliseconds, at most [`WAIT_MS_MAX`].
    pub wait_ms: Option<u64>,
}

/// Records in the order of their arrival at the center.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordsPage {
    /// The oldest first.
    pub records: Vec<StoredRecord>,
    /// What to ask for next, as `after`.
    pub next: u64,
    /// Whether there are more already.
    pub more: bool,
}
