//! An open fault: what was seen, where it stands, and how dashboards see it.

use flotilla_schemas::FaultId;
use flotilla_schemas::countermeasure::{By, Measure, Question};
use flotilla_schemas::fault::{Failure, Fault, Kind};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::report::FaultReport;
use flotilla_schemas::time::rfc3339;
use flotilla_schemas::topic::EdgeTopic;
use serde::{Deserialize, Serialize};

use crate::effect::Send;
use crate::out::Out;

/// The longest message and line of a backtrace, in characters, and the most lines.
const MESSAGE_CHARS: usize = 1024;
const LINES_MAX: usize = 32;

/// The most measures that a fault names; of more, those that were taken last.
pub(crate) const TRIED_MAX: usize = 32;

/// A fault that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenFault {
    pub fault: Fault,
    /// The number of its last record; 0 before the first.
    pub record: u64,
    pub phase: Phase,
    /// Why it happened; none until somebody said.
    pub cause: Option<Kind>,
    /// How many measures were taken.
    pub measures: u32,
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

impl OpenFault {
    /// A fault that is seen for the first time.
    pub fn new(fault: Fault, opened_ms: u64) -> Self {
        let (phase, decide_at) = (Phase::Pending, None);
        Self { fault, record: 0, phase, cause: None, measures: 0, opened_ms, decide_at }
    }

    pub fn is_pending(&self) -> bool {
        self.phase == Phase::Pending
    }

    pub fn is_told(&self) -> bool {
        self.phase == Phase::Told
    }

    /// Whether it stands among the retained reports: what the edge cures alone does not, until a person is needed.
    pub fn was_reported(&self) -> bool {
        self.fault.by == By::Center || self.is_told()
    }

    /// It is seen again: the next attempt is due, unless the last one still is.
    pub fn seen_again(&mut self, failure: Failure, step: Option<String>, list_ver: u64) {
        let fault = &mut self.fault;
        fault.count = fault.count.saturating_add(1);
        (fault.list_ver, fault.step) = (list_ver, step);
        (fault.message, fault.backtrace) = said(failure);
        if self.phase != Phase::Pending {
            fault.attempt = fault.attempt.saturating_add(1);
            self.phase = Phase::Pending;
        }
    }

    /// A measure was taken.
    pub fn tried(&mut self, measure: Measure) {
        self.measures = self.measures.saturating_add(1);
        self.fault.tried.push(measure);
        let excess = self.fault.tried.len().saturating_sub(TRIED_MAX);
        self.fault.tried.drain(..excess);
    }

    /// Journals what concerns it; what the edge treats alone waits to be told as a whole.
    pub fn record(&self, body: Body, out: &mut Out) -> u64 {
        match self.fault.by {
            By::Edge => out.record_held(body),
            By::Center => out.record(Lane::Fault, body),
        }
    }

    /// What the list is asked.
    pub fn question(&self) -> Question<'_> {
        let Fault { kind, app, message, attempt, .. } = &self.fault;
        Question { kind, app, message, attempt: *attempt }
    }

    pub fn id(&self) -> &FaultId {
        &self.fault.fault
    }

    pub fn topic(&self) -> EdgeTopic {
        EdgeTopic::Fault(self.fault.app.clone(), self.fault.kind.clone())
    }

    /// Tells dashboards of it; without a connection nobody.
    pub fn report(&self, is_open: u8, out: &mut Out) {
        if !out.connected {
            return;
        }
        let Fault { fault, kind, app, point, message, attempt, count, tried, .. } = self.fault.clone();
        let (device, point) = point.map(|at| (at.device, at.point)).unwrap_or_default();
        let cause = self.cause.as_ref().map_or("pending".to_owned(), Kind::to_string);
        let measure = tried.last().map(ToString::to_string).unwrap_or_default();
        let report = FaultReport {
            meta: out.meta(),
            time: rfc3339(out.now.wall_ms),
            fault,
            kind,
            app,
            device,
            point,
            open: is_open,
            cause,
            message,
            attempt,
            count,
            measure,
        };
        // A cure that the edge made alone is told once and not kept.
        let send = if is_open == 1 { Send::State } else { Send::Message };
        out.publish(out.own(self.topic()), &report, send);
    }
}

/// What was said of a failure, cut to what a fault carries: message and backtrace.
pub(crate) fn said(failure: Failure) -> (String, Vec<String>) {
    let line = |line: String| line.chars().take(MESSAGE_CHARS / 4).collect();
    let backtrace = failure.backtrace.into_iter().take(LINES_MAX).map(line).collect();
    (failure.message.chars().take(MESSAGE_CHARS).collect(), backtrace)
}
