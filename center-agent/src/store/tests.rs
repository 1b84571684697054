//! What a store keeps, over crashes and full disks.

use std::collections::BTreeMap;

use center_core::{Document, Place, Ver};
use flotilla_schemas::journal::{Batch, Body, Record};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{Json, KeyId};
use tokio::sync::oneshot;

use super::*;

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

fn key() -> SecretKey {
    SecretKey::from_seed(KeyId::new("e1").unwrap(), [1; 32])
}

async fn append(store: &Store, batch: Batch) -> Result<Held, StoreError> {
    give(store, batch).await.unwrap()
}

fn give(store: &Store, batch: Batch) -> oneshot::Receiver<Result<Held, StoreError>> {
    let payload = serde_json::to_vec(&batch).unwrap();
    let sig = key().sign("journal", &payload);
    let (done, answer) = oneshot::channel();
    store.append(Box::new(Journaled { batch, payload, sig }), move |_, held| _ = done.send(held));
    answer
}

async fn commit(store: &Store, writes: Vec<Write>) -> Result<(), StoreError> {
    let (done, answer) = oneshot::channel();
    store.commit(writes, move |_, result| _ = done.send(result));
    answer.await.unwrap()
}

fn place(epoch: &str, lane: Lane) -> Place {
    Place { edge: "e1".parse().unwrap(), epoch: epoch.parse().unwrap(), lane }
}

/// The numbers that are held of a lane.
fn numbers(store: &Store, epoch: &str, lane: Lane) -> Vec<u64> {
    let parts = store.read(|sight| sight.parts(&place(epoch, lane), 0, u64::MAX, 1000)).unwrap();
    parts.iter().flat_map(|part| part.records().unwrap()).map(|(seq, _)| seq).collect()
}

fn held(from: u64, upto: u64, want: Option<u64>, stored: u64) -> Held {
    Held { from, upto, want, fork: false, stored }
}

#[tokio::test]
async fn appending_twice_is_appending_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(append(&store, batch(1, 3, 1)).await, Ok(held(1, 3, None, 3)));
    assert_eq!(append(&store, batch(1, 3, 1)).await, Ok(held(1, 3, None, 0)));
    assert_eq!(append(&store, batch(2, 4, 1)).await, Ok(held(1, 5, None, 2)));
    assert_eq!(store.count(), Ok(5));
    assert_eq!(append(&store, batch(6, 0, 1)).await, Ok(held(1, 5, None, 0)), "an empty batch asks");
}

#[tokio::test]
async fn a_gap_is_asked_for_until_it_is_filled_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(append(&store, batch(4, 2, 1)).await, Ok(held(4, 5, Some(1), 2)));
    assert_eq!(append(&store, batch(1, 0, 1)).await, Ok(held(1, 0, None, 0)), "of this it has none");
    assert_eq!(append(&store, batch(6, 1, 3)).await, Ok(held(4, 6, Some(3), 1)));
    assert_eq!(
        append(&store, batch(7, 1, 4)).await,
        Ok(held(4, 7, None, 1)),
        "what is gone is not asked for"
    );
    assert_eq!(append(&store, batch(1, 3, 1)).await, Ok(held(1, 7, None, 3)));
}

#[tokio::test]
async fn a_ninth_interval_is_not_stored_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for n in 0..8 {
        append(&store, batch(10 * n + 1, 1, 1)).await.unwrap();
    }
    assert_eq!(append(&store, batch(101, 1, 1)).await, Ok(held(101, 100, Some(2), 0)));
    assert_eq!(store.count(), Ok(8));
    assert_eq!(
        append(&store, batch(101, 1, 71)).await,
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
        commit(&store, vec![Write::Put(Box::new(document(n)))]).await.unwrap();
    }
    assert_eq!(store.rows(), Ok(vec![document(3)]));
    commit(&store, vec![Write::Remove(key.clone()), Write::Remove(key)]).await.unwrap();
    assert_eq!(store.rows(), Ok(vec![]));
}

