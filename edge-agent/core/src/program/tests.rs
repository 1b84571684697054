//! What runs, waits, fails and ends among the programs.

use super::*;
use crate::config::Config;
use crate::effect::{Act, Effect};
use crate::samples::{self, Sample};
use flotilla_schemas::FaultId;
use flotilla_schemas::countermeasure::{By, Measure};
use flotilla_schemas::desired::Trigger;
use flotilla_schemas::fault::{Fault, kind};
use std::sync::Arc;

/// Programs with a disk that has every file, and apps that do as they are told.
struct Room {
    programs: Programs,
    catalog: Catalog,
    out: Out,
    /// Apps that do not answer when they are called.
    silent: BTreeSet<AppId>,
    calls: Vec<AppId>,
    unanswered: Vec<(EffectId, AppId)>,
}

fn id(app: &str) -> AppId {
    app.parse().unwrap()
}

fn s() -> ServiceId {
    "s".parse().unwrap()
}

impl Room {
    fn new(releases: &[&Sample]) -> Self {
        let catalog = samples::catalog(1, releases.iter().map(|sample| sample.signed()));
        let (programs, out) = (Programs::default(), samples::out());
        Self { programs, catalog, out, silent: BTreeSet::new(), calls: vec![], unanswered: vec![] }
    }

    fn start(releases: &[&Sample]) -> Self {
        let mut room = Self::new(releases);
        room.want("s", Some(samples::service(releases, Trigger::EveryMs(1_000))));
        room
    }

    fn want(&mut self, name: &str, service: Option<Service>) {
        self.programs.want(name.parse().unwrap(), service, &mut self.out);
    }

    /// Works until nobody has anything to do at this moment; what happened.
    fn settle(&mut self) -> Vec<Happening> {
        let mut happened = Vec::new();
        loop {
            self.programs.advance(&mut self.catalog, &mut self.out);
            happened.extend(self.programs.take_happened());
            let effects = self.out.take_step().effects;
            if effects.is_empty() {
                return happened;
            }
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    fn carry_out(&mut self, Effect { id, act }: Effect) {
        let out = &mut self.out;
        match act {
            Act::Look(artifact) => {
                let whole = Outcome::Missing(Vec::new());
                self.programs.looked(id, artifact.digest, whole, &self.catalog, out);
            }
            Act::Load { app, .. } => self.programs.loaded(&app, id, Outcome::Done, out),
            Act::Call { app, .. } => {
                self.calls.push(app.clone());
                if self.silent.contains(&app) {
                    self.unanswered.push((id, app));
                } else {
                    self.programs.called(&app, id, Outcome::Value(Value::None), out);
                }
            }
            _ => {}
        }
    }

    fn pass(&mut self, ms: u64) -> Vec<Happening> {
        self.out.now.mono_ms += ms;
        self.settle()
    }

    fn service(&self) -> &ServiceState {
        &self.programs.services[&s()]
    }
}

fn fault(app: &str) -> Fault {
    Fault {
        fault: FaultId::of(&Digest::of(b"f")),
        kind: Kind::of(kind::TRAP_UNREACHABLE),
        app: id(app),
        service: Some(s()),
        step: None,
        point: None,
        message: String::new(),
        backtrace: vec![],
        attempt: 1,
        count: 1,
        tried: vec![],
        list_ver: 0,
        by: By::Center,
    }
}

#[test]
fn what_is_wanted_is_installed_runs_and_runs_again_when_it_is_due() {
    let meter = samples::app("meter");
    let mut room = Room::start(&[&meter]);
    assert_eq!(room.settle(), [Happening::Installed(s()), Happening::Ran(s())]);
    assert_eq!(room.programs.wake_at(false), Some(1_000));
    assert_eq!(room.pass(999), []);
    assert_eq!(room.pass(1), [Happening::Ran(s())]);
    let app = room.programs.app(&id("meter")).unwrap();
    assert_eq!((room.calls.len(), app.loads), (2, 1), "a resident is loaded once");
}

#[test]
fn a_transient_leaves_memory_and_disk_after_each_run() {
    let meter = samples::app("meter").transient();
    let mut room = Room::start(&[&meter]);
    room.settle();
    let app = room.programs.app(&id("meter")).unwrap();
    assert!(app.loaded.is_none() && !room.programs.downloads.has(&meter.code()));
    room.pass(1_000);
    assert_eq!(room.programs.app(&id("meter")).unwrap().loads, 2);
}

#[test]
fn a_run_that_fails_is_told_of_and_its_service_is_not_run_before_it_was_treated() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.silent.insert(id("meter"));
    room.settle();
    let (call, app) = room.unanswered.remove(0);
    let failure = Failure::new(kind::TRAP_UNREACHABLE, "it broke");
    room.programs.called(&app, call, Outcome::Failed(failure), &mut room.out);
    let happened = room.settle();
    assert!(matches!(&happened[..], [Happening::Failed { app, .. }] if *app == id("meter")), "{happened:?}");
    let fault = fault("meter").fault;
    room.programs.hold(&s(), fault.clone());
    assert_eq!((room.pass(10_000), room.calls.len()), (vec![], 1));
    room.programs.try_again(&s(), &fault, 500, room.out.now.mono_ms);
    assert_eq!((room.pass(499), room.calls.len()), (vec![], 1));
    room.pass(1);
    assert_eq!(room.calls.len(), 2);
}

#[test]
fn what_fails_in_a_service_that_was_stopped_meanwhile_is_nobodys() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.silent.insert(id("meter"));
    room.settle();
    room.want("s", None);
    let (call, app) = room.unanswered.remove(0);
    let failure = Failure::new(kind::DEADLINE, "it hangs");
    room.programs.called(&app, call, Outcome::Failed(failure), &mut room.out);
    assert_eq!(room.settle(), [Happening::Gone(s())]);
    assert!(!room.programs.has(&s()) && room.programs.apps().count() == 0);
}

