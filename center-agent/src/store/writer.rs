//! The thread that writes: one commit for all that has come meanwhile.

use std::sync::Arc;

use center_core::{Held, Intervals, Row, Write};
use flotilla_machine::redb::{self, ReadableTable, WriteTransaction};
use flotilla_machine::{DatabaseFile, Redb};
use flotilla_schemas::journal::Batch;
use tokio::sync::{mpsc, oneshot, watch};

use super::{ARRIVALS, INTERVALS, RECORDS, ROWS, StoreError};

/// The most writes of one commit.
const GROUP_MAX: usize = 256;

/// Where the answer goes.
pub(super) type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// A write, and who waits for it.
pub(super) enum Job {
    Append { batch: Batch, held: Option<Held>, done: Done<Held> },
    Commit { writes: Vec<Write>, done: Done<()> },
}

impl Job {
    fn carry_out(&mut self, transaction: &WriteTransaction) -> Redb<u64> {
        match self {
            Job::Append { batch, held, .. } => {
                let now = append(transaction, batch)?;
                *held = Some(now);
                Ok(now.stored)
            }
            Job::Commit { writes, .. } => {
                writes.iter().try_for_each(|write| put(transaction, write))?;
                Ok(0)
            }
        }
    }

    /// Whoever waited may have gone away meanwhile.
    fn answer(self, result: Result<(), StoreError>) {
        match self {
            Job::Append { held, done, .. } => {
                _ = result.map(|()| held).transpose().map(|held| done.send(held));
            }
            Job::Commit { done, .. } => _ = done.send(result),
        }
    }
}

pub(super) struct Writer {
    pub file: Arc<DatabaseFile>,
    /// Grows by the number of records that are new.
    pub arrivals: watch::Sender<u64>,
}

impl Writer {
    pub fn run(&self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(job) = waiting.blocking_recv() {
            let more = std::iter::from_fn(|| waiting.try_recv().ok());
            self.write(std::iter::once(job).chain(more.take(GROUP_MAX - 1)).collect());
        }
    }

    /// Carries the jobs out in one commit. If anything fails, nothing is on disk, and all are told why.
    fn write(&self, mut group: Vec<Job>) {
        let written = self.file.with(|database| {
            let transaction = database.begin_write()?;
            let mut stored = 0;
            for job in &mut group {
                stored += job.carry_out(&transaction)?;
            }
            transaction.commit()?;
            Ok(stored)
        });
        if let Ok(stored @ 1..) = written {
            self.arrivals.send_modify(|arrivals| *arrivals += stored);
        }
        group.into_iter().for_each(|job| job.answer(written.clone().map(drop).map_err(StoreError::from)));
    }
}

fn append(transaction: &WriteTransaction, batch: &Batch) -> Redb<Held> {
    let (edge, epoch, lane) = (batch.edge.as_str(), batch.epoch.as_str(), batch.lane.number());
    let mut table = transaction.open_table(INTERVALS)?;
    let held = table.get((edge, epoch, lane))?.map(|bytes| serde_json::from_slice(bytes.value()));
    // Intervals that cannot be read are learned anew: the records themselves tell what is there.
    let mut intervals: Intervals = held.and_then(Result::ok).unwrap_or_default();
    intervals.forget_below(batch.floor);
    let last = batch.last().unwrap_or_default();
    let mut records = transaction.open_table(RECORDS)?;
    let mut new = Vec::new();
    for (seq, record) in (batch.first..).zip(&batch.records) {
        match records.get((edge, epoch, lane, seq))? {
            None => new.push((seq, record.bytes())),
            Some(held) if held.value() == record.bytes() => {}
            Some(_) => return Ok(held_of(&intervals, batch, last, true, 0)),
        }
    }
    if !intervals.add(batch.first, last) {
        return Ok(held_of(&intervals, batch, last, false, 0));
    }
    let mut arrivals = transaction.open_table(ARRIVALS)?;
    let newest = arrivals.range((edge, 0)..=(edge, u64::MAX))?.next_back();
    let mut arrival = newest.transpose()?.map_or(0, |(key, _)| key.value().1);
    for (seq, bytes) in &new {
        arrival += 1;
        records.insert((edge, epoch, lane, *seq), *bytes)?;
        arrivals.insert((edge, arrival), (epoch, lane, *seq))?;
    }
    let bytes = serde_json::to_vec(&intervals).map_err(corrupted)?;
    table.insert((edge, epoch, lane), bytes.as_slice())?;
    Ok(held_of(&intervals, batch, last, false, new.len() as u64))
}

fn held_of(intervals: &Intervals, batch: &Batch, last: u64, fork: bool, stored: u64) -> Held {
    let (from, upto) = intervals.around(last).unwrap_or((batch.first, batch.first - 1));
    let lacking = intervals.lacking_from(batch.floor);
    Held { from, upto, want: (lacking < from).then_some(lacking), fork, stored }
}

fn put(transaction: &WriteTransaction, write: &Write) -> Redb<()> {
    let mut rows = transaction.open_table(ROWS)?;
    match write {
        Write::Put(row) => {
            let key = row.key();
            let held = rows.get(key.as_str())?.map(|bytes| serde_json::from_slice::<Row>(bytes.value()));
            if let (Row::Document(new), Some(Ok(Row::Document(held)))) = (&**row, &held)
                && held.ver > new.ver
            {
                return Ok(());
            }
            let bytes = serde_json::to_vec(row).map_err(corrupted)?;
            rows.insert(key.as_str(), bytes.as_slice())?;
        }
        Write::Remove(key) => _ = rows.remove(key.as_str())?,
    }
    Ok(())
}

fn corrupted(error: serde_json::Error) -> redb::Error {
    redb::Error::Corrupted(error.to_string())
}
