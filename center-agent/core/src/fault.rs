//! The faults of all edges, as their records tell of them, and the desk that answers.
//!
//! A fault's row is a join: what was seen last, what was decided for the highest attempt, how it ended. So records
//! may come twice or in any order. The answer is a function of the list and the record alone; it is given when the
//! record comes, before anything is stored, and again whenever the record comes again and nothing was decided.

use std::collections::BTreeMap;

use flotilla_schemas::countermeasure::{By, Countermeasures, Measure, Question};
use flotilla_schemas::fault::{Answer, Closed, Fault};
use flotilla_schemas::journal::{Batch, Body, Record};
use flotilla_schemas::{CenterId, EdgeId, FaultId};
use serde::{Deserialize, Serialize};

use crate::view::FaultView;

/// The most faults that are kept of one edge: the closed ones with the oldest records go first.
pub const FAULTS_MAX: usize = 256;

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
    fn new(edge: EdgeId, fault: FaultId, ts: i64) -> Self {
        Self { edge, fault, first_ts: ts, last_ts: ts, seen: None, decided: None, closed: None }
    }

    fn join(&mut self, record: &Record) {
        self.first_ts = self.first_ts.min(record.ts);
        self.last_ts = self.last_ts.max(record.ts);
        match &record.body {
            Body::Fault(fault) => {
                let age = |fault: &Fault| (fault.attempt, fault.count);
                if self.seen.as_ref().is_none_or(|seen| age(fault) > age(seen)) {
                    self.seen = Some(fault.clone());
                }
            }
            Body::Restoration { attempt, measure, cause, center, .. } => {
                if self.decided.as_ref().is_none_or(|decided| *attempt > decided.attempt) {
                    let (cause, center) = (cause.clone(), center.clone());
                    self.decided = Some(Decided { attempt: *attempt, measure: *measure, cause, center });
                }
            }
            Body::Closed(closed) => self.closed = Some(closed.clone()),
            Body::Event { .. }
            | Body::Write { .. }
            | Body::Written { .. }
            | Body::Command { .. }
            | Body::Dropped { .. } => {}
        }
    }

    /// Whether it is open and somebody at a center is to decide about its present attempt.
    fn awaits(&self) -> Option<&Fault> {
        let fault = self.seen.as_ref().filter(|_| self.closed.is_none())?;
        let decided = self.decided.as_ref().is_some_and(|decided| decided.attempt >= fault.attempt);
        (fault.by == By::Center && !decided).then_some(fault)
    }

    /// For people; none until a record said what it is.
    fn view(&self) -> Option<FaultView> {
        let (seen, closed) = (self.seen.as_ref(), self.closed.as_ref());
        let kind = seen.map(|f| &f.kind).or(closed.map(|c| &c.kind))?.clone();
        let app = seen.map(|f| &f.app).or(closed.map(|c| &c.app))?.clone();
        Some(FaultView {
            edge: self.edge.clone(),
            fault: self.fault.clone(),
            kind,
            app,
            service: seen.and_then(|fault| fault.service.clone()),
            step: seen.and_then(|fault| fault.step.clone()),
            message: seen.map(|fault| fault.message.clone()).unwrap_or_default(),
            backtrace: seen.map(|fault| fault.backtrace.clone()).unwrap_or_default(),
            open: closed.is_none(),
            opened_ts: self.first_ts,
            ts: self.last_ts,
            attempt: seen.map(|f| f.attempt).max(closed.map(|c| c.attempts)).unwrap_or_default(),
            count: seen.map(|fault| fault.count).unwrap_or_default(),
            by: seen.map(|fault| fault.by).unwrap_or_default(),
            cause: self.decided.as_ref().map(|decided| decided.cause.clone()),
            measure: self.decided.as_ref().map(|d| d.measure).or(closed.and_then(|c| c.measure)),
            center: self.decided.as_ref().and_then(|decided| decided.center.clone()),
            how: closed.map(|closed| closed.how),
            open_ms: closed.map(|closed| closed.open_ms),
        })
    }
}

