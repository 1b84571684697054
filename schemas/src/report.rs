//! What agents let dashboards and each other know: flat where it would be plotted, numbers as numbers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fault::Kind;
use crate::id::{AppId, CenterId, EdgeId, EpochId, FaultId, FleetId, ServiceId, SessionId};
use crate::release::ReleaseName;
use crate::sign::PublicKey;
use crate::value::Value;

/// The most chunks that one message asks for.
pub const WANT_CHUNKS_MAX: usize = 64;

/// Who said it and when: the same first keys of every report of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// Version of the message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The agent's run.
    pub session: SessionId,
    /// Counts the reports of this run, from 1: a gap is a lost message.
    pub seq: u64,
    /// When, in Unix milliseconds of the edge's clock.
    pub ts: i64,
    /// Whether that clock can be believed.
    pub clock_ok: bool,
}

/// What an edge is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Services run.
    Operating,
    /// Services run, but something is broken that a person should see to: an app in quarantine.
    Degraded,
    /// It was told to end.
    Stopped,
    /// Something that a newer program knows.
    #[serde(other)]
    Unknown,
}

/// On `edge/<e>/status`, retained and signed; again every 30 s with jitter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Who and when.
    #[serde(flatten)]
    pub meta: Meta,
    /// The fleet it belongs to.
    pub fleet: FleetId,
    /// What verifies its signatures. A center pins the first that an id shows.
    pub key: PublicKey,
    /// What it is at.
    pub mode: Mode,
    /// How many services it has.
    pub services: u32,
    /// How many apps are loaded.
    pub apps_loaded: u32,
    /// How many faults are open.
    pub faults_open: u32,
    /// The journal's epoch.
    pub journal_epoch: EpochId,
    /// The greatest number in lane 0; 0 when there is none.
    pub journal_head_0: u64,
    /// The greatest number in lane 1.
    pub journal_head_1: u64,
    /// The greatest number in lane 2.
    pub journal_head_2: u64,
    /// Records that no center has acknowledged yet.
    pub journal_unacked: u64,
    /// The digest over the slots that it holds.
    pub desired_digest: Digest,
    /// The highest document number that it has seen.
    pub n_max: u64,
    /// The catalog version that it holds.
    pub catalog: u64,
    /// The agent's resident memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Bytes free where its data is; 0 when unknown.
    pub disk_free_bytes: u64,
    /// The sandbox's runtime: what machine code must match.
    pub runtime: String,
    /// The agent's version.
    pub agent: String,
}

/// What a release is at, on one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// Known, and not on this edge.
    Absent,
    /// On its way.
    Downloading,
    /// On disk, verified, not in memory.
    Installed,
    /// In memory.
    Loaded,
    /// In memory and at work.
    Running,
    /// Not run until a person releases it.
    Quarantined,
    /// Something that a newer program knows.
    #[serde(other)]
    Unknown,
}

/// On `edge/<e>/release/<kind>/<name>`, retained and signed: the edge's own row of its own distribution table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseRow {
    /// Who and when.
    #[serde(flatten)]
    pub meta: Meta,
    /// What it is a row of.
    #[serde(flatten)]
    pub release: ReleaseName,
    /// The version that is installed; empty when none is.
    pub installed: String,
    /// The newest version that this edge is to have.
    pub latest: String,
    /// What it is at.
    pub state: ReleaseState,
    /// Since when, in Unix milliseconds.
    pub since: i64,
    /// Why it waits; empty when it does not.
    pub waits: String,
    /// The app that runs in an app's place; empty when none does.
    pub replaced_by: String,
    /// How often an app was loaded into memory in this session.
    pub loads: u64,
    /// How often an app was downloaded in this session.
    pub downloads: u64,
}

/// On `edge/<e>/inventory`, retained and signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Who and when.
    #[serde(flatten)]
    pub meta: Meta,
    /// What is installed.
    pub apps: BTreeMap<AppId, InstalledApp>,
    /// The services, with the script version of each.
    pub services: BTreeMap<ServiceId, String>,
    /// What it can do.
    pub profile: Profile,
    /// The kind of processor: `x86_64`.
    pub arch: String,
    /// The sandbox's runtime.
    pub runtime: String,
    /// The agent's version.
    pub agent: String,
}

