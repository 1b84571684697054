//! What an edge should be: the join of all documents that concern it.
//!
//! ```text
//! countermeasures ────────────────────────────────────────▶ policy
//! service + newest script, if it runs one + newest apps ─▶ service/<s>
//! ```
//!
//! A slot's key is the greatest version among the documents that its value is made of, so a new release of a script
//! or an app, too, replaces what was there. Nothing is decided here and nothing remembered: the same documents give
//! the same state on every center. What another center retained with a greater key is joined in.

use std::collections::BTreeMap;

use flotilla_schemas::desired::{self, Desired, Item, Service, Slot, Wanted};
use flotilla_schemas::{AppId, Digest, EdgeId, Json};

use crate::document::{On, Run, Ver, Work};
use crate::present::Present;

/// What the documents say of an edge.
pub fn join(present: Present<'_>, edge: &EdgeId) -> BTreeMap<Slot, Item> {
    let policy = present.documents.countermeasures().and_then(|(ver, list)| {
        let value = Wanted::Policy(Json::of(list).ok()?);
        Some((Slot::Policy, Item::new(ver.key(), &value).ok()?))
    });
    let services = present.documents.services().filter_map(|service| {
        let item = item(present, present.documents.on(service, edge)?)?;
        Some((Slot::Service(service.clone()), item))
    });
    policy.into_iter().chain(services).collect()
}

/// Joins what was heard into what is said: the greater item of each slot. What is of another era is void.
pub fn join_heard(items: &mut BTreeMap<Slot, Item>, heard: &Desired, era: u32) {
    for (slot, other) in heard.items.iter().filter(|(_, item)| item.key().era == era) {
        if items.get(slot).is_none_or(|item| other.replaces(item)) {
            items.insert(slot.clone(), other.clone());
        }
    }
}

/// A service on one edge; none while something that it needs is unknown here, so that the edge keeps what it has.
fn item(present: Present<'_>, on: &On) -> Option<Item> {
    let Some(run) = &on.run else {
        return Item::new(on.ver.key(), &Wanted::Gone).ok();
    };
    let (work, named, work_ver) = work(present, &on.work, run)?;
    let (apps, newest_app) = apps(present, named)?;
    let newest = [Some(&on.ver), work_ver, newest_app].into_iter().flatten().max()?;
    let value = Wanted::Service(Service { work, apps, trigger: run.trigger, started: on.ver.n });
    Item::new(newest.key(), &value).ok()
}

/// What a run does, the apps that it names, and the version of its script if it has one.
fn work<'a>(
    present: Present<'a>,
    work: &'a Work,
    run: &'a Run,
) -> Option<(desired::Work, Vec<&'a AppId>, Option<&'a Ver>)> {
    match work {
        Work::App(app) => Some((desired::Work::App(app.clone()), vec![app], None)),
        Work::Script(script) => {
            let (listed, events) = (present.catalog.script(script)?, run.events.clone()?);
            let (_, document) = present.documents.script(script)?;
            let named = document.apps.get(&events)?.iter().collect();
            let (script, release) = (script.clone(), listed.digest);
            Some((desired::Work::Script { script, release, events }, named, Some(&listed.ver)))
        }
    }
}

