//! Faults: classified, journaled, answered, watched, closed.
//!
//! ```text
//!  failed ──▶ Pending ──answer, own list──▶ Watching ──the service runs through──▶ closed
//!               ▲                              │
//!               └────────── failed again ──────┘        Told: a person was asked; the service tries on, more seldom
//! ```
//!
//! The ladder and its counters live here, on the edge. The first valid answer for the attempt that is due is
//! journaled, then given back as a [verdict](Verdict); no attempt is ever acted on twice. What the measure does is
//! done elsewhere, and what became of it is told here.

mod open;
mod system;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flotilla_schemas::countermeasure::{Answered, By, Countermeasures, Measure, Question, ReadList};
use flotilla_schemas::fault::{Answer, Closed, Failure, Fault, How, Kind};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{AppId, CenterId, Digest, FaultId, Json, PointId, ServiceId};

use crate::journal::Range;
use crate::out::Out;
use open::{OpenFault as Open, Phase, said};

pub(crate) use open::OpenFault;

/// How long each center has to answer before the next one steps in, and after the last of them the edge, in
/// milliseconds.
pub(crate) const ANSWER_MS: u64 = 2_000;

/// The most cured faults that are remembered; the oldest is forgotten first.
pub(crate) const CURED_MAX: usize = 256;

/// The most faults that are open at once; one more is recorded as an event, and treated by nobody.
pub(crate) const FAULTS_MAX: usize = 256;

/// Attempts that are made without a pause; each later one waits twice as long as the one before.
const PROMPT_ATTEMPTS: u32 = 2;

/// The longest pause before a service that fails is run again, in milliseconds.
pub(crate) const PAUSE_LAST_MS: u64 = 300_000;

/// The faults of an edge.
#[derive(Debug)]
pub(crate) struct Faults {
    open: BTreeMap<FaultId, Open>,
    cured: VecDeque<Cured>,
    policy: Countermeasures,
    /// Apps that are wanted and cannot run here, with why.
    unfit: BTreeSet<(AppId, Kind)>,
}

/// A fault that was cured; it counts while its rule's window lasts.
#[derive(Debug)]
struct Cured {
    app: AppId,
    kind: Kind,
    at_ms: u64,
    measures: u32,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub service: Option<ServiceId>,
    pub app: AppId,
    pub failure: Failure,
    /// Where in the script.
    pub step: Option<String>,
    /// The point of the device that did not answer well.
    pub point: Option<PointId>,
}

impl Seen {
    /// Outside of any run.
    pub fn of(app: AppId, failure: Failure) -> Self {
        Self { service: None, app, failure, step: None, point: None }
    }
}

/// A measure that was decided and journaled, and is to be carried out now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub fault: Box<Fault>,
    pub measure: Measure,
}

/// What becomes of something that failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Treatment {
    /// It is a fault: what failed waits until a measure was taken, at once if one was decided.
    Fault(FaultId, Option<Verdict>),
    /// It is recorded, and that is all.
    Recorded,
}

/// A service that is to be run again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retry {
    pub service: ServiceId,
    pub fault: FaultId,
    pub pause_ms: u64,
}

impl Default for Faults {
    fn default() -> Self {
        let (open, cured) = (BTreeMap::new(), VecDeque::new());
        Self { open, cured, policy: Countermeasures::standard(), unfit: BTreeSet::new() }
    }
}

impl Faults {
    /// A fault that was kept.
    pub fn found(&mut self, open: Open) {
        self.open.insert(open.id().clone(), open);
    }

    /// Takes these countermeasures in place of the former, rule by rule; the version of what holds now.
    pub fn adopt(&mut self, list: &Json, out: &mut Out) -> u64 {
        match Countermeasures::read(list) {
            Ok(ReadList { list, unread }) => {
                self.policy = list;
                unread.into_iter().for_each(|error| out.warn(format!("of the countermeasures, {error}")));
            }
            Err(error) => out.warn(format!("the countermeasures are held back: {error}")),
        }
        self.policy.version
    }