/// What became of the table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// Rows that are new or changed.
    pub put: Vec<FaultRow>,
    /// Rows that made room.
    pub removed: Vec<FaultRow>,
}

/// All faults.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    edges: BTreeMap<EdgeId, BTreeMap<FaultId, FaultRow>>,
}

impl Faults {
    /// Takes a fault that is on disk.
    pub fn load(&mut self, row: FaultRow) {
        self.edges.entry(row.edge.clone()).or_default().insert(row.fault.clone(), row);
    }

    /// Takes the records of a batch that is on disk. Doing it again changes nothing.
    pub fn record(&mut self, batch: &Batch) -> Changes {
        let rows = self.edges.entry(batch.edge.clone()).or_default();
        let mut changed = BTreeMap::new();
        for record in &batch.records {
            let Some(id) = concerns(&record.body) else { continue };
            let new = || FaultRow::new(batch.edge.clone(), id.clone(), record.ts);
            let row = rows.entry(id.clone()).or_insert_with(new);
            row.join(record);
            changed.insert(id.clone(), row.clone());
        }
        let mut changes = Changes::default();
        while rows.len() > FAULTS_MAX {
            let oldest = rows.values().min_by_key(|row| (row.closed.is_none(), row.last_ts));
            let Some(oldest) = oldest.map(|row| row.fault.clone()) else { break };
            changed.remove(&oldest);
            changes.removed.extend(rows.remove(&oldest));
        }
        changes.put = changed.into_values().collect();
        changes
    }

    /// The faults of a batch that a center is to decide about and has no decision for yet: the last record of each.
    pub fn unanswered<'a>(&self, batch: &'a Batch) -> Vec<&'a Fault> {
        let mut due = BTreeMap::new();
        for record in &batch.records {
            match &record.body {
                Body::Fault(fault) if fault.by == By::Center => _ = due.insert(&fault.fault, fault),
                body => _ = concerns(body).and_then(|id| due.remove(id)),
            }
        }
        let rows = self.edges.get(&batch.edge);
        let decided = |fault: &&Fault| {
            rows.and_then(|rows| rows.get(&fault.fault)).is_some_and(|row| {
                row.closed.is_some() || row.decided.as_ref().is_some_and(|d| d.attempt >= fault.attempt)
            })
        };
        due.into_values().filter(|fault| !decided(fault)).collect()
    }

    /// All open faults that wait for a center.
    pub fn waiting(&self) -> impl Iterator<Item = (&EdgeId, &Fault)> {
        let rows = self.edges.iter().flat_map(|(edge, rows)| rows.values().map(move |row| (edge, row)));
        rows.filter_map(|(edge, row)| Some((edge, row.awaits()?)))
    }

    /// For people, of one edge or of all, the oldest first.
    pub fn view(&self, edge: Option<&EdgeId>, open: Option<bool>) -> Vec<FaultView> {
        let rows = self.edges.iter().filter(|(id, _)| edge.is_none_or(|edge| edge == *id));
        let rows = rows.flat_map(|(_, rows)| rows.values()).filter_map(FaultRow::view);
        let mut views: Vec<FaultView> =
            rows.filter(|view| open.is_none_or(|open| open == view.open)).collect();
        views.sort_by_key(|view| view.opened_ts);
        views
    }

    /// How many are open, of one edge or of all.
    pub fn open(&self, edge: Option<&EdgeId>) -> u32 {
        let rows = self.edges.iter().filter(|(id, _)| edge.is_none_or(|edge| edge == *id));
        let open = |row: &&FaultRow| row.closed.is_none() && row.seen.is_some();
        rows.flat_map(|(_, rows)| rows.values()).filter(open).count() as u32
    }
}

