//! Whether a service is started or stopped.
//!
//! Starting it on some edges leaves the others as they are. A start is refused with every reason at once.

mod error;

use std::collections::BTreeMap;

use flotilla_schemas::desired::{EVERY_MS_MIN, SLOTS_MAX, Trigger};
use flotilla_schemas::{AppId, EdgeId, EventsId, ScriptId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::document::{On, Run, ServiceDocument, Work};
use crate::present::Present;

pub use error::{Reason, ServiceError};

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

impl Present<'_> {
    /// The documents that change with this start: one for each bucket that has an edge of it.
    pub fn start(
        &self,
        service: ServiceId,
        start: &ServiceStart,
    ) -> Result<Vec<ServiceDocument>, ServiceError> {
        let Some(work) = self.work(&service, start) else {
            return Err(ServiceError::Refused { what: "start", service, errors: vec![Reason::NoScript] });
        };
        let mut errors = self.edges(&start.edges);
        errors.extend(self.other_work(&service, &work, &start.edges));
        errors.extend(start.edges.iter().filter_map(|edge| self.slots(&service, edge)));
        errors.extend(start.trigger.and_then(too_often));
        let run = match &work {
            Work::Script(script) => self.scripted(script, start),
            Work::App(app) => self.by_itself(app, start),
        };
        match run {
            Ok(run) if errors.is_empty() => {
                let on = On { ver: self.documents.next(), work, run: Some(run) };
                Ok(self.with(&service, start.edges.iter().map(|edge| (edge, on.clone()))))
            }
            run => {
                errors.extend(run.err().into_iter().flatten());
                Err(ServiceError::Refused { what: "start", service, errors })
            }
        }
    }

    fn scripted(&self, script: &ScriptId, start: &ServiceStart) -> Result<Run, Vec<Reason>> {
        let without = |edge: &&EdgeId| {
            let inventory = self.registry.get(edge).and_then(|edge| edge.inventory.as_ref());
            inventory.is_some_and(|inventory| !inventory.profile.scripts)
        };
        let mut errors: Vec<Reason> =
            start.edges.iter().filter(without).cloned().map(Reason::NoScripts).collect();
        match self.events(script, start.events.as_ref()) {
            Ok(events) if errors.is_empty() => {
                Ok(Run { events: Some(events), trigger: start.trigger.unwrap_or(Trigger::Once) })
            }
            events => {
                errors.extend(events.err().into_iter().flatten());
                Err(errors)
            }
        }
    }

    /// On the app's own trigger, unless the start names one.
    fn by_itself(&self, app: &AppId, start: &ServiceStart) -> Result<Run, Vec<Reason>> {
        if start.script.is_some() || start.events.is_some() {
            return Err(vec![Reason::Both]);
        }
        let Some(listed) = self.catalog.app(app) else {
            let known = self.catalog.apps().map(|(id, _)| id.clone()).collect();
            return Err(vec![Reason::Unpublished { app: app.clone(), known }]);
        };
        let own = listed.release.manifest.run.as_ref();
        let own = own.ok_or_else(|| vec![Reason::NoOwnRun(app.clone())])?;
        let trigger = start.trigger.unwrap_or(Trigger::EveryMs(u64::from(own.every_s) * 1000));
        Ok(Run { events: None, trigger })
    }

    /// The documents that change with this stop. Stopping what was stopped is no error; it runs no less.
    pub fn stop(&self, service: ServiceId, stop: &ServiceStop) -> Result<Vec<ServiceDocument>, ServiceError> {
        if self.documents.work(&service).is_none() {
            let known = self.documents.services().cloned().collect();
            return Err(ServiceError::Unknown { service, known });
        }
        let ver = self.documents.next();
        let ended = |edge| {
            let held: Option<&On> = self.documents.on(&service, edge);
            held.map(|held| On { ver: ver.clone(), work: held.work.clone(), run: None })
        };
        let mut errors = if stop.edges.is_empty() { vec![Reason::NoEdge] } else { Vec::new() };
        let elsewhere = stop.edges.iter().filter(|edge| ended(edge).is_none());
        errors.extend(elsewhere.map(|edge| Reason::NotThere(edge.clone())));
        if !errors.is_empty() {
            return Err(ServiceError::Refused { what: "stop", service, errors });
        }
        Ok(self.with(&service, stop.edges.iter().filter_map(|edge| Some((edge, ended(edge)?)))))
    }

    /// The parts that hold these entries, with all that they held before.
    fn with<'a>(
        &self,
        service: &ServiceId,
        entries: impl Iterator<Item = (&'a EdgeId, On)>,
    ) -> Vec<ServiceDocument> {
        let mut parts = BTreeMap::new();
        for (edge, on) in entries {
            let bucket = edge.bucket();
            let held = || self.documents.part(service, bucket).map(|part| part.on.clone());
            let new = || ServiceDocument { service: service.clone(), bucket, on: held().unwrap_or_default() };
            parts.entry(bucket).or_insert_with(new).on.insert(edge.clone(), on);
        }
        parts.into_values().collect()
    }

    fn other_work(&self, service: &ServiceId, work: &Work, edges: &[EdgeId]) -> Option<Reason> {
        let mut entries = self.documents.entries(service);
        let (edge, on) =
            entries.find(|(edge, on)| on.run.is_some() && on.work != *work && !edges.contains(edge))?;
        Some(Reason::OtherWork { work: on.work.clone(), edge: edge.clone() })
    }

    /// What is meant: the named app or script, what it runs already, or the script of the same name.
    fn work(&self, service: &ServiceId, start: &ServiceStart) -> Option<Work> {
        let named = start.app.clone().map(Work::App).or_else(|| start.script.clone().map(Work::Script));
        let held = || self.documents.work(service).cloned();
        named.or_else(held).or_else(|| ScriptId::new(service.as_str()).ok().map(Work::Script))
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
        let others = self.documents.services().filter(|held| *held != service);
        // One slot is the policy's, and one will be this service's.
        let full = others.filter(|held| self.documents.on(held, edge).is_some()).count() + 2 > SLOTS_MAX;
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
    use flotilla_schemas::report::Profile;

    fn start(edges: &[&str], events: Option<&str>) -> ServiceStart {
        let edges = edges.iter().map(|edge| edge.parse().unwrap()).collect();
        let events = events.map(|events| events.parse().unwrap());
        ServiceStart { script: None, app: None, edges, events, trigger: Some(Trigger::EveryMs(1000)) }
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
        world.serve(both);
        let before = world.on("cooling", "e1");
        assert_eq!(world.on("cooling", "e2"), before, "one decision has one number");
        let one = world.present().start(service(), &start(&["e2"], Some("small"))).unwrap();
        world.serve(one);
        assert_eq!(world.on("cooling", "e1"), before);
        let after = world.on("cooling", "e2");
        assert_eq!(after.run.unwrap().events, Some("small".parse().unwrap()));
        assert!(after.ver > before.ver);
    }

    #[test]
    fn every_reason_against_a_start_is_named_at_once() {
        let world = world();
        let mut wish = start(&["e1", "e9"], Some("huge"));
        wish.trigger = Some(Trigger::EveryMs(1));
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
    fn an_app_that_declares_an_operation_runs_by_itself_and_on_its_own_trigger() {
        let mut world = world();
        let mut release = crate::samples::app("meter", "1.0.0", &[]).read().unwrap();
        let own = flotilla_schemas::app::OwnRun { operation: "read".into(), args: vec![], every_s: 7 };
        release.manifest.run = Some(own);
        world.publish(flotilla_schemas::Signed::new(&release, &crate::samples::publisher()).unwrap());
        let wish = |app: &str| ServiceStart {
            app: Some(app.parse().unwrap()),
            trigger: None,
            ..start(&["e1"], None)
        };
        let parts = world.present().start(service(), &wish("meter")).unwrap();
        let run = parts[0].on[&"e1".parse().unwrap()].run.clone().unwrap();
        assert_eq!(run, Run { events: None, trigger: Trigger::EveryMs(7000) });
        let refused = |wish: ServiceStart| match world.present().start(service(), &wish) {
            Err(ServiceError::Refused { errors, .. }) => errors[0].to_string(),
            other => panic!("{other:?}"),
        };
        assert!(refused(wish("a")).contains("declares no operation of its own"));
        assert!(refused(wish("z")).contains("published are a, b, meter"));
        let both = ServiceStart { events: Some("large".parse().unwrap()), ..wish("meter") };
        assert!(refused(both).contains("no event list"));
    }

    #[test]
    fn an_edge_without_scripts_is_given_none() {
        let mut world = world();
        world.profile("e1", Profile { scripts: false, ..Profile::FULL });
        let error = world.present().start(service(), &start(&["e1", "e2"], Some("large"))).unwrap_err();
        let ServiceError::Refused { errors, .. } = error else { panic!("{error}") };
        assert_eq!(errors, [Reason::NoScripts("e1".parse().unwrap())]);
    }

    #[test]
    fn another_script_is_refused_while_the_first_runs_elsewhere() {
        let mut world = world();
        let both = world.present().start(service(), &start(&["e1", "e2"], Some("large"))).unwrap();
        world.serve(both);
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
        world.serve(one);
        assert!(world.present().stop(service(), &stop(&["e2"])).is_err());
        let stopped = world.present().stop(service(), &stop(&["e1"])).unwrap();
        assert_eq!(stopped[0].on[&"e1".parse().unwrap()].run, None);
    }

    #[test]
    fn an_edge_takes_no_more_services_than_it_has_slots_for() {
        let mut world = world();
        for n in 0..SLOTS_MAX - 1 {
            let wish =
                ServiceStart { script: Some("cooling".parse().unwrap()), ..start(&["e1"], Some("large")) };
            let parts = world.present().start(format!("s{n}").parse().unwrap(), &wish).unwrap();
            world.serve(parts);
        }
        let Err(ServiceError::Refused { errors, .. }) =
            world.present().start(service(), &start(&["e1"], Some("large")))
        else {
            panic!("started");
        };
        assert_eq!(errors, [Reason::Slots("e1".parse().unwrap())]);
    }
}