    /// Something failed: a fault, or more of one.
    pub fn failed(&mut self, seen: Seen, out: &mut Out) -> Treatment {
        if !out.config.treats_faults() {
            return recorded(seen, out);
        }
        let is_it = |fault: &Fault| {
            fault.app == seen.app
                && fault.kind == seen.failure.kind
                && fault.service == seen.service
                && fault.point == seen.point
        };
        let is_full = self.open.len() >= FAULTS_MAX;
        let id = match self.open.values_mut().find(|open| is_it(&open.fault)) {
            Some(open) => {
                open.seen_again(seen.failure, seen.step, self.policy.version);
                open.id().clone()
            }
            None if is_full => return recorded(seen, out),
            None => self.opened(seen, out),
        };
        let verdict = self.ask(&id, out);
        Treatment::Fault(id, verdict)
    }

    fn opened(&mut self, seen: Seen, out: &Out) -> FaultId {
        let seq = out.journal.lanes.lane(Lane::Fault).head + 1;
        let name = format!("{}/{}/{seq}", out.config.edge, out.journal.epoch);
        let id = FaultId::of(&Digest::of(name.as_bytes()));
        let attempt = self.cured_measures(&seen.app, &seen.failure, out.now.mono_ms).saturating_add(1);
        let kind = seen.failure.kind.clone();
        let (message, backtrace) = said(seen.failure);
        let fault = Fault {
            fault: id.clone(),
            kind,
            app: seen.app,
            service: seen.service,
            step: seen.step,
            point: seen.point,
            message,
            backtrace,
            attempt,
            count: 1,
            tried: Vec::new(),
            list_ver: self.policy.version,
            by: By::Center,
        };
        self.open.insert(id.clone(), Open::new(fault, out.now.mono_ms));
        id
    }

    /// How many measures cured the same lately.
    fn cured_measures(&self, app: &AppId, failure: &Failure, now_ms: u64) -> u32 {
        let question = Question { kind: &failure.kind, app, message: &failure.message, attempt: 1 };
        let cause = self.policy.cause(&question);
        let window_s = self.policy.rule(&question, &cause).map_or(0, |rule| rule.window_s);
        let recent = |cured: &&Cured| {
            cured.app == *app
                && cured.kind == failure.kind
                && now_ms - cured.at_ms.min(now_ms) <= u64::from(window_s) * 1000
        };
        self.cured.iter().filter(recent).map(|cured| cured.measures).fold(0, u32::saturating_add)
    }

    /// Journals the fault as it stands, and has somebody decide: the edge at once, or a center.
    fn ask(&mut self, id: &FaultId, out: &mut Out) -> Option<Verdict> {
        let open = self.open.get_mut(id)?;
        let answer = self.policy.answer(&open.question());
        open.fault.by = answer.by;
        open.record = open.record(Body::Fault(open.fault.clone()), out);
        open.decide_at = Some(decide_at(out));
        // The center is told before dashboards are: it is waited for.
        out.send_due();
        if answer.by == By::Edge {
            return self.decide(id, answer.measure, answer.cause, None, out);
        }
        keep(open, out);
        open.report(1, out);
        None
    }

    fn decide(
        &mut self,
        id: &FaultId,
        measure: Measure,
        cause: Kind,
        center: Option<CenterId>,
        out: &mut Out,
    ) -> Option<Verdict> {
        let open = self.open.get_mut(id)?;
        let (fault, attempt, text) = (id.clone(), open.fault.attempt, cause.to_string());
        open.record(Body::Restoration { fault, attempt, measure, cause: text, center }, out);
        (open.cause, open.decide_at) = (Some(cause), None);
        Some(Verdict { fault: Box::new(open.fault.clone()), measure })
    }

