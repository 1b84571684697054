//! Services: which script runs on which edges, with which event list, and when.
//!
//! A service is one document. Starting it on some edges leaves the others as they are; stopping leaves a tombstone
//! for each edge, so that nothing old brings it back. A start is refused with every reason at once.

use std::collections::BTreeMap;

use flotilla_schemas::desired::{EVERY_MS_MIN, SLOTS_MAX, Trigger};
use flotilla_schemas::{AppId, EdgeId, EventsId, ScriptId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::catalog::Listing;
use crate::document::{Documents, Ver};
use crate::registry::Registry;
use crate::request::{ServiceStart, ServiceStop};

/// The document of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDocument {
    /// The service.
    pub service: ServiceId,
    /// The script that it runs, in its newest release.
    pub script: ScriptId,
    /// Each edge on which it was ever started.
    pub on: BTreeMap<EdgeId, On>,
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
    /// With which of the script's event lists.
    pub events: EventsId,
    /// When.
    pub trigger: Trigger,
}

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
    /// Another script runs under this name elsewhere.
    #[error("it runs script {script} on {edge}; stop it there first, or start this one under another name")]
    OtherScript {
        /// The script that runs.
        script: ScriptId,
        /// Where.
        edge: EdgeId,
    },
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

/// What is there when a service is asked for.
#[derive(Clone, Copy)]
pub struct Present<'a> {
    /// What was decided so far.
    pub documents: &'a Documents,
    /// What was published.
    pub catalog: &'a Listing,
    /// Who is there.
    pub registry: &'a Registry,
}

impl Present<'_> {
    /// The document after this start.
    pub fn start(&self, service: ServiceId, start: &ServiceStart) -> Result<ServiceDocument, ServiceError> {
        let held = self.documents.service(&service);
        let Some(script) = self.script(&service, start) else {
            return Err(ServiceError::Refused { what: "start", service, errors: vec![Reason::NoScript] });
        };
        let mut errors = self.edges(&start.edges);
        errors.extend(held.and_then(|held| other_script(held, &script, &start.edges)));
        errors.extend(start.edges.iter().filter_map(|edge| self.slots(&service, edge)));
        errors.extend(too_often(start.trigger));
        match self.events(&script, start.events.as_ref()) {
            Ok(events) if errors.is_empty() => {
                let run = Run { events, trigger: start.trigger };
                let on = held.map(|held| held.on.clone()).unwrap_or_default();
                Ok(self.with(ServiceDocument { service, script, on }, &start.edges, Some(run)))
            }
            events => {
                errors.extend(events.err().into_iter().flatten());
                Err(ServiceError::Refused { what: "start", service, errors })
            }
        }
    }

    /// The document after this stop. Stopping what was stopped is no error; it runs no less.
    pub fn stop(&self, service: ServiceId, stop: &ServiceStop) -> Result<ServiceDocument, ServiceError> {
        let Some(held) = self.documents.service(&service) else {
            let known = self.documents.services().map(|held| held.service.clone()).collect();
            return Err(ServiceError::Unknown { service, known });
        };
        let mut errors = if stop.edges.is_empty() { vec![Reason::NoEdge] } else { Vec::new() };
        let elsewhere = stop.edges.iter().filter(|edge| !held.on.contains_key(edge));
        errors.extend(elsewhere.map(|edge| Reason::NotThere(edge.clone())));
        if !errors.is_empty() {
            return Err(ServiceError::Refused { what: "stop", service, errors });
        }
        Ok(self.with(held.clone(), &stop.edges, None))
    }

    fn with(&self, mut document: ServiceDocument, edges: &[EdgeId], run: Option<Run>) -> ServiceDocument {
        let ver = self.documents.next();
        for edge in edges {
            document.on.insert(edge.clone(), On { ver: ver.clone(), run: run.clone() });
        }
        document
    }

    /// The script that is meant: the named one, the one that it runs already, or the one of the same name.
    fn script(&self, service: &ServiceId, start: &ServiceStart) -> Option<ScriptId> {
        let held = || self.documents.service(service).map(|held| held.script.clone());
        start.script.clone().or_else(held).or_else(|| ScriptId::new(service.as_str()).ok())
    }

    fn edges(&self, edges: &[EdgeId]) -> Vec<Reason> {
        if edges.is_empty() {
            return vec![Reason::NoEdge];
        }
        let unknown = edges.iter().filter(|edge| self.registry.get(edge).is_none());
        let known = || self.registry.all().map(|(id, _)| id.clone()).collect();
        unknown.map(|edge| Reason::Edge { edge: edge.clone(), known: known() }).collect()
    }

    fn slots(&self, service: &ServiceId, edge: &EdgeId) -> Option<Reason> {
        let others = self.documents.services().filter(|held| held.service != *service);
        // One slot is the policy's, and one will be this service's.
        let full = others.filter(|held| held.on.contains_key(edge)).count() + 2 > SLOTS_MAX;
        full.then(|| Reason::Slots(edge.clone()))
    }

    fn events(&self, script: &ScriptId, named: Option<&EventsId>) -> Result<EventsId, Vec<Reason>> {
        let Some((_, document)) = self.documents.script(script) else {
            let known = self.catalog.scripts().map(|(id, _)| id.clone()).collect();
            return Err(vec![Reason::Script { script: script.clone(), known }]);
        };
        let known = || document.apps.keys().cloned().collect();
        let chosen = match named {
            Some(events) => document.apps.get_key_value(events),
            None if document.apps.len() == 1 => document.apps.first_key_value(),
            None => return Err(vec![Reason::WhichEvents { script: script.clone(), known: known() }]),
        };
        let (events, apps) = chosen.ok_or_else(|| {
            let events = named.cloned().into_iter();
            events
                .map(|events| Reason::Events { script: script.clone(), events, known: known() })
                .collect::<Vec<_>>()
        })?;
        let missing = apps.iter().filter(|app| self.catalog.app(app).is_none());
        let missing: Vec<Reason> =
            missing.map(|app| Reason::App { app: app.clone(), events: events.clone() }).collect();
        if missing.is_empty() { Ok(events.clone()) } else { Err(missing) }
    }
}

