//! What a center shows of what it knows: the rows and details that its HTTP API answers with.
//!
//! Views are for people. No agent reads them back, and nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::app::{Residence, Version};
use flotilla_schemas::countermeasure::{By, Measure};
use flotilla_schemas::desired::{Item, Slot, Trigger};
use flotilla_schemas::fault::{How, Kind};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::report::{AppRow, AppState, CenterStatus, Inventory, Mode, Profile, Status};
use flotilla_schemas::sign::PublicKey;
use flotilla_schemas::{
    AppId, CenterId, Digest, EdgeId, EventsId, FaultId, KeyId, MakerId, ScriptId, ServiceId, SessionId,
};
use serde::{Deserialize, Serialize};

use crate::service::Work;

/// An app of the catalog, in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSummary {
    /// The app.
    pub app: AppId,
    /// Who makes it.
    pub maker: MakerId,
    /// The newest version.
    pub version: Version,
    /// Whether it stays after a run.
    pub residence: Residence,
    /// The apps that may stand in for it, in order.
    pub alternates: Vec<AppId>,
    /// The digest of the newest release's document.
    pub release: Digest,
    /// The size of the component in bytes.
    pub wasm_bytes: u64,
    /// The runtimes that it has machine code for.
    pub runtimes: Vec<String>,
    /// The key that signed it.
    pub publisher: KeyId,
    /// How many edges have this version installed.
    pub edges_installed: u32,
}

/// An app with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppDetail {
    /// Its row.
    #[serde(flatten)]
    pub summary: AppSummary,
    /// The newest release.
    pub document: Release,
    /// Where it is, by edge.
    pub edges: BTreeMap<EdgeId, Distribution>,
}

/// A row of the center's distribution table: one app on one edge. Retained on `distribution/<app>/<e>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The app.
    pub app: AppId,
    /// The edge.
    pub edge: EdgeId,
    /// The newest version that is published; empty when none is.
    pub latest: String,
    /// Its component's size in bytes; 0 when none is published.
    pub size_bytes: u64,
    /// The version that the edge has; empty when it has none.
    pub installed: String,
    /// What the app is at there.
    pub state: AppState,
    /// Why it waits; empty when it does not.
    pub waits: String,
    /// The app that runs in its place there; empty when none does.
    pub replaced_by: String,
    /// Since when it is in this state, in Unix milliseconds of the edge's clock.
    pub since: i64,
}

/// A script of the catalog, in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptSummary {
    /// The script.
    pub script: ScriptId,
    /// The newest version.
    pub version: Version,
    /// The digest of the newest release's document.
    pub release: Digest,
    /// The apps that each of its event lists names.
    pub events: BTreeMap<EventsId, BTreeSet<AppId>>,
    /// The key that signed it.
    pub publisher: KeyId,
}

/// A script with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptDetail {
    /// Its row.
    #[serde(flatten)]
    pub summary: ScriptSummary,
    /// The newest release.
    pub document: ScriptRelease,
    /// The services that run it.
    pub services: Vec<ServiceId>,
}

/// A service and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// The service.
    pub service: ServiceId,
    /// What it runs: `script` or `app`.
    #[serde(flatten)]
    pub work: Work,
    /// The edges on which it was started and not stopped since.
    pub on: BTreeMap<EdgeId, Running>,
}

/// How a service runs on one edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// With which event list; none where an app runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsId>,
    /// When.
    pub trigger: Trigger,
    /// The number of the document that started it; grows with each start.
    pub started: u64,
}

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
    /// Its own rows of its own distribution table.
    pub apps: BTreeMap<AppId, AppRow>,
    /// What it should be.
    pub desired: BTreeMap<Slot, Item>,
    /// Its open faults, the oldest first.
    pub faults: Vec<FaultView>,
}

/// A fault, as the records of its edge tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultView {
    /// The edge.
    pub edge: EdgeId,
    /// The fault.
    pub fault: FaultId,
    /// What was seen.
    pub kind: Kind,
    /// The app, or `system`.
    pub app: AppId,
    /// The service that was running.
    pub service: Option<ServiceId>,
    /// Where in the script.
    pub step: Option<String>,
    /// What was said.
    pub message: String,
    /// Where in the app, innermost first.
    pub backtrace: Vec<String>,
    /// Whether it is open.
    pub open: bool,
    /// When it was first seen, in Unix milliseconds of the edge's clock.
    pub opened_ts: i64,
    /// When something was last recorded of it, likewise.
    pub ts: i64,
    /// Which attempt is due, under way, or was the last.
    pub attempt: u32,
    /// How often it was seen.
    pub count: u32,
    /// Who decides about it.
    pub by: By,
    /// Why, as decided; none while nobody said.
    pub cause: Option<String>,
    /// The last measure that was decided.
    pub measure: Option<Measure>,
    /// The center that decided; none when the edge did alone.
    pub center: Option<CenterId>,
    /// How it ended.
    pub how: Option<How>,
    /// How long it was open, in milliseconds; none while it is.
    pub open_ms: Option<u64>,
}

/// What the center is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// What it also publishes on its status topic.
    #[serde(flatten)]
    pub status: CenterStatus,
    /// Whether it is connected to its broker.
    pub connected: bool,
    /// Whether it has heard what the broker retains; until then it takes no decision.
    pub swept: bool,
}
