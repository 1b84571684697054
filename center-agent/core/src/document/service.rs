//! The document of a service: what it runs, and on which edges.
//!
//! Starting it on some edges leaves the others as they are; stopping leaves a tombstone for each edge, so that nothing
//! old brings it back.

use std::collections::BTreeMap;
use std::fmt;

use flotilla_schemas::desired::Trigger;
use flotilla_schemas::{AppId, EdgeId, EventsId, ScriptId, ServiceId};
use serde::{Deserialize, Serialize};

use super::version::Ver;

/// The document of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDocument {
    /// The service.
    pub service: ServiceId,
    /// What it runs, in its newest release.
    pub work: Work,
    /// Each edge on which it was ever started.
    pub on: BTreeMap<EdgeId, On>,
}

/// What a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// A script.
    Script(ScriptId),
    /// An app, by the operation that its manifest declares.
    App(AppId),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Script(script) => write!(f, "the script {script}"),
            Work::App(app) => write!(f, "the app {app} by itself"),
        }
    }
}

/// A service on one edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// The version of the document that started or stopped it here.
    pub ver: Ver,
    /// How it runs; none once it was stopped.
    pub run: Option<Run>,
}

/// How a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// With which of the script's event lists; none where an app runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsId>,
    /// When.
    pub trigger: Trigger,
}
