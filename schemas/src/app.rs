//! Apps: what a release says of itself ([`Manifest`]), what it may touch ([`Grants`]), how far it may go
//! ([`Limits`]) and what it can do ([`Interface`]).
//!
//! A manifest is written by the app's maker as `app.toml` and travels signed inside the release. The interface is
//! never written by anybody: it is read from the component, whose own types are the one truth of what it can do.
//! What a manifest does not grant, the app cannot reach.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{AppId, MakerId};
use crate::value::{Type, Value};

/// The name in a grant that stands for all names.
pub const ALL: &str = "*";

/// The least memory that an app may ask for: two WebAssembly pages.
pub const MEMORY_BYTES_MIN: u32 = 128 * 1024;

/// The most memory that an app may ask for: what Python needs by itself (12.3 MiB), several times over.
pub const MEMORY_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// The longest that one operation may take, in milliseconds: ten minutes.
pub const DEADLINE_MS_MAX: u32 = 600_000;

/// The longest time for which a new release may be watched before it counts as good: thirty days, in seconds.
pub const SOAK_S_MAX: u32 = 30 * 24 * 3600;

/// The longest period of an app's own operation, in seconds: a day.
pub const EVERY_S_MAX: u32 = 24 * 3600;

/// The most alternates that a manifest may name.
pub const ALTERNATES_MAX: usize = 8;

/// The most codes of faults that a manifest may declare.
pub const FAULTS_MAX: usize = 64;

/// What the maker says of one release of an app: the content of `app.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The app.
    pub app: AppId,
    /// Who publishes it.
    pub maker: MakerId,
    /// The release, greater than that of every earlier one.
    pub version: Version,
    /// Whether it stays after a run.
    pub residence: Residence,
    /// Apps that do the same operations, as a rule another maker's, in the order in which they are tried in place
    /// of this one. At most [`ALTERNATES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternates: Vec<AppId>,
    /// The hardware that it needs, as an edge's profile names it; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// How long a new release is watched before it counts as good, in seconds, 0 to [`SOAK_S_MAX`].
    #[serde(default)]
    pub soak_s: u32,
    /// The codes of the faults that its operations return of their own, beside those of the edge that they pass on:
    /// `implausible`. A proof refuses any other. At most [`FAULTS_MAX`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub faults: BTreeSet<String>,
    /// What it does where no script drives it; none means that it needs a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<OwnRun>,
    /// What it may touch.
    #[serde(default)]
    pub grants: Grants,
    /// How far it may go.
    #[serde(default)]
    pub limits: Limits,
}

/// What happens to an app after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Residence {
    /// It stays in memory, so a second request neither downloads nor instantiates.
    Resident,
    /// It is deleted after each run, from memory and from disk.
    Transient,
}

/// What an app does by itself: one operation, on its own trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnRun {
    /// An operation that it exports.
    pub operation: String,
    /// What it is given, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Value>,
    /// Its period in seconds, 1 to [`EVERY_S_MAX`], unless the one who starts it says another.
    pub every_s: u32,
}

/// What an app may touch beyond the log and the clock, which are always there. Empty means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Points of devices that it may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_read: Vec<DeviceGrant>,
    /// Points of devices that it may set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_write: Vec<DeviceGrant>,
    /// Names of the events that it may emit; [`ALL`] stands for any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub events: BTreeSet<String>,
    /// Whether it may keep keys and values over its runs.
    #[serde(default)]
    pub kv: bool,
}

/// Points of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceGrant {
    /// The device, as the edge's equipment names it; [`ALL`] stands for any.
    pub device: String,
    /// Its points; [`ALL`] stands for any.
    pub points: BTreeSet<String>,
}

/// How far one operation of an app may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of the instance in bytes, [`MEMORY_BYTES_MIN`] to [`MEMORY_BYTES_MAX`].
    pub memory_bytes: u32,
    /// Time from request to result in milliseconds, waiting for equipment included, 1 to [`DEADLINE_MS_MAX`].
    pub deadline_ms: u32,
}

/// What an app can do and what it needs for that, read from its component.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The interfaces of `fleet:edge` that it imports: `device-read`.
    pub imports: BTreeSet<String>,
    /// The operations that it exports, in the order of their names.
    pub operations: Vec<Operation>,
}

/// A function that an app exports to scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The name, in kebab case: `set-temperature`.
    pub name: String,
    /// The name and type of each argument, in order.
    pub params: Vec<(String, Type)>,
    /// The type of the result, where there is one. The error of an operation that can fail is not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Type>,
}

/// A release's version, `major.minor.patch`, ordered by its numbers.
///
/// ```
/// use flotilla_schemas::app::Version;
/// let version = |text: &str| text.parse::<Version>().unwrap();
/// assert!(version("1.10.0") > version("1.9.3"));
/// assert_eq!(version("1.9.3").to_string(), "1.9.3");
/// for bad in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.+3", "01.2.3"] {
///     assert!(bad.parse::<Version>().is_err(), "{bad}");
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$"))]
pub struct Version {
    /// Changes what the operations mean.
    pub major: u32,
    /// Adds.
    pub minor: u32,
    /// Mends.
    pub patch: u32,
}

