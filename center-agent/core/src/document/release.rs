//! The documents that publish releases of apps and scripts.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::{AppId, EventsId, ScriptId, Signed};
use serde::{Deserialize, Serialize};

/// The document of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppDocument {
    /// The app.
    pub app: AppId,
    /// Its newest release.
    pub release: Signed<Release>,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Signed<Release>>,
}

/// The document of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptDocument {
    /// The script.
    pub script: ScriptId,
    /// Its newest release.
    pub release: Signed<ScriptRelease>,
    /// The apps that each of its event lists names.
    pub apps: BTreeMap<EventsId, BTreeSet<AppId>>,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Signed<ScriptRelease>>,
}
