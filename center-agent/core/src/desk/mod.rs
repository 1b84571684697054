//! The faults of all edges, as their records tell of them, and the desk that answers.
//!
//! An answer is given when the record comes, before anything is stored, and again whenever the record comes again and
//! nothing was decided.

mod answer;
mod row;

use std::collections::BTreeMap;

use flotilla_schemas::countermeasure::By;
use flotilla_schemas::fault::{Closed, Fault};
use flotilla_schemas::journal::{Batch, Body};
use flotilla_schemas::{EdgeId, FaultId};

pub use answer::answer;
pub use row::{Decided, FaultRow};

/// The most faults that are kept of one edge: the closed ones with the oldest records go first.
pub const FAULTS_MAX: usize = 256;

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
        for record in batch.readable() {
            let Some(id) = concerns(&record.body) else { continue };
            let new = || FaultRow::new(batch.edge.clone(), id.clone(), record.ts);
            let row = rows.entry(id.clone()).or_insert_with(new);
            row.join(&record);
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
    pub fn unanswered(&self, batch: &Batch) -> Vec<Fault> {
        let mut due = BTreeMap::new();
        for record in batch.readable() {
            match record.body {
                Body::Fault(fault) if fault.by == By::Center => _ = due.insert(fault.fault.clone(), fault),
                body => _ = concerns(&body).and_then(|id| due.remove(id)),
            }
        }
        let rows = self.edges.get(&batch.edge);
        let decided = |fault: &Fault| {
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

    /// Those of one edge, by name.
    pub fn of(&self, edge: &EdgeId) -> impl Iterator<Item = &FaultRow> {
        self.edges.get(edge).into_iter().flat_map(BTreeMap::values)
    }

    /// Forgets those of one edge.
    pub fn remove(&mut self, edge: &EdgeId) -> Vec<FaultRow> {
        self.edges.remove(edge).into_iter().flat_map(BTreeMap::into_values).collect()
    }

    /// All of them, by edge and name.
    pub fn all(&self) -> impl Iterator<Item = &FaultRow> {
        self.edges.values().flat_map(BTreeMap::values)
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
        | Body::Dropped { .. }
        | Body::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{batch, closed, fault, restoration};
    use flotilla_schemas::countermeasure::Measure;

    fn rows(faults: &Faults) -> Vec<FaultRow> {
        faults.all().cloned().collect()
    }

    #[test]
    fn records_in_any_order_and_number_give_the_same_row() {
        let records =
            [fault("f", 1, 1), restoration("f", 1), fault("f", 2, 2), restoration("f", 2), closed("f", 2)];
        let mut straight = Faults::default();
        straight.record(&batch("e1", 1, &records));
        let row = rows(&straight).remove(0);
        let (seen, decided) = (row.seen.clone().unwrap(), row.decided.clone().unwrap());
        assert_eq!((seen.attempt, seen.count, decided.measure), (2, 2, Measure::Replace));
        assert!(!row.is_open());
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
        let open = faults.of(&"e1".parse().unwrap()).filter(|row| row.is_open()).count();
        assert_eq!((rows(&faults).len(), open), (FAULTS_MAX, 1));
    }
}