    /// The measure was carried out, if there was something to do: it is watched now, or a person is told. The service
    /// that is run again, the first times at once, then ever more seldom.
    pub fn treated(&mut self, verdict: &Verdict, done: bool, out: &mut Out) -> Option<Retry> {
        let open = self.open.get_mut(&verdict.fault.fault)?;
        let quarantined = done && verdict.measure == Measure::Quarantine;
        open.phase = if done && !quarantined { Phase::Watching } else { Phase::Told };
        open.tried(verdict.measure);
        keep(open, out);
        if open.is_told() {
            out.release();
        }
        if open.was_reported() {
            open.report(1, out);
        }
        out.status_due = true;
        let (service, fault) = (open.fault.service.clone()?, open.id().clone());
        (!quarantined).then(|| Retry { service, fault, pause_ms: pause_ms(open) })
    }

    /// A center says what to do.
    pub fn answered(&mut self, answer: Answer, out: &mut Out) -> Option<Verdict> {
        if answer.edge != out.config.edge || !out.config.treats_faults() {
            return None;
        }
        let open = self.open.get(&answer.fault).filter(|open| open.fault.attempt == answer.attempt)?;
        if open.is_pending() {
            let Answer { fault, measure, cause, center, .. } = answer;
            return self.decide(&fault, measure, cause, Some(center), out);
        }
        if open.fault.tried.last() != Some(&answer.measure) {
            let (fault, center) = (answer.fault.as_str().into(), answer.center.as_str().into());
            let measure = answer.measure.to_string().into();
            out.record_event("answer-ignored", [("fault", fault), ("center", center), ("measure", measure)]);
        }
        None
    }

    /// Faults that nobody answered in time are decided here, by the last list.
    pub fn due(&mut self, out: &mut Out) -> Vec<Verdict> {
        let now_ms = out.now.mono_ms;
        let overdue = |open: &&Open| open.is_pending() && open.decide_at.is_some_and(|at| at <= now_ms);
        let overdue = self.open.values().filter(overdue);
        let answers: Vec<_> =
            overdue.map(|open| (open.id().clone(), self.policy.answer(&open.question()))).collect();
        let decide = |(id, answer): (FaultId, Answered)| {
            let Answered { measure, cause, .. } = answer;
            self.decide(&id, measure, cause, None, out)
        };
        answers.into_iter().filter_map(decide).collect()
    }

    /// When a fault is decided here.
    pub fn wake_at(&self) -> Option<u64> {
        self.open.values().filter(|open| open.is_pending()).filter_map(|open| open.decide_at).min()
    }

    /// Something else is in place now: faults of this service that were waiting for an answer get another chance.
    pub fn retry(&mut self, service: &ServiceId, out: &mut Out) {
        for open in self.open.values_mut().filter(|open| open.fault.service.as_ref() == Some(service)) {
            (open.phase, open.decide_at) = (Phase::Watching, None);
            keep(open, out);
        }
    }

    /// The service ran through, or is gone: its faults are over.
    pub fn close_of(&mut self, service: &ServiceId, how: How, out: &mut Out) {
        self.close_where(|fault| fault.service.as_ref() == Some(service), how, out);
    }

    fn close_where(&mut self, is_over: impl Fn(&Fault) -> bool, how: How, out: &mut Out) {
        let over = self.open.values().filter(|open| is_over(&open.fault));
        let over: Vec<FaultId> = over.map(|open| open.id().clone()).collect();
        over.iter().for_each(|id| self.close(id, how, out));
    }

    fn close(&mut self, id: &FaultId, how: How, out: &mut Out) {
        let Some(open) = self.open.remove(id) else { return };
        let (now_ms, attempts) = (out.now.mono_ms, open.measures);
        let (app, kind, measure) =
            (open.fault.app.clone(), open.fault.kind.clone(), open.fault.tried.last().copied());
        if how == How::Cured {
            let (app, kind) = (app.clone(), kind.clone());
            self.cured.push_back(Cured { app, kind, at_ms: now_ms, measures: attempts });
            let excess = self.cured.len().saturating_sub(CURED_MAX);
            self.cured.drain(..excess);
        }
        let open_ms = now_ms - open.opened_ms.min(now_ms);
        let closed = Closed { fault: id.clone(), kind, app, how, measure, attempts, open_ms };
        out.record(Lane::Fault, Body::Closed(closed));
        out.forget(format!("fault/{id}"));
        self.report_closed(&open, out);
        out.status_due = true;
    }

