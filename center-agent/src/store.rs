//! What a center keeps on disk: the records of all edges, and the core's rows. One redb file.
//!
//! Writes go to one thread, which puts all that have come meanwhile into one commit, so a burst of batches costs one
//! sync. A write is on disk when it is answered, and may be repeated: an append of what is there finds it there, and
//! a document never goes back to a lower version.

mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use center_core::{Held, Intervals, Row, Write};
use flotilla_machine::redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};
use flotilla_machine::{DatabaseError, DatabaseFile, Redb};
use flotilla_schemas::journal::{Batch, Lane};
use flotilla_schemas::{EdgeId, EpochId, Json};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::types::StoredRecord;
use writer::{Done, Job, Writer};

/// Edge, journal, lane, number.
const RECORDS: TableDefinition<'_, (&str, &str, u8, u64), &[u8]> = TableDefinition::new("records");
/// Edge and number of arrival, to journal, lane, number.
const ARRIVALS: TableDefinition<'_, (&str, u64), (&str, u8, u64)> = TableDefinition::new("arrivals");
/// Edge, journal, lane.
const INTERVALS: TableDefinition<'_, (&str, &str, u8), &[u8]> = TableDefinition::new("intervals");
const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");

/// The file's name within the data folder.
pub const FILE: &str = "center.redb";

/// redb's page cache.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The most writes that wait for the thread; whoever writes then waits.
const WAITING_MAX: usize = 1024;

/// Why the store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another agent has it open.
    #[error("open {0}: a running center uses it; stop that one first, or name another data folder")]
    InUse(PathBuf),
    /// The disk or the file does not allow it.
    #[error("use {path}: {cause}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// What is in it is not what a center writes.
    #[error("read {path}: {cause}; if it is damaged, move it away: what was decided is also at the broker")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The agent is stopping.
    #[error("use {0}: it is closed")]
    Closed(PathBuf),
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::InUse(path) => Self::InUse(path),
            DatabaseError::Damaged { path, cause } => Self::Content { path, cause },
            DatabaseError::Disk { path, cause } => Self::Disk { path, cause },
        }
    }
}

