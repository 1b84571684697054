//! Faults: classified, journaled, answered, treated, watched, closed.
//!
//! ```text
//!  failed ──▶ Pending ──answer, own list──▶ Watching ──the service runs through──▶ closed
//!               ▲                              │
//!               └────────── failed again ──────┘        Told: a person was asked; the service tries on, more seldom
//! ```
//!
//! The ladder and its counters live here, on the edge. The first valid answer for the attempt that is due is
//! journaled, then done; no attempt is ever acted on twice.

use flotilla_schemas::countermeasure::{By, Question};
use flotilla_schemas::fault::{Answer, Closed, Fault, How, Kind, kind};
use flotilla_schemas::journal::{Ack, Body, Lane};
use flotilla_schemas::{AppId, Digest, EpochId, FaultId, PointId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::effect::Persist;
use crate::input::Failure;
use crate::journal::Range;

/// How long each center has to answer before the next one steps in, and after the last of them the edge, in
/// milliseconds.
pub const ANSWER_MS: u64 = 2_000;

/// The longest message and line of a backtrace, in characters, and the most lines.
const MESSAGE_CHARS: usize = 1024;
const LINES_MAX: usize = 32;

/// The most cured faults that are remembered; the oldest is forgotten first.
const CURED_MAX: usize = 256;

/// A fault that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenFault {
    pub fault: Fault,
    /// The number of its last record; 0 before the first.
    #[serde(default)]
    pub record: u64,
    pub phase: Phase,
    /// Why it happened; none until somebody said.
    pub cause: Option<Kind>,
    /// When it was opened, in Unix milliseconds.
    pub opened_wall_ms: i64,
    /// When it was opened, in running time of this session.
    #[serde(skip)]
    pub opened_ms: u64,
    /// When the edge decides itself, in running time of this session.
    #[serde(skip)]
    pub decide_at: Option<u64>,
}

/// Where a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// An answer is awaited.
    Pending,
    /// A measure was taken; the next run shows whether it held.
    Watching,
    /// A person was told.
    Told,
}

/// A fault that was cured; it counts while its rule's window lasts.
#[derive(Debug)]
pub(crate) struct Cured {
    app: AppId,
    kind: Kind,
    at_ms: u64,
    attempts: u32,
}

impl OpenFault {
    pub fn is_told(&self) -> bool {
        self.phase == Phase::Told
    }

    /// Whether it stands among the retained reports: what the edge cures alone does not, until a person is needed.
    pub fn was_reported(&self) -> bool {
        self.fault.by == By::Center || self.is_told()
    }
}

impl Core {
    /// Something failed in a run of a service.
    pub(crate) fn failed(&mut self, service: &ServiceId, app: AppId, failure: Failure, step: Option<String>) {
        let known = self.faults.iter().find(|(_, open)| {
            let fault = &open.fault;
            fault.app == app && fault.kind == failure.kind && fault.service.as_ref() == Some(service)
        });
        let id = match known.map(|(id, _)| id.clone()) {
            Some(id) => self.seen_again(id, failure, step),
            None => self.opened(Some(service.clone()), app, failure, step, None),
        };
        self.service(service.clone()).held = Some(id.clone());
        self.service(service.clone()).waits = format!("fault {id} is treated");
        self.ask(&id);
    }

    pub(crate) fn opened(
        &mut self,
        service: Option<ServiceId>,
        app: AppId,
        failure: Failure,
        step: Option<String>,
        point: Option<PointId>,
    ) -> FaultId {
        let seq = self.lanes.lane(Lane::Fault).head + 1;
        let name = format!("{}/{}/{seq}", self.config.edge, self.epoch);
        let id = FaultId::of(&Digest::of(name.as_bytes()));
        let attempt = 1 + self.cured_attempts(&app, &failure);
        let Failure { kind, message, backtrace, .. } = failure;
        let fault = Fault {
            fault: id.clone(),
            kind,
            app,
            service,
            step,
            point,
            message: message.chars().take(MESSAGE_CHARS).collect(),
            backtrace: cut(backtrace),
            attempt,
            count: 1,
            tried: Vec::new(),
            list_ver: self.policy.version,
            by: By::Center,
        };
        let (opened_wall_ms, opened_ms) = (self.now.wall_ms, self.now.mono_ms);
        let open = OpenFault {
            fault,
            record: 0,
            phase: Phase::Pending,
            cause: None,
            opened_wall_ms,
            opened_ms,
            decide_at: None,
        };
        self.faults.insert(id.clone(), open);
        id
    }