    /// The fault is over: its retained report is emptied, unless another of its kind is still open there.
    fn report_closed(&self, over: &Open, out: &mut Out) {
        if !over.was_reported() {
            return over.report(0, out);
        }
        let other = self.open.values().find(|other| other.topic() == over.topic());
        match other {
            Some(other) => other.report(1, out),
            None if out.connected => out.clear(over.topic()),
            None => {}
        }
    }

    /// A new connection: everything open is reported again, and what is not answered is asked again, though the center
    /// may have the record already.
    pub fn connected(&self, out: &mut Out) {
        self.open.values().for_each(|open| open.report(1, out));
        for open in self.open.values().filter(|open| open.is_pending()) {
            out.send_records(Lane::Fault, Range { first: open.record, last: open.record });
        }
    }

    /// The broker retains a report of such a fault: it is emptied if none is open, whoever left it there.
    pub fn echo(&self, app: &AppId, kind: &Kind, out: &mut Out) {
        if !self.open.values().any(|open| open.fault.app == *app && open.fault.kind == *kind) {
            out.clear(EdgeTopic::Fault(app.clone(), kind.clone()));
        }
    }

    /// At boot: what was awaited is asked again, and how long a fault has been open is counted from now. What belongs to
    /// a service that is not there is over. Which services are held, and by what.
    pub fn reboot(&mut self, has: impl Fn(&ServiceId) -> bool, out: &mut Out) -> Vec<(ServiceId, FaultId)> {
        if !out.config.treats_faults() {
            self.close_where(|_| true, How::Moot, out);
        }
        self.close_where(|fault| fault.service.as_ref().is_some_and(|service| !has(service)), How::Moot, out);
        let mut held = Vec::new();
        for open in self.open.values_mut() {
            open.opened_ms = out.now.mono_ms;
            if open.is_pending() {
                open.decide_at = Some(decide_at(out));
                held.extend(open.fault.service.clone().map(|service| (service, open.id().clone())));
            }
        }
        held
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Whether a person was told of any.
    pub fn any_told(&self) -> bool {
        self.open.values().any(Open::is_told)
    }

    /// The services that have open faults.
    pub fn faulty(&self) -> BTreeSet<ServiceId> {
        self.open.values().filter_map(|open| open.fault.service.clone()).collect()
    }
}

/// When the edge decides itself about a fault that is asked about now.
fn decide_at(out: &Out) -> u64 {
    out.now.mono_ms + (out.config.fleet.centers.len() as u64 + 1) * ANSWER_MS
}

fn keep(open: &Open, out: &mut Out) {
    out.keep(format!("fault/{}", open.id()), open);
}

/// How long the service waits before it is run again.
fn pause_ms(open: &Open) -> u64 {
    let patience = if open.is_told() { 0 } else { PROMPT_ATTEMPTS };
    match open.fault.attempt.saturating_sub(patience) {
        0 => 0,
        doublings => (500 << doublings.min(16)).min(PAUSE_LAST_MS),
    }
}

/// Where faults are not treated: what failed is an event.
fn recorded(seen: Seen, out: &mut Out) -> Treatment {
    let service = seen.service.as_ref().map_or("", ServiceId::as_str).into();
    out.record_event(
        "failed",
        [
            ("app", seen.app.as_str().into()),
            ("kind", seen.failure.kind.as_str().into()),
            ("message", seen.failure.message.into()),
            ("service", service),
            ("step", seen.step.unwrap_or_default().into()),
        ],
    );
    Treatment::Recorded
}