fn other_script(held: &ServiceDocument, script: &ScriptId, edges: &[EdgeId]) -> Option<Reason> {
    let elsewhere = held.on.iter().find(|(edge, on)| on.run.is_some() && !edges.contains(edge));
    let (edge, _) = elsewhere.filter(|_| held.script != *script)?;
    Some(Reason::OtherScript { script: held.script.clone(), edge: edge.clone() })
}

fn too_often(trigger: Trigger) -> Option<Reason> {
    match trigger {
        Trigger::EveryMs(ms) if ms < EVERY_MS_MIN => Some(Reason::Period(ms)),
        Trigger::EveryMs(_) | Trigger::Once => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::World;

    fn start(edges: &[&str], events: Option<&str>) -> ServiceStart {
        let edges = edges.iter().map(|edge| edge.parse().unwrap()).collect();
        let events = events.map(|events| events.parse().unwrap());
        ServiceStart { script: None, edges, events, trigger: Trigger::EveryMs(1000) }
    }

    fn service() -> ServiceId {
        "cooling".parse().unwrap()
    }

    /// Two edges, the apps `a` and `b`, the script `cooling` with the lists `large` (a) and `small` (b).
    fn world() -> World {
        let mut world = World::default();
        world.edges(&["e1", "e2"]).apps(&["a", "b"]);
        world.script("cooling", "1.0.0", &[("large", &["a"]), ("small", &["b"])]);
        world
    }

    #[test]
    fn starting_on_one_edge_leaves_the_others_alone() {
        let mut world = world();
        let both = world.present().start(service(), &start(&["e1", "e2"], Some("large"))).unwrap();
        world.decide(crate::document::Body::Service(both.clone()));
        let one = world.present().start(service(), &start(&["e2"], Some("small"))).unwrap();
        let (e1, e2) = ("e1".parse().unwrap(), "e2".parse().unwrap());
        assert_eq!(one.on[&e1], both.on[&e1]);
        assert_eq!(one.on[&e2].run.as_ref().unwrap().events.as_str(), "small");
        assert!(one.on[&e2].ver > both.on[&e2].ver);
    }

    #[test]
    fn every_reason_against_a_start_is_named_at_once() {
        let world = world();
        let mut wish = start(&["e1", "e9"], Some("huge"));
        wish.trigger = Trigger::EveryMs(1);
        let Err(ServiceError::Refused { errors, .. }) = world.present().start(service(), &wish) else {
            panic!("started");
        };
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "edge e9 is not known; known are e1, e2",
                "every 1 ms is more often than every 100 ms",
                "script cooling has no event list huge; it has large, small",
            ]
        );
    }

    #[test]
    fn a_start_needs_its_script_its_list_and_its_apps() {
        let mut world = world();
        let refused = |world: &World, service: &str, wish| {
            let error = world.present().start(service.parse().unwrap(), &wish).unwrap_err();
            let ServiceError::Refused { errors, .. } = error else { panic!("{error}") };
            errors
        };
        assert!(matches!(refused(&world, "other", start(&["e1"], None))[..], [Reason::Script { .. }]));
        assert!(matches!(refused(&world, "cooling", start(&["e1"], None))[..], [Reason::WhichEvents { .. }]));
        assert!(matches!(refused(&world, "cooling", start(&[], Some("large")))[..], [Reason::NoEdge]));
        world.script("lost", "1.0.0", &[("only", &["c"])]);
        assert!(matches!(refused(&world, "lost", start(&["e1"], None))[..], [Reason::App { .. }]));
    }

    #[test]
    fn another_script_is_refused_while_the_first_runs_elsewhere() {
        let mut world = world();
        let both = world.present().start(service(), &start(&["e1", "e2"], Some("large"))).unwrap();
        world.decide(crate::document::Body::Service(both));
        world.script("other", "1.0.0", &[("only", &["a"])]);
        let wish =
            |edges: &[&str]| ServiceStart { script: Some("other".parse().unwrap()), ..start(edges, None) };
        assert!(world.present().start(service(), &wish(&["e1"])).is_err());
        assert!(world.present().start(service(), &wish(&["e1", "e2"])).is_ok());
    }

    #[test]
    fn a_stop_is_a_tombstone_and_needs_something_to_stop() {
        let mut world = world();
        let stop = |edges: &[&str]| ServiceStop { edges: edges.iter().map(|e| e.parse().unwrap()).collect() };
        assert!(matches!(world.present().stop(service(), &stop(&["e1"])), Err(ServiceError::Unknown { .. })));
        let one = world.present().start(service(), &start(&["e1"], Some("large"))).unwrap();
        world.decide(crate::document::Body::Service(one));
        assert!(world.present().stop(service(), &stop(&["e2"])).is_err());
        let stopped = world.present().stop(service(), &stop(&["e1"])).unwrap();
        assert_eq!(stopped.on[&"e1".parse().unwrap()].run, None);
    }

    #[test]
    fn an_edge_takes_no_more_services_than_it_has_slots_for() {
        let mut world = world();
        for n in 0..SLOTS_MAX - 1 {
            let wish =
                ServiceStart { script: Some("cooling".parse().unwrap()), ..start(&["e1"], Some("large")) };
            let document = world.present().start(format!("s{n}").parse().unwrap(), &wish).unwrap();
            world.decide(crate::document::Body::Service(document));
        }
        let Err(ServiceError::Refused { errors, .. }) =
            world.present().start(service(), &start(&["e1"], Some("large")))
        else {
            panic!("started");
        };
        assert_eq!(errors, [Reason::Slots("e1".parse().unwrap())]);
    }
}