    fn cured_attempts(&mut self, app: &AppId, failure: &Failure) -> u32 {
        let question = Question { kind: &failure.kind, app, message: &failure.message, attempt: 1 };
        let cause = self.policy.cause(&question);
        let window_s = self.policy.rule(&question, &cause).map_or(0, |rule| rule.window_s);
        let now = self.now.mono_ms;
        let recent = |cured: &&Cured| {
            cured.app == *app
                && cured.kind == failure.kind
                && now - cured.at_ms.min(now) <= u64::from(window_s) * 1000
        };
        self.cured.iter().filter(recent).map(|cured| cured.attempts).sum()
    }

    fn seen_again(&mut self, id: FaultId, failure: Failure, step: Option<String>) -> FaultId {
        let list_ver = self.policy.version;
        if let Some(open) = self.faults.get_mut(&id) {
            open.fault.count += 1;
            open.fault.list_ver = list_ver;
            open.fault.step = step;
            open.fault.message = failure.message.chars().take(MESSAGE_CHARS).collect();
            open.fault.backtrace = cut(failure.backtrace);
            if open.phase != Phase::Pending {
                open.fault.attempt += 1;
                open.phase = Phase::Pending;
            }
        }
        id
    }

    /// Journals the fault as it stands, and has somebody decide: the edge at once, or a center.
    pub(crate) fn ask(&mut self, id: &FaultId) {
        let Some(open) = self.faults.get(id) else { return };
        let mut fault = open.fault.clone();
        let answer = self.policy.answer(&question(&fault));
        fault.by = answer.by;
        let decide_at = self.decide_at();
        let record = self.record(Lane::Fault, Body::Fault(fault.clone())).seq;
        if let Some(open) = self.faults.get_mut(id) {
            (open.record, open.fault, open.decide_at) = (record, fault, Some(decide_at));
        }
        // The center is told before dashboards are: it is waited for.
        self.journal_due();
        if answer.by == By::Edge {
            self.restore(id, answer.measure, answer.cause, None);
        } else {
            self.keep_fault(id);
            self.report_fault(id);
        }
    }

    /// When the edge decides itself about a fault that is asked about now.
    fn decide_at(&self) -> u64 {
        self.now.mono_ms + (self.config.fleet.centers.len() as u64 + 1) * ANSWER_MS
    }

    pub(crate) fn keep_fault(&mut self, id: &FaultId) {
        if let Some(open) = self.faults.get(id).cloned() {
            self.keep(format!("fault/{id}"), &open);
        }
    }

    /// A center says what to do.
    pub(crate) fn answered(&mut self, answer: Answer) {
        if answer.edge != self.config.edge || !self.treats_faults() {
            return;
        }
        let due = |open: &OpenFault| open.phase == Phase::Pending && open.fault.attempt == answer.attempt;
        let contradicts = |open: &OpenFault| {
            open.fault.attempt == answer.attempt && open.fault.tried.last() != Some(&answer.measure)
        };
        let fault = self.faults.get(&answer.fault);
        if fault.is_some_and(due) {
            self.restore(&answer.fault, answer.measure, answer.cause, Some(answer.center));
        } else if fault.is_some_and(contradicts) {
            let (fault, center) = (answer.fault.as_str().into(), answer.center.as_str().into());
            let measure = answer.measure.to_string().into();
            self.record_event("answer-ignored", [("fault", fault), ("center", center), ("measure", measure)]);
        }
    }

    /// Faults that nobody answered in time are decided here, by the last list.
    pub(crate) fn faults_due(&mut self) {
        if !self.treats_faults() {
            return;
        }
        let now = self.now.mono_ms;
        let overdue =
            |open: &OpenFault| open.phase == Phase::Pending && open.decide_at.is_some_and(|at| at <= now);
        let ids: Vec<FaultId> =
            self.faults.iter().filter(|(_, open)| overdue(open)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            if let Some(answer) = self.faults.get(&id).map(|open| self.policy.answer(&question(&open.fault)))
            {
                self.restore(&id, answer.measure, answer.cause, None);
            }
        }
    }

    pub(crate) fn faults_wake(&self) -> Option<u64> {
        let pending = self.faults.values().filter(|open| open.phase == Phase::Pending);
        pending.filter_map(|open| open.decide_at).min()
    }

    /// Something else is in place now: faults of this service that were waiting for an answer get another chance.
    pub(crate) fn retry_faults(&mut self, service: &ServiceId) {
        for id in self.faults_of(service) {
            if let Some(open) = self.faults.get_mut(&id) {
                open.phase = Phase::Watching;
                open.decide_at = None;
            }
            self.keep_fault(&id);
        }
    }

    fn faults_of(&self, service: &ServiceId) -> Vec<FaultId> {
        let of = |open: &&OpenFault| open.fault.service.as_ref() == Some(service);
        self.faults.values().filter(of).map(|open| open.fault.fault.clone()).collect()
    }