#[tokio::test]
async fn a_full_disk_refuses_what_comes_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = flotilla_machine::testing::Disk::default();
    let store = Store::on_disk(folder.path(), &disk).unwrap();
    append(&store, batch(1, 3, 1)).await.unwrap();
    disk.fill();
    for _ in 0..2 {
        let error = append(&store, batch(4, 3, 1)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Disk { .. }), "{error}");
    }
    disk.empty();
    assert_eq!(store.count(), Ok(3));
    assert_eq!(append(&store, batch(4, 3, 1)).await, Ok(held(1, 6, None, 3)));
}

#[tokio::test]
async fn other_bytes_at_a_position_are_a_fork_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    append(&store, batch(1, 3, 1)).await.unwrap();
    let mut cloned = batch(3, 2, 1);
    cloned.records[0] = record(3, "another event");
    let held = append(&store, cloned).await.unwrap();
    assert!(held.fork && held.stored == 0);
    assert_eq!((store.count(), held.from, held.upto), (Ok(3), 3, 2));
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let appends: Vec<_> = (0..50)
        .map(|n| (store.clone(), batch(1 + 2 * n, 2, 1)))
        .map(|(store, batch)| tokio::spawn(async move { append(&store, batch).await }))
        .collect();
    for append in appends {
        append.await.unwrap().unwrap();
    }
    drop(store);
    let store = reopen(folder.path());
    assert_eq!(numbers(&store, "x", Lane::Event), (1..=100).collect::<Vec<_>>());
    let heads = store.read(|sight| sight.heads(&"e1".parse().unwrap())).unwrap();
    assert_eq!(heads, BTreeMap::from([(("x".parse().unwrap(), Lane::Event), 100)]));
    assert_eq!(append(&store, batch(1, 2, 1)).await, Ok(held(1, 100, None, 0)));
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
    append(&store, batch(1, 2, 1)).await.unwrap();
    append(&store, Batch { lane: Lane::Reading, ..batch(1, 1, 1) }).await.unwrap();
    append(&store, batch(3, 1, 1)).await.unwrap();
    let page = |lanes: &[Lane], after, limit| {
        let page = store.page(&edge, lanes, after, limit).unwrap();
        page.iter()
            .map(|stored| (stored.arrival, stored.lane.number(), number(&stored.record)))
            .collect::<Vec<_>>()
    };
    assert_eq!(page(&Lane::ALL, 0, 3), [(1, 1, 1), (2, 1, 2), (3, 2, 1)]);
    assert_eq!(page(&Lane::ALL, 3, 3), [(4, 1, 3)]);
    assert_eq!(page(&[Lane::Event], 2, 3), [(4, 1, 3)]);
    assert!(store.page(&"e2".parse().unwrap(), &Lane::ALL, 0, 9).unwrap().is_empty());
}

#[tokio::test]
async fn whoever_waits_for_records_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut arrived = store.arrived();
    append(&store, batch(1, 2, 1)).await.unwrap();
    arrived.changed().await.unwrap();
    append(&store, batch(1, 2, 1)).await.unwrap();
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

#[tokio::test]
async fn a_record_is_held_with_the_batch_that_its_edge_signed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    append(&store, batch(2, 2, 1)).await.unwrap();
    append(&store, batch(1, 4, 1)).await.unwrap();
    let parts = store.read(|sight| sight.parts(&place("x", Lane::Event), 2, 4, 9)).unwrap();
    let runs: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
    assert_eq!(runs, [(2, 3), (4, 4)], "each record once");
    for part in parts {
        assert_eq!(key().public().verify("journal", &part.payload, &part.sig), Ok(()));
    }
}

fn bounded(folder: &Path, bounds: Bounds) -> Store {
    Store::with(DatabaseFile::open(folder.join(FILE), CACHE_BYTES).unwrap(), bounds).unwrap()
}