fn concerns(body: &Body) -> Option<&FaultId> {
    match body {
        Body::Fault(Fault { fault, .. })
        | Body::Restoration { fault, .. }
        | Body::Closed(Closed { fault, .. }) => Some(fault),
        Body::Event { .. }
        | Body::Write { .. }
        | Body::Written { .. }
        | Body::Command { .. }
        | Body::Dropped { .. } => None,
    }
}

/// What the list says about a fault.
pub fn answer(list: &Countermeasures, center: &CenterId, edge: &EdgeId, fault: &Fault) -> Answer {
    let Fault { kind, app, message, attempt, .. } = fault;
    let answered = list.answer(&Question { kind, app, message, attempt: *attempt });
    Answer {
        v: 1,
        edge: edge.clone(),
        fault: fault.fault.clone(),
        attempt: *attempt,
        list_ver: list.version,
        cause: answered.cause,
        measure: answered.measure,
        center: center.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{batch, closed, fault, restoration};

    fn rows(faults: &Faults) -> Vec<FaultView> {
        faults.view(None, None)
    }

    #[test]
    fn records_in_any_order_and_number_give_the_same_row() {
        let records =
            [fault("f", 1, 1), restoration("f", 1), fault("f", 2, 2), restoration("f", 2), closed("f", 2)];
        let mut straight = Faults::default();
        straight.record(&batch("e1", 1, &records));
        let view = rows(&straight).remove(0);
        assert_eq!(
            (view.open, view.attempt, view.count, view.measure),
            (false, 2, 2, Some(Measure::Replace))
        );
        let mut crooked = Faults::default();
        for record in records.iter().rev().chain(&records) {
            crooked.record(&batch("e1", 1, std::slice::from_ref(record)));
        }
        assert_eq!(rows(&crooked), rows(&straight));
    }

    #[test]
    fn what_was_decided_or_closed_is_not_answered_again() {
        let first = batch("e1", 1, &[fault("f", 1, 1)]);
        let mut faults = Faults::default();
        assert_eq!(faults.unanswered(&first).len(), 1);
        faults.record(&first);
        assert_eq!(faults.unanswered(&first).len(), 1, "it may have been lost");
        assert_eq!(faults.waiting().count(), 1);
        assert!(faults.unanswered(&batch("e1", 1, &[fault("f", 1, 1), restoration("f", 1)])).is_empty());
        faults.record(&batch("e1", 2, &[restoration("f", 1)]));
        assert!(faults.unanswered(&first).is_empty());
        assert_eq!(faults.waiting().count(), 0);
        let second = batch("e1", 3, &[fault("f", 2, 2)]);
        assert_eq!(faults.unanswered(&second).len(), 1, "the next attempt is a question of its own");
        faults.record(&batch("e1", 4, &[closed("f", 2)]));
        assert!(faults.unanswered(&second).is_empty());
    }

    #[test]
    fn what_the_edge_decides_alone_is_not_answered() {
        let mut record = fault("f", 1, 1);
        if let Body::Fault(fault) = &mut record {
            fault.by = By::Edge;
        }
        assert!(Faults::default().unanswered(&batch("e1", 1, &[record])).is_empty());
    }

    #[test]
    fn the_oldest_closed_faults_make_room() {
        let mut faults = Faults::default();
        faults.record(&batch("e1", 1, &[fault("open", 1, 1)]));
        let mut removed = Vec::new();
        for n in 0..FAULTS_MAX as u64 {
            let id = format!("f{n}");
            let changes = faults.record(&batch("e1", 2 + 2 * n, &[fault(&id, 1, 1), closed(&id, 1)]));
            removed.extend(changes.removed);
        }
        let removed: Vec<&str> = removed.iter().map(|row| row.fault.as_str()).collect();
        assert_eq!(removed, ["f0"]);
        assert_eq!((rows(&faults).len(), faults.open(None)), (FAULTS_MAX, 1));
    }
}
