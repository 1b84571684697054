//! Why a service was not started or stopped.

use flotilla_schemas::desired::{EVERY_MS_MIN, SLOTS_MAX};
use flotilla_schemas::{AppId, EdgeId, EventsId, ScriptId, ServiceId};

use crate::document::Work;

/// Why a service was not started or stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// There is none of this name.
    #[error("stop {service}: there is no such service")]
    Unknown {
        /// The name.
        service: ServiceId,
        /// Those that there are.
        known: Vec<ServiceId>,
    },
    /// It cannot be done as it was asked for.
    #[error("{what} {service}: {} errors", errors.len())]
    Refused {
        /// Start or stop.
        what: &'static str,
        /// The service.
        service: ServiceId,
        /// Each reason.
        errors: Vec<Reason>,
    },
}

/// One reason why a service cannot be started or stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nowhere to do it.
    #[error("no edge is named")]
    NoEdge,
    /// An edge that never showed itself.
    #[error("edge {edge} is not known; known are {}", list(known))]
    Edge {
        /// The name.
        edge: EdgeId,
        /// Those that are known.
        known: Vec<EdgeId>,
    },
    /// It was not started there.
    #[error("it does not run on {0}")]
    NotThere(EdgeId),
    /// No script is named, and none can have the service's name.
    #[error("no script is named")]
    NoScript,
    /// A script that was not published.
    #[error("script {script} is not published; published are {}", list(known))]
    Script {
        /// The name.
        script: ScriptId,
        /// Those that are.
        known: Vec<ScriptId>,
    },
    /// An event list that the script does not have.
    #[error("script {script} has no event list {events}; it has {}", list(known))]
    Events {
        /// The script.
        script: ScriptId,
        /// The name.
        events: EventsId,
        /// Those that it has.
        known: Vec<EventsId>,
    },
    /// Several event lists, and none is named.
    #[error("script {script} has several event lists, and none is named: {}", list(known))]
    WhichEvents {
        /// The script.
        script: ScriptId,
        /// Those that it has.
        known: Vec<EventsId>,
    },
    /// An app that the event list names and nobody published.
    #[error("app {app}, which event list {events} names, is not published")]
    App {
        /// The app.
        app: AppId,
        /// The event list.
        events: EventsId,
    },
    /// Something else runs under this name elsewhere.
    #[error("it runs {work} on {edge}; stop it there first, or start this one under another name")]
    OtherWork {
        /// What runs.
        work: Work,
        /// Where.
        edge: EdgeId,
    },
    /// An app by itself, and what belongs to scripts.
    #[error("an app that runs by itself goes with no script and no event list")]
    Both,
    /// An app that was not published.
    #[error("app {app} is not published; published are {}", list(known))]
    Unpublished {
        /// The name.
        app: AppId,
        /// Those that are.
        known: Vec<AppId>,
    },
    /// An app that needs a script.
    #[error("app {0} declares no operation of its own, under [run] in its app.toml; it needs a script")]
    NoOwnRun(AppId),
    /// An edge that walks no scripts.
    #[error("{0} runs no scripts; start an app there by itself, with --app")]
    NoScripts(EdgeId),
    /// Too often.
    #[error("every {0} ms is more often than every {EVERY_MS_MIN} ms")]
    Period(u64),
    /// The edge has as many as it may.
    #[error("{0} has {SLOTS_MAX} slots already")]
    Slots(EdgeId),
}

fn list<T: ToString>(known: &[T]) -> String {
    if known.is_empty() {
        return "none".to_owned();
    }
    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