/// Arrival, journal, lane, and the record as it is on disk.
type Found = (u64, String, u8, Vec<u8>);

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
        Self::with(DatabaseFile::open(folder.join(FILE), CACHE_BYTES)?)
    }

    /// A store on a disk that may be full.
    #[cfg(test)]
    pub(crate) fn on_disk(folder: &Path, disk: &flotilla_machine::testing::Disk) -> Result<Self, StoreError> {
        Self::with(disk.open(folder.join(FILE), CACHE_BYTES)?)
    }

    fn with(file: DatabaseFile) -> Result<Self, StoreError> {
        let file = Arc::new(file);
        file.with(prepare)?;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (arrivals, arrived) = watch::channel(0);
        let writer = Writer { file: file.clone(), arrivals };
        let spawned = std::thread::Builder::new().name("store".into()).spawn(move || writer.run(waiting));
        let path = file.path();
        spawned.map_err(|error| StoreError::Disk { path: path.to_owned(), cause: error.to_string() })?;
        Ok(Self { file, jobs, arrived })
    }

    /// Puts the records of a batch on disk, those that are not there, and tells what is.
    pub async fn append(&self, batch: Batch) -> Result<Held, StoreError> {
        self.write(|done| Job::Append { batch, held: None, done }).await
    }

    /// Commits rows, all of them or none. A document of a lower version than the one on disk is passed over.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.write(|done| Job::Commit { writes, done }).await
    }

    async fn write<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        let closed = || StoreError::Closed(self.file.path().to_owned());
        self.jobs.send(job(done)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    fn read<T>(&self, read: impl FnOnce(&Database) -> Redb<T>) -> Result<T, StoreError> {
        Ok(self.file.with(read)?)
    }

    /// Grows whenever records have arrived.
    pub fn arrived(&self) -> watch::Receiver<u64> {
        self.arrived.clone()
    }

    /// All rows.
    pub fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let read = |database: &Database| -> Redb<Vec<Vec<u8>>> {
            let rows = database.begin_read()?.open_table(ROWS)?;
            rows.iter()?.map(|entry| Ok(entry?.1.value().to_vec())).collect()
        };
        let rows = self.read(read)?;
        rows.iter().map(|bytes| self.parse(bytes)).collect()
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, StoreError> {
        let read =
            |database: &Database| -> Redb<u64> { Ok(database.begin_read()?.open_table(RECORDS)?.len()?) };
        self.read(read)
    }

    /// The greatest number of each journal and lane of an edge.
    pub fn heads(&self, edge: &EdgeId) -> Result<BTreeMap<(EpochId, Lane), u64>, StoreError> {
        let read = |database: &Database| -> Redb<Vec<(String, u8, Vec<u8>)>> {
            let intervals = database.begin_read()?.open_table(INTERVALS)?;
            let mut found = Vec::new();
            for entry in intervals.range((edge.as_str(), "", 0)..)? {
                let (key, value) = entry?;
                let (owner, epoch, lane) = key.value();
                if owner != edge.as_str() {
                    break;
                }
                found.push((epoch.to_owned(), lane, value.value().to_vec()));
            }
            Ok(found)
        };
        let found = self.read(read)?;
        let head = |(epoch, lane, bytes): (String, u8, Vec<u8>)| {
            Ok(((self.id(epoch)?, self.lane(lane)?), self.parse::<Intervals>(&bytes)?.head()))
        };
        found.into_iter().map(head).collect()
    }

    /// Records of one lane of a journal from `first` to `last`, at most `limit`, in order.
    pub fn range(
        &self,
        edge: &EdgeId,
        epoch: &EpochId,
        lane: Lane,
        (first, last): (u64, u64),
        limit: usize,
    ) -> Result<Vec<Json>, StoreError> {
        let key = |seq| (edge.as_str(), epoch.as_str(), lane.number(), seq);
        let read = |database: &Database| -> Redb<Vec<Vec<u8>>> {
            let records = database.begin_read()?.open_table(RECORDS)?;
            let range = records.range(key(first)..=key(last))?.take(limit);
            range.map(|entry| Ok(entry?.1.value().to_vec())).collect()
        };
        let records = self.read(read)?;
        records.iter().map(|bytes| self.parse(bytes)).collect()
    }

    /// Records of an edge, of one lane or of all, that arrived after this number; at most `limit`, in the order of
    /// their arrival.
    pub fn page(
        &self,
        edge: &EdgeId,
        lane: Option<Lane>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let read = |database: &Database| -> Redb<Vec<Found>> {
            let transaction = database.begin_read()?;
            let (arrivals, records) = (transaction.open_table(ARRIVALS)?, transaction.open_table(RECORDS)?);
            let mut found = Vec::new();
            let range = (edge.as_str(), after.saturating_add(1))..=(edge.as_str(), u64::MAX);
            for entry in arrivals.range(range)? {
                let (key, place) = entry?;
                let (arrival, (epoch, number, seq)) = (key.value().1, place.value());
                if lane.is_some_and(|lane| lane.number() != number) {
                    continue;
                }
                if let Some(bytes) = records.get((edge.as_str(), epoch, number, seq))? {
                    found.push((arrival, epoch.to_owned(), number, bytes.value().to_vec()));
                }
                if found.len() >= limit {
                    break;
                }
            }
            Ok(found)
        };
        let found = self.read(read)?;
        let stored = |(arrival, epoch, lane, bytes): Found| {
            let (epoch, lane, record) = (self.id(epoch)?, self.lane(lane)?, self.parse(&bytes)?);
            Ok(StoredRecord { arrival, epoch, lane, record })
        };
        found.into_iter().map(stored).collect()
    }

    fn id(&self, epoch: String) -> Result<EpochId, StoreError> {
        EpochId::new(epoch).map_err(|error| self.content(&error))
    }

    fn lane(&self, number: u8) -> Result<Lane, StoreError> {
        Lane::try_from(number).map_err(|error| self.content(&error))
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| self.content(&error))
    }

    fn content(&self, cause: &impl ToString) -> StoreError {
        StoreError::Content { path: self.file.path().to_owned(), cause: cause.to_string() }
    }
}

