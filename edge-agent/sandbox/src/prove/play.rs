//! One run of a script, done as an edge does it: planned as a whole, each app started when it is first called, its
//! operations called in order, and over with the first that fails. Each run begins with fresh apps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use flotilla_schemas::fault::{Kind, kind as fault};
use flotilla_schemas::proof::Slowest;
use flotilla_schemas::{AppId, PointId};
use flotilla_script::{Call, Step};

use super::cast::{Actor, longer};
use super::stage::{Access, Failing, Seat, Stage};
use crate::equipment::Simulator;
use crate::failure::{Failure, kind};
use crate::program::Instance;

/// What a run came to.
#[derive(Default)]
pub(super) struct Played {
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
    /// `line:column event`.
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

/// Runs the steps.
pub(super) async fn play(
    steps: &[Step],
    actors: &BTreeMap<AppId, Actor<'_>>,
    simulator: &Simulator,
    failing: Option<&Failing>,
) -> Played {
    let stage = Stage::new(simulator, failing);
    let mut played = Played::default();
    let mut running: BTreeMap<&AppId, Instance> = BTreeMap::new();
    for (step, call) in steps.iter().filter_map(|step| Some((step, step.call.as_ref()?))) {
        let Some(actor) = actors.get(&call.app) else {
            let nobody = Failure::mild(fault::SCRIPT_INVALID, format!("there is no app {}", call.app));
            played.failed = Some(Failed::new(step, call, &call.app, nobody, None));
            break;
        };
        let failed = |failure, refusal| Some(Failed::new(step, call, &actor.id, failure, refusal));
        if !running.contains_key(&call.app) {
            match started(actor, &stage).await {
                Ok(instance) => running.insert(&call.app, instance),
                Err(failure) => {
                    played.failed = failed(failure, None);
                    break;
                }
            };
        }
        let Some(instance) = running.get_mut(&call.app) else { break };
        stage.begin(&step.event, actor.manifest().limits.deadline_ms);
        let result = one(instance, call, &stage, &mut played, step, actor).await;
        let used = instance.used();
        let memory = played.memory_bytes.entry(actor.id.clone()).or_default();
        *memory = used.memory_bytes.max(*memory);
        match (result, used.refusal.clone()) {
            (Ok(()), None) => {}
            (Err(failure), refusal) => {
                played.failed = failed(failure, refusal);
                break;
            }
            (Ok(()), refusal) => {
                played.failed = failed(Failure::mild(kind::ERROR, "it went on all the same"), refusal);
                break;
            }
        }
    }
    (played.accesses, played.kinds) = (stage.accesses(), stage.kinds());
    played
}

async fn started(actor: &Actor<'_>, stage: &std::sync::Arc<Stage>) -> Result<Instance, Failure> {
    match &actor.program {
        Ok(program) => program.start(Seat::of(&actor.id, stage)).await,
        Err(error) => Err(Failure::fatal(fault::RUNTIME, error.clone())),
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
        () = stage.overdue() => Err(Failure::overdue(actor.manifest().limits.deadline_ms)),
    };
    let result = result.map_err(|failure| Failure { message: stage.said(failure.message), ..failure });
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