/// What an edge can do: a small gateway leaves parts out. In words, `full` or what it is without.
///
/// ```
/// use flotilla_schemas::report::Profile;
/// let small = Profile { scripts: false, memory_bytes_max: Some(4 << 20), ..Profile::FULL };
/// assert_eq!([Profile::FULL.to_string(), small.to_string()], ["full", "no scripts, 4 MiB"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Whether it runs scripts; without, it runs apps by their own operation alone.
    pub scripts: bool,
    /// Whether it has faults answered and is restored; without, it records what fails and goes on.
    pub reliability: bool,
    /// Whether it has a disk; without, everything is in memory and gone with the power.
    pub disk: bool,
    /// The most bytes that its apps take together, code and memory; those that do not fit run each in turn. None
    /// when only the machine bounds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
}

impl Profile {
    /// Everything, and no bound.
    pub const FULL: Self = Self { scripts: true, reliability: true, disk: true, memory_bytes_max: None };
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts =
            [("no scripts", self.scripts), ("no reliability", self.reliability), ("no disk", self.disk)];
        let mut words: Vec<String> =
            parts.into_iter().filter(|(_, has)| !has).map(|(word, _)| word.to_owned()).collect();
        words.extend(self.memory_bytes_max.map(|bytes| format!("{} MiB", bytes >> 20)));
        f.write_str(&if words.is_empty() { "full".to_owned() } else { words.join(", ") })
    }
}

/// An app in the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstalledApp {
    /// Its version.
    pub version: String,
    /// The digest of its release document.
    pub release: Digest,
}

/// On `edge/<e>/event/<source>`: an event, flat, one a message, for dashboards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventReport {
    /// Who and when.
    #[serde(flatten)]
    pub meta: Meta,
    /// The same moment as RFC 3339.
    pub time: String,
    /// The event's name.
    pub event: String,
    /// The app, or `system`.
    pub source: AppId,
    /// The event's own fields; one whose name is taken above is written as `field_<name>`.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

/// On `edge/<e>/fault/<app>/<kind>`, retained: an open fault, flat; emptied when it closes. A cure that the edge
/// made alone is one message here with `open: 0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultReport {
    /// Who and when.
    #[serde(flatten)]
    pub meta: Meta,
    /// The same moment as RFC 3339.
    pub time: String,
    /// The fault.
    pub fault: FaultId,
    /// What was seen.
    pub kind: Kind,
    /// The app, or `system`.
    pub app: AppId,
    /// The device that did not answer well, if the fault is the equipment's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// Its point.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub point: String,
    /// 1 while it is open, 0 when it is over.
    pub open: u8,
    /// Why; `pending` until somebody said.
    pub cause: String,
    /// What was said.
    pub message: String,
    /// Which attempt is due or under way.
    pub attempt: u32,
    /// How often it was seen.
    pub count: u32,
    /// The measure under way; empty before the first.
    pub measure: String,
}

/// On `edge/<e>/want`, signed: chunks that it lacks, at most [`WANT_CHUNKS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Want {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The chunks' digests; each comes on the `blob` topic of its first byte.
    pub chunks: Vec<Digest>,
}

/// On `center/<c>/status`, retained and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CenterStatus {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The center.
    pub center: CenterId,
    /// The agent's run.
    pub session: SessionId,
    /// Counts the reports of this run, from 1.
    pub seq: u64,
    /// When, in Unix milliseconds.
    pub ts: i64,
    /// Edges that are known.
    pub edges: u32,
    /// Edges that are online.
    pub edges_online: u32,
    /// Faults that are open.
    pub faults_open: u32,
    /// The version of the countermeasures.
    pub list_ver: u64,
    /// The catalog's version.
    pub catalog: u64,
    /// Records on disk.
    pub records: u64,
    /// How often, in this run, a retained message was said again: another hand had changed it, or the broker had not
    /// taken it.
    pub repeated: u64,
    /// The agent's version.
    pub agent: String,
}