/// Text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version: three numbers joined by dots, such as 1.4.0")]
pub struct VersionError(pub String);

/// What a manifest says that it may not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {found} is not {wanted}")]
pub struct ManifestError {
    /// The key, with the tables around it: `limits.memory_bytes`.
    pub key: &'static str,
    /// What stood there.
    pub found: String,
    /// What may stand there.
    pub wanted: String,
}

impl Manifest {
    /// All that lies outside its bounds; empty if nothing does.
    pub fn check(&self) -> Vec<ManifestError> {
        let Limits { memory_bytes, deadline_ms } = self.limits;
        let within = |key, n, min, max| outside(key, u64::from(n), u64::from(min), u64::from(max));
        let mut errors: Vec<ManifestError> = [
            within("limits.memory_bytes", memory_bytes, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX),
            within("limits.deadline_ms", deadline_ms, 1, DEADLINE_MS_MAX),
            within("soak_s", self.soak_s, 0, SOAK_S_MAX),
            self.run.as_ref().and_then(|run| within("run.every_s", run.every_s, 1, EVERY_S_MAX)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.alternates.len() > ALTERNATES_MAX || self.alternates.contains(&self.app) {
            let found = self.alternates.iter().map(AppId::as_str).collect::<Vec<_>>().join(", ");
            let wanted = format!("a list of at most {ALTERNATES_MAX} other apps");
            errors.push(ManifestError { key: "alternates", found, wanted });
        }
        if self.faults.len() > FAULTS_MAX {
            let (found, wanted) = (self.faults.len().to_string(), format!("at most {FAULTS_MAX} codes"));
            errors.push(ManifestError { key: "faults", found, wanted });
        }
        errors
    }
}

fn outside(key: &'static str, found: u64, min: u64, max: u64) -> Option<ManifestError> {
    let error = || ManifestError { key, found: found.to_string(), wanted: format!("from {min} to {max}") };
    (!(min..=max).contains(&found)).then(error)
}

impl Grants {
    /// Whether the point may be read.
    pub fn may_read(&self, device: &str, point: &str) -> bool {
        self.device_read.iter().any(|grant| grant.covers(device, point))
    }

    /// Whether the point may be set.
    pub fn may_write(&self, device: &str, point: &str) -> bool {
        self.device_write.iter().any(|grant| grant.covers(device, point))
    }

    /// Whether an event of this name may be emitted.
    pub fn may_emit(&self, event: &str) -> bool {
        holds(&self.events, event)
    }
}

impl DeviceGrant {
    fn covers(&self, device: &str, point: &str) -> bool {
        (self.device == ALL || self.device == device) && holds(&self.points, point)
    }
}

fn holds(names: &BTreeSet<String>, name: &str) -> bool {
    names.contains(ALL) || names.contains(name)
}

impl Default for Limits {
    /// 4 MiB and one second.
    fn default() -> Self {
        Self { memory_bytes: 4 * 1024 * 1024, deadline_ms: 1_000 }
    }
}

impl Interface {
    /// The operation of this name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let number = |part: &str| {
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if plain { part.parse().ok() } else { None }
        };
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch }),
            _ => Err(VersionError(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        serde_json::from_str(
            r#"{"app": "aircon-north", "maker": "north", "version": "1.0.0", "residence": "resident",
                "grants": {"device_read": [{"device": "aircon", "points": ["room"]}], "events": ["*"]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_grant_covers_what_it_names_and_nothing_else() {
        let grants = manifest().grants;
        assert!(grants.may_read("aircon", "room") && grants.may_emit("anything"));
        assert!(!grants.may_read("aircon", "power") && !grants.may_read("meter", "room"));
        assert!(!grants.may_write("aircon", "room"));
        assert!(!Grants::default().may_emit("room"));
    }

    #[test]
    fn a_manifest_is_told_of_every_bound_that_it_breaks_at_once() {
        assert_eq!(manifest().check(), []);
        let mut manifest = manifest();
        manifest.limits = Limits { memory_bytes: MEMORY_BYTES_MAX + 1, deadline_ms: 0 };
        manifest.soak_s = SOAK_S_MAX + 1;
        manifest.run = Some(OwnRun { operation: "read".into(), args: vec![], every_s: EVERY_S_MAX + 1 });
        manifest.alternates = vec![manifest.app.clone()];
        manifest.faults = (0..=FAULTS_MAX).map(|n| format!("f{n}")).collect();
        let errors: Vec<String> = manifest.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "limits.memory_bytes: 67108865 is not from 131072 to 67108864",
                "limits.deadline_ms: 0 is not from 1 to 600000",
                "soak_s: 2592001 is not from 0 to 2592000",
                "run.every_s: 86401 is not from 1 to 86400",
                "alternates: aircon-north is not a list of at most 8 other apps",
                "faults: 65 is not at most 64 codes",
            ]
        );
    }

    #[test]
    fn a_manifest_with_an_unknown_key_is_refused() {
        let text = r#"{"app": "a", "maker": "m", "version": "1.0.0", "residence": "resident", "limit": {}}"#;
        assert!(serde_json::from_str::<Manifest>(text).unwrap_err().to_string().contains("limit"));
    }
}
