//! Apps and scripts, and where they are.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::app::{Residence, Version};
use flotilla_schemas::release::{Release, ReleaseName, ScriptRelease};
use flotilla_schemas::report::ReleaseState;
use flotilla_schemas::{AppId, Digest, EdgeId, EventsId, KeyId, MakerId, ScriptId, ServiceId};
use serde::{Deserialize, Serialize};

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

/// A row of the center's distribution table: one release on one edge. Retained on `distribution/<kind>/<name>/<e>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Version of this message's form: 1.
    pub v: u32,
    /// What it is a row of.
    #[serde(flatten)]
    pub release: ReleaseName,
    /// The edge.
    pub edge: EdgeId,
    /// The newest version that is published.
    pub latest: String,
    /// The size in bytes of an app's component, or of a script with its definition and its event lists.
    pub size_bytes: u64,
    /// The version that the edge has; empty when it has none.
    pub installed: String,
    /// What it is at there.
    pub state: ReleaseState,
    /// Why it waits; empty when it does not.
    pub waits: String,
    /// The app that runs in an app's place there; empty when none does.
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
    /// Where it is, by edge.
    pub edges: BTreeMap<EdgeId, Distribution>,
}