#[tokio::test]
async fn of_an_edge_the_oldest_journal_goes_first_then_readings_then_events_then_faults() {
    let folder = tempfile::tempdir().unwrap();
    let store = bounded(folder.path(), Bounds { edge_records: 6, ..Bounds::default() });
    let of = |epoch: &str, lane, first| Batch { epoch: epoch.parse().unwrap(), lane, ..batch(first, 2, 1) };
    for (epoch, lane) in [("old", Lane::Fault), ("new", Lane::Fault), ("new", Lane::Event)] {
        append(&store, of(epoch, lane, 1)).await.unwrap();
    }
    let left = |store: &Store| {
        [("old", Lane::Fault), ("new", Lane::Fault), ("new", Lane::Event), ("new", Lane::Reading)]
            .map(|(epoch, lane)| numbers(store, epoch, lane).len())
    };
    append(&store, of("new", Lane::Reading, 1)).await.unwrap();
    assert_eq!(left(&store), [0, 2, 2, 2]);
    append(&store, of("new", Lane::Event, 3)).await.unwrap();
    assert_eq!(left(&store), [0, 2, 4, 0]);
    append(&store, of("new", Lane::Fault, 3)).await.unwrap();
    assert_eq!((left(&store), store.count()), ([0, 4, 2, 0], Ok(6)));
    assert_eq!(numbers(&store, "new", Lane::Event), [3, 4]);
    let again = append(&store, of("new", Lane::Event, 1)).await.unwrap();
    assert_eq!((again.stored, again.upto, again.want), (0, 4, None), "it was here, and is not asked for");
    assert_eq!(store.count(), Ok(6));
}

#[tokio::test]
async fn what_was_taken_away_is_not_asked_for_where_a_gap_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = bounded(folder.path(), Bounds { edge_records: 2, ..Bounds::default() });
    assert_eq!(append(&store, batch(3, 2, 1)).await, Ok(held(3, 4, Some(1), 2)));
    assert_eq!(append(&store, batch(5, 2, 1)).await, Ok(held(3, 6, Some(1), 2)));
    assert_eq!(append(&store, batch(7, 0, 1)).await, Ok(held(3, 6, None, 0)));
}

#[tokio::test]
async fn of_a_ninth_journal_the_oldest_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = bounded(folder.path(), Bounds { edge_epochs: 2, ..Bounds::default() });
    for epoch in ["a", "b", "c"] {
        append(&store, Batch { epoch: epoch.parse().unwrap(), ..batch(1, 1, 1) }).await.unwrap();
    }
    let heads = store.read(|sight| sight.heads(&"e1".parse().unwrap())).unwrap();
    let epochs: Vec<String> = heads.keys().map(|(epoch, _)| epoch.to_string()).collect();
    assert_eq!((epochs, store.count()), (vec!["b".to_owned(), "c".to_owned()], Ok(2)));
}

#[tokio::test]
async fn if_all_have_too_much_who_has_most_gives() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = serde_json::to_vec(&batch(1, 1, 1)).unwrap().len() as u64;
    let store = bounded(folder.path(), Bounds { bytes: 4 * bytes, ..Bounds::default() });
    for first in 1..=4 {
        append(&store, batch(first, 1, 1)).await.unwrap();
    }
    append(&store, Batch { edge: "e2".parse().unwrap(), ..batch(1, 1, 1) }).await.unwrap();
    assert_eq!(numbers(&store, "x", Lane::Event), [2, 3, 4]);
    assert_eq!(store.page(&"e2".parse().unwrap(), &Lane::ALL, 0, 9).unwrap().len(), 1);
}

#[tokio::test]
async fn writes_are_carried_out_in_the_order_in_which_they_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let appends: Vec<_> = (0..100).map(|n| give(&store, batch(1 + n, 1, 1))).collect();
    for append in appends {
        assert_eq!(append.await.unwrap().unwrap().want, None, "no gap was ever seen");
    }
}