#[test]
fn an_app_that_never_answers_fails_its_run_and_stays_taken_until_it_does() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.silent.insert(id("meter"));
    room.settle();
    let (call, app) = room.unanswered.remove(0);
    room.programs.call_overdue(&app, call, &mut room.out);
    assert_eq!(room.out.take_step().effects.last().unwrap().act, Act::Unload(app.clone()), "it is cancelled");
    assert!(matches!(&room.programs.take_happened()[..], [Happening::Failed { .. }]));
    room.programs.try_again(&s(), &fault("meter").fault, 0, 0);
    room.programs.go_on(&s(), 0, &mut room.out);
    room.pass(5_000);
    assert_eq!((room.calls.len(), room.programs.app(&app).unwrap().is_busy()), (1, true));
    room.silent.clear();
    room.programs.called(&app, call, Outcome::Failed(Failure::new(kind::HOST, "it died")), &mut room.out);
    room.settle();
    assert_eq!((room.calls.len(), room.programs.app(&app).unwrap().loads), (2, 2), "loaded anew, and called");
}

#[test]
fn an_app_that_never_comes_into_memory_fails_its_run() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.programs.advance(&mut room.catalog, &mut room.out);
    let effects = room.out.take_step().effects;
    effects.into_iter().for_each(|effect| room.carry_out(effect));
    room.programs.advance(&mut room.catalog, &mut room.out);
    let load = room.out.take_step().effects.into_iter().find(|e| matches!(e.act, Act::Load { .. })).unwrap();
    room.programs.take_happened();
    room.programs.load_overdue(&id("meter"), load.id, &mut room.out);
    assert!(matches!(&room.programs.take_happened()[..], [Happening::Failed { .. }]));
    assert!(room.programs.app(&id("meter")).unwrap().is_busy());
    room.programs.loaded(&id("meter"), load.id, Outcome::Done, &mut room.out);
    let app = room.programs.app(&id("meter")).unwrap();
    assert!(!app.is_busy() && app.loaded.is_none(), "what came too late is taken out again");
}

#[test]
fn what_an_app_keeps_is_forgotten_with_its_last_service() {
    let meter = samples::app("meter");
    let mut room = Room::start(&[&meter]);
    room.want("t", Some(samples::service(&[&meter], Trigger::EveryMs(1_000))));
    room.settle();
    let forgotten = |room: &mut Room| {
        let persist = room.out.take_step().persist;
        persist.iter().any(|change| matches!(change, crate::effect::Persist::DeleteKeys(_)))
    };
    room.want("s", None);
    assert!(!forgotten(&mut room));
    room.want("t", None);
    assert!(forgotten(&mut room));
}

#[test]
fn a_service_that_nobody_knows_is_not_made_by_stopping_or_asking() {
    let mut room = Room::new(&[]);
    room.want("ghost", None);
    room.programs.hold(&"ghost".parse().unwrap(), fault("meter").fault);
    room.programs.app_event(&id("ghost"), "x".into(), BTreeMap::new(), &mut room.out);
    assert_eq!((room.programs.services(), room.programs.apps().count()), (0, 0));
    assert_eq!(room.programs.take_happened(), []);
}

#[test]
fn an_alternate_takes_over_if_it_is_at_hand_and_a_person_undoes_that() {
    let (north, south) = (samples::app("north").alternate("south"), samples::app("south"));
    let mut room = Room::start(&[&north, &south]);
    room.settle();
    assert!(room.programs.carry_out(&fault("north"), Measure::Replace, &mut room.out));
    room.pass(1_000);
    assert_eq!(room.calls, [id("north"), id("south")]);
    assert!(!room.programs.carry_out(&fault("south"), Measure::Replace, &mut room.out), "it has none");
    let restarted = room.programs.restart_app(&id("north"), &mut room.out).unwrap();
    assert_eq!(restarted.to_string(), "north runs again in place of south");
    room.settle();
    assert_eq!(room.calls.last(), Some(&id("north")));
    let unused = room.programs.restart_app(&id("west"), &mut room.out).unwrap_err();
    assert_eq!(unused.to_string(), "no service of this edge uses west");
}