fn prepare(database: &Database) -> Redb<()> {
    let transaction = database.begin_write()?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(ARRIVALS)?;
    transaction.open_table(INTERVALS)?;
    transaction.open_table(ROWS)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    use center_core::{Document, Ver};
    use flotilla_schemas::journal::{Body, Record};

    fn record(seq: u64, text: &str) -> Json {
        let (source, fields) = ("a".parse().unwrap(), BTreeMap::new());
        let body = Body::Event { source, name: text.into(), fields, service: None };
        let session = "s".parse().unwrap();
        Json::of(&Record { seq, ts: 1, clock_ok: true, session, body }).unwrap()
    }

    fn number(record: &Json) -> u64 {
        record.read::<Record>().unwrap().seq
    }

    fn batch(first: u64, count: u64, floor: u64) -> Batch {
        let (edge, epoch, lane) = ("e1".parse().unwrap(), "x".parse().unwrap(), Lane::Event);
        let records = (first..first + count).map(|seq| record(seq, "event")).collect();
        Batch { v: 1, edge, epoch, lane, first, floor, records }
    }

    fn held(from: u64, upto: u64, want: Option<u64>, stored: u64) -> Held {
        Held { from, upto, want, fork: false, stored }
    }

    #[tokio::test]
    async fn appending_twice_is_appending_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.append(batch(1, 3, 1)).await, Ok(held(1, 3, None, 3)));
        assert_eq!(store.append(batch(1, 3, 1)).await, Ok(held(1, 3, None, 0)));
        assert_eq!(store.append(batch(2, 4, 1)).await, Ok(held(1, 5, None, 2)));
        assert_eq!(store.count(), Ok(5));
        assert_eq!(store.append(batch(6, 0, 1)).await, Ok(held(1, 5, None, 0)), "an empty batch asks");
    }

    #[tokio::test]
    async fn a_gap_is_asked_for_until_it_is_filled_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.append(batch(4, 2, 1)).await, Ok(held(4, 5, Some(1), 2)));
        assert_eq!(store.append(batch(1, 0, 1)).await, Ok(held(1, 0, None, 0)), "of this it has none");
        assert_eq!(store.append(batch(6, 1, 3)).await, Ok(held(4, 6, Some(3), 1)));
        assert_eq!(
            store.append(batch(7, 1, 4)).await,
            Ok(held(4, 7, None, 1)),
            "what is gone is not asked for"
        );
        assert_eq!(store.append(batch(1, 3, 1)).await, Ok(held(1, 7, None, 3)));
    }

    #[tokio::test]
    async fn a_ninth_interval_is_not_stored_and_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for n in 0..8 {
            store.append(batch(10 * n + 1, 1, 1)).await.unwrap();
        }
        assert_eq!(store.append(batch(101, 1, 1)).await, Ok(held(101, 100, Some(2), 0)));
        assert_eq!(store.count(), Ok(8));
        assert_eq!(
            store.append(batch(101, 1, 71)).await,
            Ok(held(101, 101, Some(72), 1)),
            "what was below is forgotten"
        );
    }

    #[tokio::test]
    async fn a_document_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let document = |n| {
            let ver = Ver { era: 1, n, author: "c1".parse().unwrap() };
            let body = center_core::Body::Countermeasures(Default::default());
            Row::Document(Document { v: 1, ver, prev: None, ts: 0, body })
        };
        let key = document(1).key();
        for n in [2, 3, 1] {
            store.commit(vec![Write::Put(Box::new(document(n)))]).await.unwrap();
        }
        assert_eq!(store.rows(), Ok(vec![document(3)]));
        store.commit(vec![Write::Remove(key.clone()), Write::Remove(key)]).await.unwrap();
        assert_eq!(store.rows(), Ok(vec![]));
    }

    #[tokio::test]
    async fn a_full_disk_refuses_what_comes_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let disk = flotilla_machine::testing::Disk::default();
        let store = Store::on_disk(folder.path(), &disk).unwrap();
        store.append(batch(1, 3, 1)).await.unwrap();
        disk.fill();
        for _ in 0..2 {
            let error = store.append(batch(4, 3, 1)).await.unwrap_err();
            assert!(matches!(&error, StoreError::Disk { .. }), "{error}");
        }
        disk.empty();
        assert_eq!(store.count(), Ok(3));
        assert_eq!(store.append(batch(4, 3, 1)).await, Ok(held(1, 6, None, 3)));
    }

    #[tokio::test]
    async fn other_bytes_at_a_position_are_a_fork_and_nothing_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.append(batch(1, 3, 1)).await.unwrap();
        let mut cloned = batch(3, 2, 1);
        cloned.records[0] = record(3, "another event");
        let held = store.append(cloned).await.unwrap();
        assert!(held.fork && held.stored == 0);
        assert_eq!((store.count(), held.from, held.upto), (Ok(3), 3, 2));
    }

    #[tokio::test]
    async fn what_was_answered_is_there_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let appends: Vec<_> = (0..50)
            .map(|n| (store.clone(), batch(1 + 2 * n, 2, 1)))
            .map(|(store, batch)| tokio::spawn(async move { store.append(batch).await }))
            .collect();
        for append in appends {
            append.await.unwrap().unwrap();
        }
        drop(store);
        let store = reopen(folder.path());
        let (edge, epoch) = ("e1".parse().unwrap(), "x".parse().unwrap());
        let records = store.range(&edge, &epoch, Lane::Event, (1, u64::MAX), 1000).unwrap();
        assert_eq!(records.iter().map(number).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
        assert_eq!(store.heads(&edge).unwrap(), BTreeMap::from([((epoch, Lane::Event), 100)]));
        assert_eq!(store.append(batch(1, 2, 1)).await, Ok(held(1, 100, None, 0)));
    }

    /// The writing thread closes its handle a moment after the last clone is gone.
    fn reopen(folder: &Path) -> Store {
        loop {
            match Store::open(folder) {
                Err(StoreError::InUse(_)) => std::thread::yield_now(),
                store => return store.unwrap(),
            }
        }
    }

    #[tokio::test]
    async fn pages_follow_the_order_of_arrival_over_all_lanes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let edge = "e1".parse().unwrap();
        store.append(batch(1, 2, 1)).await.unwrap();
        store.append(Batch { lane: Lane::Reading, ..batch(1, 1, 1) }).await.unwrap();
        store.append(batch(3, 1, 1)).await.unwrap();
        let page = |lane, after, limit| {
            let page = store.page(&edge, lane, after, limit).unwrap();
            page.iter()
                .map(|stored| (stored.arrival, stored.lane.number(), number(&stored.record)))
                .collect::<Vec<_>>()
        };
        assert_eq!(page(None, 0, 3), [(1, 1, 1), (2, 1, 2), (3, 2, 1)]);
        assert_eq!(page(None, 3, 3), [(4, 1, 3)]);
        assert_eq!(page(Some(Lane::Event), 2, 3), [(4, 1, 3)]);
        assert!(store.page(&"e2".parse().unwrap(), None, 0, 9).unwrap().is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_for_records_is_woken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut arrived = store.arrived();
        store.append(batch(1, 2, 1)).await.unwrap();
        arrived.changed().await.unwrap();
        store.append(batch(1, 2, 1)).await.unwrap();
        assert!(!arrived.has_changed().unwrap(), "nothing new");
    }

    #[test]
    fn a_store_that_is_in_use_or_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::InUse(_))));
        drop(store);
        let missing = folder.path().join("missing");
        assert!(matches!(Store::open(&missing), Err(StoreError::Disk { .. })));
        let damaged = tempfile::tempdir().unwrap();
        std::fs::write(damaged.path().join(FILE), b"this is no database").unwrap();
        assert!(Store::open(damaged.path()).is_err());
    }
}
