//! What an edge keeps on disk: one redb file, one commit a step.
//!
//! A commit is all or nothing and on disk when it returns. The file is locked while an agent has it open.

use std::collections::BTreeMap;
use std::path::Path;

use edge_core::{Found, Persist};
use flotilla_machine::redb::{Database, ReadTransaction, TableDefinition, WriteTransaction};
use flotilla_machine::redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};
use flotilla_machine::{DatabaseFile, Redb};
use flotilla_schemas::journal::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Lane};
use flotilla_schemas::{AppId, EpochId, Json};

use super::error::StoreError;
use super::kept::{APP_KEYS_BYTES_MAX, Numbered};

const JOURNAL: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("journal");
const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
const KEYS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("app-keys");
/// `epoch`, and `deleted/<lane>`: the greatest number that was deleted, so that numbers never restart.
const MARKS: TableDefinition<'_, &str, &str> = TableDefinition::new("marks");

/// The file's name within the data folder.
pub const FILE: &str = "edge.redb";

/// redb's page cache; an edge reads little, and each byte of it is resident memory.
const CACHE_BYTES: usize = 1024 * 1024;

/// A store on disk.
pub struct Disk(DatabaseFile);

impl Disk {
    /// Opens the store of a data folder; makes it, under this epoch, if there is none.
    pub fn open(folder: &Path, new_epoch: &EpochId) -> Result<Self, StoreError> {
        let store = Self(DatabaseFile::open(folder.join(FILE), CACHE_BYTES)?);
        store.prepare(new_epoch)?;
        Ok(store)
    }

    /// Opens the store that a data folder has already.
    pub fn open_existing(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        match path.exists() {
            true => Ok(Self(DatabaseFile::open(path, CACHE_BYTES)?)),
            false => Err(StoreError::Missing(path)),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&Database) -> Redb<T>) -> Result<T, StoreError> {
        Ok(self.0.with(act)?)
    }

    fn content(&self, cause: String) -> StoreError {
        StoreError::Content { path: self.0.path().to_owned(), cause }
    }

    fn prepare(&self, new_epoch: &EpochId) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                transaction.open_table(JOURNAL)?;
                transaction.open_table(VALUES)?;
                transaction.open_table(KEYS)?;
                let mut marks = transaction.open_table(MARKS)?;
                if marks.get("epoch")?.is_none() {
                    marks.insert("epoch", new_epoch.as_str())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// What a core boots from.
    pub fn found(&self) -> Result<Found, StoreError> {
        let found = self.with(|database| {
            let transaction = database.begin_read()?;
            let epoch = transaction.open_table(MARKS)?.get("epoch")?.map(|mark| mark.value().to_owned());
            let mut lanes = [(0, 1, 0); 3];
            for (lane, found) in Lane::ALL.into_iter().zip(&mut lanes) {
                *found = lane_found(&transaction, lane)?;
            }
            let mut values = BTreeMap::new();
            for entry in transaction.open_table(VALUES)?.iter()? {
                let (key, value) = entry?;
                values.insert(key.value().to_owned(), value.value().to_vec());
            }
            Ok(epoch.and_then(|epoch| EpochId::new(epoch).ok()).map(|epoch| Found { epoch, lanes, values }))
        })?;
        found.ok_or_else(|| self.content("it names no journal epoch".to_owned()))
    }

    /// Commits changes, all of them or none. What failed may be tried again: the disk may have room by then.
    pub fn commit(&self, changes: &[Persist]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.with(|database| {
            let transaction = database.begin_write()?;
            for change in changes {
                apply(&transaction, change)?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// Records of a lane from `first` to `last`, as they were written, as many as one batch holds, at least one if there is one.
    pub fn records(&self, lane: Lane, first: u64, last: u64) -> Result<Vec<Numbered>, StoreError> {
        let records = self.with(|database| {
            let (mut records, mut bytes) = (Vec::new(), 0);
            let journal = database.begin_read()?.open_table(JOURNAL)?;
            for entry in journal.range((lane.number(), first)..=(lane.number(), last))? {
                let (key, record) = entry?;
                let (seq, record) = (key.value().1, record.value().to_vec());
                bytes += record.len();
                if records.len() >= BATCH_RECORDS_MAX || (bytes > BATCH_BYTES_MAX && !records.is_empty()) {
                    break;
                }
                records.push((seq, record));
            }
            Ok(records)
        })?;
        let parse = |(seq, bytes): &(u64, Vec<u8>)| Ok((*seq, Json::parse(bytes)?));
        let records: Result<_, serde_json::Error> = records.iter().map(parse).collect();
        records.map_err(|error| {
            self.content(format!("a record of lane {} from {first} on: {error}", lane.number()))
        })
    }

    /// A value that an app keeps.
    pub fn key(&self, app: &AppId, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| {
            let keys = database.begin_read()?.open_table(KEYS)?;
            Ok(keys.get((app.as_str(), key))?.map(|value| value.value().to_vec()))
        })
    }

    /// Keeps a value of an app, or forgets it; false if the app would keep more than [`APP_KEYS_BYTES_MAX`].
    pub fn set_key(&self, app: &AppId, key: &str, value: Option<&[u8]>) -> Result<bool, StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let mut keys = transaction.open_table(KEYS)?;
                match value {
                    Some(value) => keys.insert((app.as_str(), key), value).map(drop)?,
                    None => keys.remove((app.as_str(), key)).map(drop)?,
                }
                let mut bytes = 0;
                for entry in keys.range((app.as_str(), "")..)? {
                    let (key, value) = entry?;
                    let (owner, key) = key.value();
                    if owner != app.as_str() {
                        break;
                    }
                    bytes += (key.len() + value.value().len()) as u64;
                }
                if bytes > APP_KEYS_BYTES_MAX && value.is_some() {
                    return Ok(false);
                }
            }
            transaction.commit()?;
            Ok(true)
        })
    }
}