    /// The service ran through, or is gone: its faults are over.
    pub(crate) fn close_faults(&mut self, service: &ServiceId, how: How) {
        for id in self.faults_of(service) {
            self.close_fault(&id, how);
        }
    }

    pub(crate) fn close_fault(&mut self, id: &FaultId, how: How) {
        let Some(open) = self.faults.remove(id) else { return };
        let (fault, opened_ms) = (&open.fault, open.opened_ms);
        let (now, attempts) = (self.now.mono_ms, fault.tried.len() as u32);
        let (app, kind, measure) = (fault.app.clone(), fault.kind.clone(), fault.tried.last().copied());
        if how == How::Cured {
            self.cured.push(Cured { app: app.clone(), kind: kind.clone(), at_ms: now, attempts });
            let excess = self.cured.len().saturating_sub(CURED_MAX);
            self.cured.drain(..excess);
        }
        let open_ms = now - opened_ms.min(now);
        let closed = Closed { fault: id.clone(), kind, app, how, measure, attempts, open_ms };
        self.record(Lane::Fault, Body::Closed(closed));
        self.forget(format!("fault/{id}"));
        self.report_closed(&open);
        self.reports.status_soon();
    }

    /// At boot: what was awaited is asked again, and how long a fault has been open is counted from now.
    pub(crate) fn reboot_faults(&mut self) {
        let decide_at = self.decide_at();
        for open in self.faults.values_mut() {
            open.opened_ms = self.now.mono_ms;
            if open.phase == Phase::Pending {
                open.decide_at = Some(decide_at);
                let held = open.fault.service.as_ref().and_then(|id| self.services.get_mut(id));
                if let Some(service) = held {
                    service.held = Some(open.fault.fault.clone());
                }
            }
        }
    }

    /// A new connection: what is not answered is asked again, though the center may have the record already.
    pub(crate) fn ask_again(&mut self) {
        let pending = self.faults.values().filter(|open| open.phase == Phase::Pending);
        let records: Vec<u64> = pending.map(|open| open.record).collect();
        for seq in records {
            self.send_records(Lane::Fault, Range { first: seq, last: seq });
        }
    }

    /// A center holds other records than this journal wrote: the journal gets a new name under which all that it
    /// holds is sent again, and a person is told.
    pub(crate) fn forked(&mut self, ack: &Ack) {
        let name = format!("{}/{}", self.epoch, self.config.session);
        self.warn(format!(
            "{} holds other records than this journal: its disk was restored or cloned",
            ack.center
        ));
        self.epoch = EpochId::of(&Digest::of(name.as_bytes()));
        self.step.persist.push(Persist::Epoch(self.epoch.clone()));
        self.lanes.renamed();
        let text = format!("{} holds other records at the same positions of the journal", ack.center);
        self.system_fault(Failure::new(kind::JOURNAL_FORK, text));
    }

    /// The disk takes no more, or takes again.
    pub(crate) fn storage(&mut self, error: Option<String>) {
        self.storage_full = error.is_some();
        match error {
            Some(error) => self.system_fault(Failure::new(kind::STORAGE_FULL, error)),
            None => self.system_cured(kind::STORAGE_FULL),
        }
    }

    /// A fault of the edge itself, about which only a person can do something.
    fn system_fault(&mut self, failure: Failure) {
        if self.fault_of_system(failure.kind.as_str()).is_none() {
            self.own_fault(AppId::system(), failure);
        }
    }

    /// A fault outside of any run.
    pub(crate) fn own_fault(&mut self, app: AppId, failure: Failure) {
        if self.treats_faults() {
            let id = self.opened(None, app, failure, None, None);
            self.ask(&id);
        } else {
            self.record_failure(None, &app, failure, None);
        }
    }

    fn system_cured(&mut self, kind: &str) {
        if let Some(id) = self.fault_of_system(kind) {
            self.close_fault(&id, How::Cured);
        }
    }

    fn fault_of_system(&self, kind: &str) -> Option<FaultId> {
        let of = |open: &&OpenFault| open.fault.service.is_none() && open.fault.kind.as_str() == kind;
        self.faults.values().find(of).map(|open| open.fault.fault.clone())
    }
}

fn question(fault: &Fault) -> Question<'_> {
    Question { kind: &fault.kind, app: &fault.app, message: &fault.message, attempt: fault.attempt }
}

fn cut(backtrace: Vec<String>) -> Vec<String> {
    backtrace.into_iter().take(LINES_MAX).map(|line| line.chars().take(MESSAGE_CHARS / 4).collect()).collect()
}
