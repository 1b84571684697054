//! One fault: the join of what was recorded of it.
//!
//! What was seen last, what was decided for the highest attempt, how it ended: so records may come twice or in any
//! order.

use flotilla_schemas::countermeasure::{By, Measure};
use flotilla_schemas::fault::{Closed, Fault};
use flotilla_schemas::journal::{Body, Record};
use flotilla_schemas::{CenterId, EdgeId, FaultId};
use serde::{Deserialize, Serialize};

/// A fault on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRow {
    /// The edge.
    pub edge: EdgeId,
    /// The fault.
    pub fault: FaultId,
    /// When the first record of it was written, in Unix milliseconds of the edge's clock.
    pub first_ts: i64,
    /// When the last one was, likewise.
    pub last_ts: i64,
    /// As it was seen last.
    pub seen: Option<Fault>,
    /// What was decided for the highest attempt.
    pub decided: Option<Decided>,
    /// How it ended.
    pub closed: Option<Closed>,
}

/// What an edge journaled as decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// For which attempt.
    pub attempt: u32,
    /// What is done.
    pub measure: Measure,
    /// Why it happened.
    pub cause: String,
    /// Who decided; none when the edge did alone.
    pub center: Option<CenterId>,
}

impl FaultRow {
    pub(super) fn new(edge: EdgeId, fault: FaultId, ts: i64) -> Self {
        Self { edge, fault, first_ts: ts, last_ts: ts, seen: None, decided: None, closed: None }
    }

    pub(super) fn join(&mut self, record: &Record) {
        self.first_ts = self.first_ts.min(record.ts);
        self.last_ts = self.last_ts.max(record.ts);
        match &record.body {
            Body::Fault(fault) => {
                let age = |fault: &Fault| (fault.attempt, fault.count);
                if self.seen.as_ref().is_none_or(|seen| age(fault) > age(seen)) {
                    self.seen = Some(shortened(fault));
                }
            }
            Body::Restoration { attempt, measure, cause, center, .. } => {
                if self.decided.as_ref().is_none_or(|decided| *attempt > decided.attempt) {
                    let (cause, center) = (cause.chars().take(TEXT_CHARS_MAX).collect(), center.clone());
                    self.decided = Some(Decided { attempt: *attempt, measure: *measure, cause, center });
                }
            }
            Body::Closed(closed) => self.closed = Some(closed.clone()),
            Body::Event { .. }
            | Body::Write { .. }
            | Body::Written { .. }
            | Body::Command { .. }
            | Body::Dropped { .. }
            | Body::Unknown => {}
        }
    }

    /// Whether it was seen and has not ended.
    pub fn is_open(&self) -> bool {
        self.closed.is_none() && self.seen.is_some()
    }

    /// Whether it is open and somebody at a center is to decide about its present attempt.
    pub(super) fn awaits(&self) -> Option<&Fault> {
        let fault = self.seen.as_ref().filter(|_| self.closed.is_none())?;
        let decided = self.decided.as_ref().is_some_and(|decided| decided.attempt >= fault.attempt);
        (fault.by == By::Center && !decided).then_some(fault)
    }
}

/// The longest text of a fault that is kept, in characters.
pub const TEXT_CHARS_MAX: usize = 1024;

/// The most lines of a backtrace, and the most measures tried, that are kept; of these the last.
pub const LINES_MAX: usize = 32;

/// A fault as it is kept. Its edge should have kept these bounds; what it sent is in its journal all the same.
fn shortened(fault: &Fault) -> Fault {
    let short = |text: &String| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    let lines = fault.backtrace.iter().take(LINES_MAX);
    Fault {
        step: fault.step.as_ref().map(short),
        message: short(&fault.message),
        backtrace: lines.map(|line| line.chars().take(TEXT_CHARS_MAX / 4).collect()).collect(),
        tried: fault.tried.iter().rev().take(LINES_MAX).rev().copied().collect(),
        ..fault.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{batch, fault};

    #[test]
    fn whatever_an_edge_says_of_a_fault_little_of_it_is_kept() {
        let Body::Fault(mut endless) = fault("f", 1, 1) else { panic!() };
        let text = "ä".repeat(100 * TEXT_CHARS_MAX);
        (endless.message, endless.step) = (text.clone(), Some(text.clone()));
        (endless.backtrace, endless.tried) = (vec![text; 100], vec![Measure::Tell; 10_000]);
        let batch = batch("e1", 1, &[Body::Fault(endless)]);
        let mut row = FaultRow::new("e1".parse().unwrap(), "f".parse().unwrap(), 0);
        batch.readable().for_each(|record| row.join(&record));
        let bytes = serde_json::to_vec(&row).unwrap().len();
        assert!(row.is_open() && bytes < 32 * 1024, "{bytes}");
    }
}
