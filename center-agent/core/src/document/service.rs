//! What was decided of a service for the edges of one bucket.
//!
//! Each edge's entry is decided, and joined, by itself: two centers that start or stop a service on different edges at
//! once lose neither, and no document grows with the fleet. Stopping leaves a tombstone, so that nothing old brings an
//! entry back.

use std::collections::BTreeMap;
use std::fmt;

use flotilla_schemas::desired::Trigger;
use flotilla_schemas::{AppId, EdgeId, EventsId, ScriptId, ServiceId};
use serde::{Deserialize, Serialize};

use super::version::Ver;

/// The document of a service, of one bucket of edges. Its version is the greatest of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDocument {
    /// The service.
    pub service: ServiceId,
    /// Which edges: those whose [`EdgeId::bucket`] it is.
    pub bucket: u8,
    /// Each of them on which it was ever started.
    pub on: BTreeMap<EdgeId, On>,
}

impl ServiceDocument {
    /// Joins the entries of another document of the same part: of each edge the greater.
    pub fn join(&mut self, other: &Self) {
        for (edge, on) in &other.on {
            if self.on.get(edge).is_none_or(|held| on.replaces(held)) {
                self.on.insert(edge.clone(), on.clone());
            }
        }
    }
}

/// What a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// A script, in its newest release.
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
    /// The version of the decision that started or stopped it here.
    pub ver: Ver,
    /// What it runs.
    pub work: Work,
    /// How it runs; none once it was stopped.
    pub run: Option<Run>,
}

impl On {
    /// By version. No center gives one version twice; if one did, all centers would still choose the same.
    fn replaces(&self, held: &Self) -> bool {
        let text = |on: &Self| serde_json::to_string(on).unwrap_or_default();
        self.ver > held.ver || self.ver == held.ver && text(self) > text(held)
    }
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
