//! A center's disk in memory: rows, the batches that edges signed, and files. What a power cut leaves.

use std::collections::BTreeMap;

use center_core::{Account, Known, Part, Place, Records, Row, Store, Write};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::{Digest, EdgeId, EpochId, Json};

/// The disk.
#[derive(Debug, Default)]
pub struct Disk {
    pub files: BTreeMap<Digest, Vec<u8>>,
    rows: BTreeMap<String, Row>,
    known: BTreeMap<Place, Known>,
    parts: BTreeMap<(Place, u64), Part>,
    accounts: BTreeMap<EdgeId, Account>,
}

impl Disk {
    /// Every record, with where it stands.
    pub fn records(&self) -> impl Iterator<Item = (&Place, u64, Json)> {
        self.parts.iter().flat_map(|((place, _), part)| {
            part.records().unwrap().map(move |(seq, record)| (place, seq, record))
        })
    }
}

impl Records for Disk {
    type Error = serde_json::Error;

    fn unreadable(cause: serde_json::Error) -> serde_json::Error {
        cause
    }
    fn known(&self, place: &Place) -> Result<Option<Known>, Self::Error> {
        Ok(self.known.get(place).cloned())
    }
    fn places(&self, edge: &EdgeId) -> Result<Vec<(Place, Known)>, Self::Error> {
        let of_edge = self.known.iter().filter(|(place, _)| place.edge == *edge);
        Ok(of_edge.map(|(place, known)| (place.clone(), known.clone())).collect())
    }
    fn parts(&self, place: &Place, first: u64, last: u64, limit: usize) -> Result<Vec<Part>, Self::Error> {
        let range = self.parts.range((place.clone(), first)..=(place.clone(), u64::MAX));
        let parts = range.map(|(_, part)| part).take_while(|part| part.first <= last);
        Ok(parts.take(limit).cloned().collect())
    }
    fn arrived(&self, edge: &EdgeId, lane: Lane, after: u64) -> Result<Option<(EpochId, Part)>, Self::Error> {
        let of_lane = self.parts.iter().filter(|((place, _), _)| place.edge == *edge && place.lane == lane);
        let next = of_lane.filter(|(_, part)| part.arrival > after).min_by_key(|(_, part)| part.arrival);
        Ok(next.map(|((place, _), part)| (place.epoch.clone(), part.clone())))
    }
}

impl Store for Disk {
    fn rows(&self) -> Result<Vec<Row>, Self::Error> {
        Ok(self.rows.values().cloned().collect())
    }
    fn commit(&mut self, writes: &[Write]) -> Result<(), Self::Error> {
        for write in writes {
            match write {
                Write::Put(row) => _ = self.rows.insert(row.key(), Row::clone(row)),
                Write::Remove(key) => _ = self.rows.remove(key),
            }
        }
        Ok(())
    }
    fn put_known(&mut self, place: &Place, known: Option<&Known>) -> Result<(), Self::Error> {
        match known {
            Some(known) => _ = self.known.insert(place.clone(), known.clone()),
            None => _ = self.known.remove(place),
        }
        Ok(())
    }
    fn put_part(&mut self, place: &Place, part: &Part) -> Result<(), Self::Error> {
        self.parts.insert((place.clone(), part.last), part.clone());
        Ok(())
    }
    fn remove_part(&mut self, place: &Place, part: &Part) -> Result<(), Self::Error> {
        self.parts.remove(&(place.clone(), part.last));
        Ok(())
    }
    fn account(&self, edge: &EdgeId) -> Result<Account, Self::Error> {
        Ok(self.accounts.get(edge).copied().unwrap_or_default())
    }
    fn put_account(&mut self, edge: &EdgeId, account: &Account) -> Result<(), Self::Error> {
        self.accounts.insert(edge.clone(), *account);
        Ok(())
    }
    fn bytes(&self) -> Result<u64, Self::Error> {
        Ok(self.accounts.values().map(|account| account.bytes).sum())
    }
    fn largest(&self) -> Result<Option<EdgeId>, Self::Error> {
        let largest = self.accounts.iter().max_by_key(|(_, account)| account.bytes);
        Ok(largest.map(|(edge, _)| edge.clone()))
    }
}
