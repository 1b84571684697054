//! What an edge without a disk keeps while it runs.
//!
//! It is as large as the core lets it be: the core bounds the journal and its values, and here each app's keys are.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use edge_core::{Found, Persist};
use flotilla_schemas::journal::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Lane};
use flotilla_schemas::{AppId, EpochId, Json};

use super::kept::{APP_KEYS_BYTES_MAX, Numbered};

/// A store in memory.
pub struct Memory(Mutex<Kept>);

struct Kept {
    epoch: EpochId,
    /// Records as JSON, by lane and number.
    journal: BTreeMap<(u8, u64), Vec<u8>>,
    values: BTreeMap<String, Vec<u8>>,
    keys: BTreeMap<AppId, BTreeMap<String, Vec<u8>>>,
}

impl Memory {
    pub fn new(epoch: EpochId) -> Self {
        let (journal, values, keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(Kept { epoch, journal, values, keys }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a core boots from: nothing but a name, for it is asked once, before anything is kept.
    pub fn found(&self) -> Found {
        Found { epoch: self.kept().epoch.clone(), lanes: [(0, 1, 0); 3], values: BTreeMap::new() }
    }

    pub fn commit(&self, changes: &[Persist]) {
        let mut kept = self.kept();
        for change in changes {
            match change {
                Persist::Append(lane, record) => {
                    let bytes = serde_json::to_vec(record).unwrap_or_default();
                    kept.journal.insert((lane.number(), record.seq), bytes);
                }
                Persist::Trim(lane, below) => {
                    let lane = lane.number();
                    kept.journal.retain(|(of, seq), _| *of != lane || seq >= below);
                }
                Persist::Epoch(epoch) => kept.epoch = epoch.clone(),
                Persist::Put(key, value) => _ = kept.values.insert(key.clone(), value.clone()),
                Persist::Delete(key) => _ = kept.values.remove(key),
                Persist::DeleteKeys(app) => _ = kept.keys.remove(app),
            }
        }
    }

    pub fn records(&self, lane: Lane, first: u64, last: u64) -> Vec<Numbered> {
        let (kept, mut bytes) = (self.kept(), 0);
        let range = (lane.number(), first)..=(lane.number(), last.max(first));
        let fits = |(at, (_, record)): &(usize, (&(u8, u64), &Vec<u8>))| {
            bytes += record.len();
            *at == 0 || bytes <= BATCH_BYTES_MAX
        };
        let batch = kept.journal.range(range).take(BATCH_RECORDS_MAX).enumerate().take_while(fits);
        batch.filter_map(|(_, ((_, seq), record))| Some((*seq, Json::parse(record).ok()?))).collect()
    }

    pub fn key(&self, app: &AppId, key: &str) -> Option<Vec<u8>> {
        self.kept().keys.get(app)?.get(key).cloned()
    }

    pub fn set_key(&self, app: &AppId, key: &str, value: Option<&[u8]>) -> bool {
        let mut kept = self.kept();
        let own = kept.keys.entry(app.clone()).or_default();
        let Some(value) = value else {
            own.remove(key);
            return true;
        };
        let others =
            own.iter().filter(|(other, _)| *other != key).map(|(key, value)| key.len() + value.len());
        if (others.sum::<usize>() + key.len() + value.len()) as u64 > APP_KEYS_BYTES_MAX {
            return false;
        }
        own.insert(key.to_owned(), value.to_vec());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::journal::{Body, Record};

    fn record(seq: u64) -> Record {
        let body = Body::Dropped { lane: Lane::Reading, floor: seq };
        Record { seq, ts: 1, clock_ok: true, session: "s".parse().unwrap(), body }
    }

    #[test]
    fn what_is_committed_is_there_until_it_is_trimmed() {
        let memory = Memory::new("one".parse().unwrap());
        let append = |seq| Persist::Append(Lane::Event, Box::new(record(seq)));
        memory.commit(&[append(1), append(2), append(3), Persist::Trim(Lane::Event, 2)]);
        assert_eq!(
            memory.records(Lane::Event, 1, 9),
            [2, 3].map(|seq| (seq, Json::of(&record(seq)).unwrap()))
        );
        assert_eq!(memory.records(Lane::Fault, 1, 9), []);
        let many: Vec<Persist> = (4..4 + 2 * BATCH_RECORDS_MAX as u64).map(append).collect();
        memory.commit(&many);
        assert_eq!(memory.records(Lane::Event, 1, u64::MAX).len(), BATCH_RECORDS_MAX);
    }

    #[test]
    fn an_app_keeps_so_much_and_no_more() {
        let memory = Memory::new("one".parse().unwrap());
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let half = vec![0; APP_KEYS_BYTES_MAX as usize / 2];
        assert!(memory.set_key(&a, "1", Some(&half)) && !memory.set_key(&a, "2", Some(&half)));
        assert!(memory.set_key(&b, "2", Some(&half)) && memory.set_key(&a, "1", None));
        assert_eq!((memory.key(&a, "2"), memory.key(&b, "2")), (None, Some(half.clone())));
        assert!(memory.set_key(&a, "2", Some(&half)));
        memory.commit(&[Persist::DeleteKeys(a.clone())]);
        assert_eq!((memory.key(&a, "2"), memory.key(&b, "2")), (None, Some(half)));
    }
}
