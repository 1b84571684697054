//! What people ask of a center: a request changes something; what only looks is a method of [`Core`](crate::Core).

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::command::Order;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::{AppId, EdgeId, EventsId, ServiceId, Signed};

use crate::service::{ServiceStart, ServiceStop};

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
    /// Let the next other key that an edge's id shows take its place.
    Replace(EdgeId),
    /// Take an edge out of the fleet.
    Retire(EdgeId),
    /// Have an edge do something once.
    Command(EdgeId, Order),
}