fn last_mark(lane: Lane) -> String {
    format!("deleted/{}", lane.number())
}

fn lane_found(transaction: &ReadTransaction, lane: Lane) -> Redb<(u64, u64, u64)> {
    let marks = transaction.open_table(MARKS)?;
    let marked = marks.get(last_mark(lane).as_str())?.and_then(|mark| mark.value().parse().ok()).unwrap_or(0);
    let journal = transaction.open_table(JOURNAL)?;
    let (mut head, mut floor, mut bytes) = (marked, None, 0);
    if journal.len()? > 0 {
        for entry in journal.range((lane.number(), 0)..=(lane.number(), u64::MAX))? {
            let (key, value) = entry?;
            head = head.max(key.value().1);
            floor.get_or_insert(key.value().1);
            bytes += value.value().len() as u64;
        }
    }
    Ok((head, floor.unwrap_or(head + 1), bytes))
}

fn apply(transaction: &WriteTransaction, change: &Persist) -> Redb<()> {
    match change {
        Persist::Append(lane, record) => {
            let bytes = serde_json::to_vec(record).unwrap_or_default();
            transaction.open_table(JOURNAL)?.insert((lane.number(), record.seq), bytes.as_slice())?;
        }
        Persist::Trim(lane, below) => {
            let mut journal = transaction.open_table(JOURNAL)?;
            journal.retain_in((lane.number(), 0)..(lane.number(), *below), |_, _| false)?;
            let last = below.saturating_sub(1).to_string();
            transaction.open_table(MARKS)?.insert(last_mark(*lane).as_str(), last.as_str())?;
        }
        Persist::Epoch(epoch) => {
            transaction.open_table(MARKS)?.insert("epoch", epoch.as_str())?;
        }
        Persist::Put(key, value) => {
            transaction.open_table(VALUES)?.insert(key.as_str(), value.as_slice())?;
        }
        Persist::Delete(key) => {
            transaction.open_table(VALUES)?.remove(key.as_str())?;
        }
        Persist::DeleteKeys(app) => {
            transaction.open_table(KEYS)?.retain(|(of, _), _| of != app.as_str())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::journal::{Body, Record};

    fn record(seq: u64) -> Record {
        let body = Body::Dropped { lane: Lane::Reading, floor: seq };
        Record { seq, ts: 1, clock_ok: true, session: "s".parse().unwrap(), body }
    }

    fn written(seq: u64) -> Numbered {
        (seq, Json::of(&record(seq)).unwrap())
    }

    fn append(seq: u64) -> Persist {
        Persist::Append(Lane::Event, Box::new(record(seq)))
    }

    #[test]
    fn what_was_committed_is_found_again_and_numbers_never_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = ("one".parse().unwrap(), "two".parse().unwrap());
        let store = Disk::open(folder.path(), &first).unwrap();
        let put = Persist::Put("slot/policy".into(), b"x".to_vec());
        store.commit(&[append(1), append(2), append(3), put, Persist::Trim(Lane::Event, 3)]).unwrap();
        assert_eq!(store.records(Lane::Event, 1, 9).unwrap(), [written(3)]);
        store.commit(&[Persist::Trim(Lane::Event, 4)]).unwrap();
        drop(store);
        let found = Disk::open(folder.path(), &second).unwrap().found().unwrap();
        assert_eq!(found.epoch, first, "an epoch is made once");
        assert_eq!(found.lanes[1], (3, 4, 0), "an empty lane remembers its head");
        assert_eq!(found.values["slot/policy"], b"x");
    }

    #[test]
    fn a_store_that_is_in_use_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let epoch = "e".parse().unwrap();
        let store = Disk::open(folder.path(), &epoch).unwrap();
        let second = Disk::open(folder.path(), &epoch).map(drop).unwrap_err().to_string();
        assert!(second.contains("in use by a running agent"), "{second}");
        drop(store);
        assert!(matches!(Disk::open_existing(&folder.path().join("x")), Err(StoreError::Missing(_))));
    }

    #[test]
    fn what_a_full_disk_refused_is_taken_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let disk = flotilla_machine::testing::Disk::default();
        let store = Disk(disk.open(folder.path().join(FILE), CACHE_BYTES).unwrap());
        store.prepare(&"e".parse().unwrap()).unwrap();
        store.commit(&[append(1)]).unwrap();
        disk.fill();
        for _ in 0..3 {
            assert!(matches!(store.commit(&[append(2)]), Err(StoreError::Disk { .. })));
        }
        disk.empty();
        store.commit(&[append(2)]).unwrap();
        assert_eq!(store.records(Lane::Event, 1, 9).unwrap(), [written(1), written(2)]);
    }

    #[test]
    fn an_app_keeps_so_much_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = Disk::open(folder.path(), &"e".parse().unwrap()).unwrap();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let half = vec![0; APP_KEYS_BYTES_MAX as usize / 2];
        assert!(store.set_key(&a, "1", Some(&half)).unwrap());
        assert!(!store.set_key(&a, "2", Some(&half)).unwrap());
        assert!(store.set_key(&b, "2", Some(&half)).unwrap());
        assert_eq!(store.key(&a, "2").unwrap(), None);
        assert!(store.set_key(&a, "1", None).unwrap());
        assert!(store.set_key(&a, "2", Some(&half[1..])).unwrap());
        store.commit(&[Persist::DeleteKeys(a.clone())]).unwrap();
        assert_eq!((store.key(&a, "2").unwrap(), store.key(&b, "2").unwrap()), (None, Some(half)));
    }
}
