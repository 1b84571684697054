//! What people ask of a center.

use flotilla_schemas::desired::Trigger;
use flotilla_schemas::{Digest, EdgeId, EventsId, ScriptId};
use serde::{Deserialize, Serialize};

/// How to start a service. Edges that are not named are left as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStart {
    /// The script that it runs; none means the one that it has, or for a new service the one of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ScriptId>,
    /// Where: at least one edge.
    pub edges: Vec<EdgeId>,
    /// With which event list; may be left out when the script has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsId>,
    /// When it runs.
    pub trigger: Trigger,
}

/// Where to stop a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStop {
    /// At least one edge.
    pub edges: Vec<EdgeId>,
}

/// A publication that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The digest of the release's document.
    pub release: Digest,
    /// The version of the catalog that has it.
    pub catalog: u64,
    /// Whether it was new; the same release may be published again and changes nothing.
    pub new: bool,
}