/// The newest releases of these apps and of their published alternates, and the greatest version among them.
fn apps<'a>(present: Present<'a>, named: Vec<&AppId>) -> Option<(BTreeMap<AppId, Digest>, Option<&'a Ver>)> {
    let (mut apps, mut newest) = (BTreeMap::new(), None);
    for app in named {
        let listed = present.catalog.app(app)?;
        let alternates = listed.release.manifest.alternates.iter();
        let alternates = alternates.filter_map(|other| Some((other, present.catalog.app(other)?)));
        for (app, listed) in alternates.chain([(app, listed)]) {
            apps.insert(app.clone(), listed.digest);
            newest = newest.max(Some(&listed.ver));
        }
    }
    Some((apps, newest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Body;
    use crate::samples::{World, app};
    use crate::service::{ServiceStart, ServiceStop};
    use flotilla_schemas::countermeasure::Countermeasures;

    fn started() -> World {
        let mut world = World::default();
        world.edges(&["e1", "e2"]);
        world.publish(app("a", "1.0.0", &["b", "unpublished"])).publish(app("b", "1.0.0", &["c"]));
        world.apps(&["c"]);
        world.script("cooling", "1.0.0", &[("large", &["a"])]);
        let edges = vec!["e1".parse().unwrap()];
        let start = ServiceStart { script: None, app: None, edges, events: None, trigger: None };
        let parts = world.present().start("cooling".parse().unwrap(), &start).unwrap();
        world.serve(parts);
        world
    }

    fn service(world: &World, edge: &str) -> Option<(u64, Wanted)> {
        let items = join(world.present(), &edge.parse().unwrap());
        let item = items.get(&Slot::Service("cooling".parse().unwrap()))?;
        Some((item.key().n, item.wanted().unwrap()))
    }

    fn running(world: &World) -> (u64, Service) {
        match service(world, "e1") {
            Some((n, Wanted::Service(service))) => (n, service),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_service_brings_the_apps_of_its_list_and_their_published_alternates() {
        let (n, service) = running(&started());
        let names: Vec<&str> = service.apps.keys().map(AppId::as_str).collect();
        assert_eq!((n, service.started, names), (5, 5, vec!["a", "b"]));
    }

    #[test]
    fn a_new_script_changes_the_slot_and_touches_no_app() {
        let mut world = started();
        let (_, before) = running(&world);
        world.script("cooling", "1.1.0", &[("large", &["a"])]);
        let (n, after) = running(&world);
        assert_eq!((n, after.started), (6, 5), "a one-off does not run again");
        assert_eq!(after.apps, before.apps);
        assert_ne!(after.work, before.work);
    }

    #[test]
    fn a_new_release_of_an_alternate_changes_the_slot() {
        let mut world = started();
        world.publish(app("b", "1.1.0", &["c"]));
        let (n, after) = running(&world);
        assert_eq!((n, after.started), (6, 5));
    }

    #[test]
    fn a_stop_concerns_its_edge_alone_and_no_edge_gets_what_it_was_not_given() {
        let mut world = started();
        assert_eq!(service(&world, "e2"), None);
        let stop = ServiceStop { edges: vec!["e1".parse().unwrap()] };
        let parts = world.present().stop("cooling".parse().unwrap(), &stop).unwrap();
        world.serve(parts);
        assert_eq!(service(&world, "e1"), Some((6, Wanted::Gone)));
    }

    #[test]
    fn countermeasures_are_for_every_edge() {
        let mut world = started();
        world.decide(Body::Countermeasures(Countermeasures { version: 6, ..Countermeasures::default() }));
        assert!(join(world.present(), &"e2".parse().unwrap()).contains_key(&Slot::Policy));
    }

    #[test]
    fn what_was_heard_wins_only_with_a_greater_key() {
        let world = started();
        let edge: EdgeId = "e1".parse().unwrap();
        let mut items = join(world.present(), &edge);
        let slot = Slot::Service("cooling".parse().unwrap());
        let ours = items.get(&slot).unwrap().clone();
        let heard = |n: u64| Desired {
            v: 1,
            fleet: "f".parse().unwrap(),
            edge: edge.clone(),
            edge_epoch: "x".parse().unwrap(),
            min_catalog: 0,
            retired: false,
            items: BTreeMap::from([(
                slot.clone(),
                Item::new(flotilla_schemas::desired::Key { n, ..ours.key().clone() }, &Wanted::Gone).unwrap(),
            )]),
        };
        join_heard(&mut items, &heard(1), 1);
        assert_eq!(items[&slot], ours);
        join_heard(&mut items, &heard(99), 2);
        assert_eq!(items[&slot], ours, "of another era");
        join_heard(&mut items, &heard(99), 1);
        assert_eq!(items[&slot].wanted(), Ok(Wanted::Gone));
    }
}