#[test]
fn an_app_in_quarantine_is_not_called_and_its_service_says_why_it_waits() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.settle();
    assert!(room.programs.carry_out(&fault("meter"), Measure::Quarantine, &mut room.out));
    room.pass(1_000);
    assert_eq!(room.calls.len(), 1);
    assert!(room.programs.why_app_waits(&id("meter")).contains("in quarantine"));
    room.programs.restart_app(&id("meter"), &mut room.out).unwrap();
    room.settle();
    assert_eq!(room.calls.len(), 2);
}

#[test]
fn a_reinstallation_throws_away_what_the_fault_concerns_and_nothing_else() {
    let (north, south) = (samples::app("north").alternate("south"), samples::app("south"));
    let mut room = Room::start(&[&north, &south]);
    room.settle();
    assert!(room.programs.carry_out(&fault("north"), Measure::Reinstall, &mut room.out));
    let downloads = &room.programs.downloads;
    assert!(!downloads.has(&north.code()) && downloads.has(&south.code()));
}

#[test]
fn an_app_that_cannot_run_here_is_not_installed_and_what_runs_goes_on() {
    let meter = samples::app("meter");
    let mut room = Room::start(&[&meter]);
    room.settle();
    let foreign = Config { runtime: "another".into(), ..(*room.out.config).clone() };
    let config = std::mem::replace(&mut room.out.config, Arc::new(foreign));
    let mut newer = samples::service(&[&meter], Trigger::EveryMs(2_000));
    newer.started = 2;
    room.want("s", Some(newer));
    let unfit = room.programs.install_due(&mut room.catalog, &mut room.out);
    assert_eq!(unfit[&id("meter")].kind.as_str(), kind::RUNTIME);
    room.out.config = config;
    assert_eq!(room.service().kept.current.as_ref().unwrap().service.started, 1);
}

#[test]
fn events_of_an_app_between_two_calls_are_no_more_than_the_most() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.settle();
    room.out.take_step();
    for _ in 0..EVENTS_MAX + 10 {
        room.programs.app_event(&id("meter"), "x".into(), BTreeMap::new(), &mut room.out);
    }
    assert_eq!(room.out.take_step().persist.len() as u32, EVENTS_MAX + 1, "and one that says so");
    room.pass(1_000);
    room.out.take_step();
    room.programs.app_event(&id("meter"), "x".into(), BTreeMap::new(), &mut room.out);
    assert_eq!(room.out.take_step().persist.len(), 1);
}

#[test]
fn apps_that_together_do_not_fit_run_each_in_turn() {
    let (north, south) = (samples::app("north"), samples::app("south"));
    let mut room = Room::new(&[&north, &south]);
    let mut config = Config::clone(&room.out.config);
    config.profile.memory_bytes_max = Some(fit::memory_of(&config, &north.release()) + 1);
    room.out.config = Arc::new(config);
    room.want("a", Some(samples::service(&[&north], Trigger::EveryMs(1_000))));
    room.want("b", Some(samples::service(&[&south], Trigger::EveryMs(1_000))));
    for _ in 0..5 {
        room.pass(1_000);
        let loaded = room.programs.apps().filter(|(_, app)| app.loaded.is_some()).count();
        assert_eq!(loaded, 1);
    }
    let of = |app: &str| room.calls.iter().filter(|called| **called == id(app)).count();
    assert_eq!((of("north"), of("south")), (5, 5));
}

#[test]
fn at_boot_what_was_current_is_verified_and_runs_without_a_catalog() {
    let mut room = Room::start(&[&samples::app("meter")]);
    room.settle();
    let kept = room.service().kept.clone();
    let mut again = Room::new(&[]);
    again.programs.found_service(s(), kept.clone());
    let service = kept.current.as_ref().unwrap().service.clone();
    again.want("s", Some(service));
    again.programs.reopen(again.catalog.publishers(), &again.out);
    assert_eq!((again.settle(), again.calls.len()), (vec![Happening::Ran(s())], 1));
    let mut stranger = Room::new(&[]);
    let mut forged = kept;
    let app = samples::app("meter").signed_by("stranger");
    forged.current.as_mut().unwrap().apps.insert(id("meter"), app);
    stranger.programs.found_service(s(), forged);
    stranger.programs.reopen(stranger.catalog.publishers(), &stranger.out);
    assert!(stranger.programs.services[&s()].opened.is_none());
}
