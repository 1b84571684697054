//! What a center keeps on disk: the signed batches of all edges, and the core's rows. One redb file.
//!
//! Writes go to one thread, which puts all that have come meanwhile into one commit, so a burst of batches costs one
//! sync. A write is on disk when it is answered, and may be repeated: an append of what is there finds it there, and
//! a document never goes back to a lower version. What becomes of a batch, [`center_core::Store`] says.

mod error;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;

use center_core::{Arrived, Bounds, Held, Journaled, Records as _, Row, Write};
use flotilla_machine::{DatabaseFile, Redb};
use flotilla_schemas::EdgeId;
use flotilla_schemas::journal::Lane;
use tokio::sync::{mpsc, watch};

pub use error::{StoreError, WAITING_MAX};
use tables::{Sight, prepare};
use writer::{Job, Writer};

/// The file's name within the data folder.
pub const FILE: &str = "center.redb";

/// redb's page cache.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// A center's store; cheap to clone. The file is closed when the last clone is gone.
#[derive(Clone)]
pub struct Store {
    file: Arc<DatabaseFile>,
    jobs: mpsc::Sender<Job>,
    arrived: watch::Receiver<u64>,
}

impl Store {
    /// Opens the store of a data folder; makes it if there is none.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::with(DatabaseFile::open(folder.join(FILE), CACHE_BYTES)?, Bounds::default())
    }

    /// A store on a disk that may be full.
    #[cfg(test)]
    pub(crate) fn on_disk(folder: &Path, disk: &flotilla_machine::testing::Disk) -> Result<Self, StoreError> {
        Self::with(disk.open(folder.join(FILE), CACHE_BYTES)?, Bounds::default())
    }

    fn with(file: DatabaseFile, bounds: Bounds) -> Result<Self, StoreError> {
        let file = Arc::new(file);
        file.with(prepare)?;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (arrivals, arrived) = watch::channel(0);
        let writer = Writer { file: file.clone(), bounds, arrivals };
        let spawned = std::thread::Builder::new().name("store".into()).spawn(move || writer.run(waiting));
        let path = file.path();
        spawned.map_err(|error| StoreError::Disk { path: path.to_owned(), cause: error.to_string() })?;
        Ok(Self { file, jobs, arrived })
    }

    /// Puts the records of a batch on disk, those that are not there. Appends and commits are carried out in the order
    /// in which they are given here; `done` is called when this one is on disk, or with the reason why it is not.
    pub fn append(
        &self,
        journaled: Box<Journaled>,
        done: impl FnOnce(Box<Journaled>, Result<Held, StoreError>) + Send + 'static,
    ) {
        self.give(Job::Append { journaled, held: None, done: Box::new(done) });
    }

    /// Commits rows, all of them or none. A document of a lower version than the one on disk is passed over.
    pub fn commit(
        &self,
        writes: Vec<Write>,
        done: impl FnOnce(Vec<Write>, Result<(), StoreError>) + Send + 'static,
    ) {
        self.give(Job::Commit { writes, done: Box::new(done) });
    }

    fn give(&self, job: Job) {
        use mpsc::error::TrySendError::{Closed, Full};
        let path = || self.file.path().to_owned();
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(Full(job)) => job.answer(Err(StoreError::Busy(path()))),
            Err(Closed(job)) => job.answer(Err(StoreError::Closed(path()))),
        }
    }

    /// Grows whenever records have arrived.
    pub fn arrived(&self) -> watch::Receiver<u64> {
        self.arrived.clone()
    }

    /// All rows.
    pub fn rows(&self) -> Result<Vec<Row>, StoreError> {
        self.read(Sight::rows)
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.read(Sight::count)
    }

    /// Records of an edge, of these lanes, that arrived after this number; at most `limit`, in the order of their
    /// arrival.
    pub fn page(
        &self,
        edge: &EdgeId,
        lanes: &[Lane],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arrived>, StoreError> {
        self.read(|sight| sight.page(edge, lanes, after, limit))
    }

    fn read<T>(&self, read: impl FnOnce(&Sight) -> Redb<T>) -> Result<T, StoreError> {
        Ok(self.file.with(|database| read(&Sight::of(database)?))?)
    }
}

#[cfg(test)]
mod tests;
