//! What people ask of a center, and how it answers.
//!
//! A request changes something; what only looks is a method of [`Core`](crate::Core). Each is answered exactly once,
//! by the id that the driver gave it: at once, or, for a command to an edge, when the edge replied or time ran out.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::command::{Order, Reply};
use flotilla_schemas::countermeasure::{Countermeasures, ListError};
use flotilla_schemas::desired::Trigger;
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::{AppId, Digest, EdgeId, EventsId, ScriptId, ServiceId, Signed};
use serde::{Deserialize, Serialize};

use crate::command::CommandError;
use crate::publication::PublishError;
use crate::service::ServiceError;
use crate::view::ServiceView;

/// Names a request until it is answered; the driver's choice.
pub type RequestId = u64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Publish a release of an app. Its artifacts are on the shelf and it was proved.
    PublishApp(Signed<Release>),
    /// Publish a release of a script. Its artifacts are on the shelf and it was proved.
    PublishScript {
        /// The release.
        release: Signed<ScriptRelease>,
        /// The apps that each of its event lists names.
        apps: BTreeMap<EventsId, BTreeSet<AppId>>,
    },
    /// Start a service on some edges.
    Start(ServiceId, ServiceStart),
    /// Stop a service on some edges.
    Stop(ServiceId, ServiceStop),
    /// Replace the list of countermeasures.
    SetCountermeasures(Countermeasures),
    /// Have an edge do something once.
    Command(EdgeId, Order),
}

/// How to start a service. Edges that are not named are left as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStart {
    /// The script that it runs; none means what it runs already, or for a new service the script of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ScriptId>,
    /// The app that it runs by itself, in place of a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// Where: at least one edge.
    pub edges: Vec<EdgeId>,
    /// With which event list; may be left out when the script has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsId>,
    /// When it runs; none means once for a script, and as it declares itself for an app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
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

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A release is in the catalog.
    Published(Published),
    /// A service is as it was asked for.
    Service(ServiceView),
    /// The list holds, with the version that it was given.
    Countermeasures(Countermeasures),
    /// The edge's reply to a command.
    Reply(Reply),
}

/// Why a request was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The center does not know yet what the broker retains.
    #[error("decide anything yet: what the broker retains was not heard; is the broker there?")]
    Unswept,
    /// A publication.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The start or stop of a service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A list of countermeasures.
    #[error("take the list of countermeasures: it has {} errors", .0.len())]
    Countermeasures(Vec<ListError>),
    /// A command to an edge.
    #[error(transparent)]
    Command(#[from] CommandError),
}
