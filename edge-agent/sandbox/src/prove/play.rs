//! A script is run as an edge does it: planned as a whole, each app started when it is first called, its operations
//! called in order, and over with the first that fails.
//!
//! It begins with fresh apps. If it has come through and the equipment is still well, it is run again: residents stay
//! in memory, so what they leak or keep shows in it and in what they do.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use flotilla_schemas::fault::{Failure, Kind, kind};
use flotilla_schemas::proof::Slowest;
use flotilla_schemas::{AppId, PointId};
use flotilla_script::{Call, Step};

use super::actor::Actor;
use super::stage::{Access, Failing, Seat, Stage};
use crate::equipment::Simulator;
use crate::failure::overdue;
use crate::program::Instance;

/// What a script came to.
#[derive(Default)]
pub(super) struct Played {
    pub runs: u32,
    /// How it ended early, if it did.
    pub failed: Option<Failed>,
    pub calls: u64,
    pub accesses: BTreeSet<Access>,
    /// The kinds of fault that the equipment was seen to have, each with the app that met it, and where first.
    pub kinds: BTreeMap<(AppId, &'static str), PointId>,
    pub memory_bytes: BTreeMap<AppId, u64>,
    pub slowest: BTreeMap<AppId, Slowest>,
}

/// Where and how a run ended early.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failed {
    /// `line:column event`, and whether it was run again.
    pub place: String,
    /// The app that played; not the one that the list names, if an alternate stood in.
    pub app: AppId,
    pub operation: String,
    pub kind: Kind,
    pub code: Option<String>,
    pub message: String,
    /// What the app did that it was not granted.
    pub refusal: Option<String>,
}

/// Runs the steps, and again on the same apps if the equipment is still well.
pub(super) async fn play(
    steps: &[Step],
    actors: &BTreeMap<AppId, Actor<'_>>,
    simulator: &Simulator,
    failing: Option<&Failing>,
) -> Played {
    let stage = Stage::new(simulator, failing);
    let seats = actors.iter().map(|(name, actor)| (name, Seat::of(&actor.id, &stage))).collect();
    let mut play = Play { actors, stage, seats, running: BTreeMap::new(), played: Played::default() };
    play.run(steps).await;
    if play.played.failed.is_none() && play.stage.is_well() {
        play.running.retain(|name, _| actors.get(*name).is_some_and(Actor::stays));
        play.run(steps).await;
        play.played.failed.iter_mut().for_each(|failed| failed.place += ", run again");
    }
    let Play { stage, played, .. } = play;
    Played { accesses: stage.accesses(), kinds: stage.kinds(), ..played }
}

/// A play that is under way.
struct Play<'p> {
    actors: &'p BTreeMap<AppId, Actor<'p>>,
    stage: Arc<Stage>,
    seats: BTreeMap<&'p AppId, Arc<Seat>>,
    running: BTreeMap<&'p AppId, Instance>,
    played: Played,
}

impl Play<'_> {
    async fn run(&mut self, steps: &[Step]) {
        self.played.runs += 1;
        for step in steps {
            let Some(call) = &step.call else { continue };
            if let Err(failed) = self.call(step, call).await {
                self.played.failed = Some(failed);
                break;
            }
        }
    }

    async fn call(&mut self, step: &Step, call: &Call) -> Result<(), Failed> {
        let failed = |app: &AppId, failure, refusal| Failed::new(step, call, app, failure, refusal);
        let known = self.actors.get_key_value(&call.app).zip(self.seats.get(&call.app));
        let Some(((name, actor), seat)) = known else {
            let nobody = Failure::mild(kind::SCRIPT_INVALID, format!("there is no app {}", call.app));
            return Err(failed(&call.app, nobody, None));
        };
        let instance = match self.running.entry(name) {
            Entry::Occupied(running) => running.into_mut(),
            Entry::Vacant(place) => {
                let started = started(actor, seat.clone()).await;
                place.insert(started.map_err(|failure| failed(&actor.id, failure, None))?)
            }
        };
        self.stage.begin(&step.event, actor.manifest().limits.deadline_ms);
        let result = one(instance, call, &self.stage, &mut self.played, step, actor).await;
        let used = instance.used();
        let memory = self.played.memory_bytes.entry(actor.id.clone()).or_default();
        *memory = used.memory_bytes.max(*memory);
        match (result, used.refusal.clone()) {
            (Ok(()), None) => Ok(()),
            (Err(failure), refusal) => Err(failed(&actor.id, failure, refusal)),
            (Ok(()), refusal) => {
                Err(failed(&actor.id, Failure::mild(kind::ERROR, "it went on all the same"), refusal))
            }
        }
    }
}

async fn started(actor: &Actor<'_>, seat: Arc<Seat>) -> Result<Instance, Failure> {
    match &actor.program {
        Ok(program) => program.start(seat).await,
        Err(error) => Err(Failure::new(kind::RUNTIME, error.clone())),
    }
}

/// Calls one operation. What its equipment keeps too long ends as it would at its deadline.
async fn one(
    instance: &mut Instance,
    call: &Call,
    stage: &Stage,
    played: &mut Played,
    step: &Step,
    actor: &Actor<'_>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let result = tokio::select! {
        biased;
        result = instance.call(&call.operation, &call.args) => result.map(drop),
        () = stage.overdue() => Err(overdue(actor.manifest().limits.deadline_ms)),
    };
    let result = result.map_err(|failure| stage.said(failure));
    let busy_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    played.calls += 1;
    if result.is_ok() {
        let (operation, step) = (call.operation.clone(), step.event.to_string());
        let taken = Slowest { operation, step, busy_us, waited_ms: stage.waited_ms() };
        longer(&mut played.slowest, &actor.id, taken);
    }
    result
}

impl Failed {
    fn new(step: &Step, call: &Call, app: &AppId, failure: Failure, refusal: Option<String>) -> Self {
        Self {
            place: format!("{}:{} {}", step.line, step.col, step.event),
            app: app.clone(),
            operation: call.operation.clone(),
            kind: failure.kind,
            code: failure.code,
            message: failure.message,
            refusal,
        }
    }

    /// Whether it is the same thing that went wrong, wherever it did.
    pub fn is_like(&self, other: &Self) -> bool {
        let what = |failed: &Self| {
            let Self { app, operation, kind, code, refusal, .. } = failed.clone();
            (app, operation, kind, code, refusal)
        };
        what(self) == what(other)
    }
}

/// Keeps the operation of an app that took longer.
pub(super) fn longer(slowest: &mut BTreeMap<AppId, Slowest>, app: &AppId, other: Slowest) {
    let longest = slowest.entry(app.clone()).or_insert_with(|| other.clone());
    if longest.elapsed_us() < other.elapsed_us() {
        *longest = other;
    }
}
