//! The thread that writes: one commit for all that has come meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use center_core::{Bounds, Held, Journaled, Store as _, Write};
use flotilla_machine::{DatabaseFile, Redb};
use flotilla_schemas::EdgeId;
use tokio::sync::{mpsc, watch};

use super::error::StoreError;
use super::tables::Group;

/// The most writes of one commit.
const GROUP_MAX: usize = 256;

/// Who is given back what was to be written, and is told what came of it.
pub(super) type Done<What, T> = Box<dyn FnOnce(What, Result<T, StoreError>) + Send>;

/// A write, and who waits for it.
pub(super) enum Job {
    Append { journaled: Box<Journaled>, held: Option<Held>, done: Done<Box<Journaled>, Held> },
    Commit { writes: Vec<Write>, done: Done<Vec<Write>, ()> },
}

impl Job {
    fn carry_out(&mut self, group: &mut Group<'_>) -> Redb<u64> {
        match self {
            Job::Append { journaled, held, .. } => {
                let now = group.append(journaled)?;
                *held = Some(now);
                Ok(now.stored)
            }
            Job::Commit { writes, .. } => group.commit(writes).map(|()| 0),
        }
    }

    fn edge(&self) -> Option<&EdgeId> {
        match self {
            Job::Append { journaled, .. } => Some(&journaled.batch.edge),
            Job::Commit { .. } => None,
        }
    }

    pub fn answer(self, result: Result<(), StoreError>) {
        match self {
            Job::Append { journaled, held, done } => {
                if let Some(result) = result.map(|()| held).transpose() {
                    done(journaled, result);
                }
            }
            Job::Commit { writes, done } => done(writes, result),
        }
    }
}

pub(super) struct Writer {
    pub file: Arc<DatabaseFile>,
    pub bounds: Bounds,
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
    fn write(&self, mut jobs: Vec<Job>) {
        let written = self.file.with(|database| {
            let transaction = database.begin_write()?;
            let mut group = Group::of(&transaction)?;
            let mut stored = 0;
            for job in &mut jobs {
                stored += job.carry_out(&mut group)?;
            }
            let edges: BTreeSet<&EdgeId> = jobs.iter().filter_map(Job::edge).collect();
            for edge in edges {
                group.retain(edge, &self.bounds)?;
            }
            drop(group);
            transaction.commit()?;
            Ok(stored)
        });
        let written = written.map_err(StoreError::from);
        if let Ok(stored @ 1..) = written {
            self.arrivals.send_modify(|arrivals| *arrivals += stored);
        }
        jobs.into_iter().for_each(|job| job.answer(written.clone().map(drop)));
    }
}
