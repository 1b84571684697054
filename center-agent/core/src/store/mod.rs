//! What a store of journals is: few rows and a handful of ways to read and write them; what becomes of a batch, what is
//! passed on and what has to go is the same for every store.
//!
//! A store keeps the signed batch that brought a record, once, and cuts the record out of it: so whoever gets it can
//! verify it, and nothing depends on how records are written anew. What one batch brought is a [`Part`]: a run of
//! numbers without a gap. Parts of a lane never overlap. Everything may be done twice.
//!
//! Whoever writes does so within a transaction: what [`Store::append`] tells holds when that is on disk.

mod part;
mod retention;

use std::collections::BTreeMap;

use flotilla_schemas::journal::Lane;
use flotilla_schemas::{EdgeId, EpochId, Json};

pub use part::{Account, Arrived, Journaled, Part, Place};
pub use retention::{BYTES_MAX, Bounds, EDGE_BYTES_MAX, EDGE_EPOCHS_MAX, EDGE_RECORDS_MAX};
use retention::{epochs, first_to_go};

use crate::interval::{Held, Known};
use crate::row::{Row, Write};

/// What is read of journals.
pub trait Records {
    /// Why something cannot be read or written.
    type Error;

    /// What is there is not what an edge sent.
    fn unreadable(cause: serde_json::Error) -> Self::Error;

    /// What is known of one lane.
    fn known(&self, place: &Place) -> Result<Option<Known>, Self::Error>;

    /// What is known of all lanes of an edge.
    fn places(&self, edge: &EdgeId) -> Result<Vec<(Place, Known)>, Self::Error>;

    /// The parts of a lane that hold numbers from `first` to `last`, at most `limit`, in order.
    fn parts(&self, place: &Place, first: u64, last: u64, limit: usize) -> Result<Vec<Part>, Self::Error>;

    /// The part of an edge's lane, of whichever journal, that holds the first arrival after this number.
    fn arrived(&self, edge: &EdgeId, lane: Lane, after: u64) -> Result<Option<(EpochId, Part)>, Self::Error>;

    /// The greatest number of each journal and lane of an edge.
    fn heads(&self, edge: &EdgeId) -> Result<BTreeMap<(EpochId, Lane), u64>, Self::Error> {
        let places = self.places(edge)?.into_iter();
        Ok(places.map(|(place, known)| ((place.epoch, place.lane), known.intervals.head())).collect())
    }

    /// Records of an edge, of these lanes, that arrived after this number: at most `limit`, in the order of arrival.
    fn page(
        &self,
        edge: &EdgeId,
        lanes: &[Lane],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arrived>, Self::Error> {
        let mut page = Vec::new();
        for lane in lanes {
            let (mut after, most) = (after, page.len() + limit);
            while page.len() < most
                && let Some((epoch, part)) = self.arrived(edge, *lane, after)?
            {
                let arrived = part.arrived(&epoch, *lane).map_err(Self::unreadable)?;
                page.extend(arrived.filter(|record| record.arrival > after));
                after = part.arrival;
            }
        }
        page.sort_by_key(|record| record.arrival);
        page.truncate(limit);
        Ok(page)
    }
}

/// What is written: journals, and the core's rows.
pub trait Store: Records {
    /// All rows.
    fn rows(&self) -> Result<Vec<Row>, Self::Error>;

    /// Puts and removes rows. A document of a lower version than the one that is there is passed over.
    fn commit(&mut self, writes: &[Write]) -> Result<(), Self::Error>;

    /// Remembers what is known of a lane; nothing any more if there is none.
    fn put_known(&mut self, place: &Place, known: Option<&Known>) -> Result<(), Self::Error>;

    /// Puts a part.
    fn put_part(&mut self, place: &Place, part: &Part) -> Result<(), Self::Error>;

    /// Removes a part.
    fn remove_part(&mut self, place: &Place, part: &Part) -> Result<(), Self::Error>;

    /// What is held of an edge.
    fn account(&self, edge: &EdgeId) -> Result<Account, Self::Error>;

    /// Replaces an edge's account, and with it the sums over all.
    fn put_account(&mut self, edge: &EdgeId, account: &Account) -> Result<(), Self::Error>;

    /// What is held of all edges, in bytes.
    fn bytes(&self) -> Result<u64, Self::Error>;

    /// The edge of which most bytes are held.
    fn largest(&self) -> Result<Option<EdgeId>, Self::Error>;

    /// Takes a batch: puts the records that are new, and tells what is held now.
    fn append(&mut self, journaled: &Journaled) -> Result<Held, Self::Error> {
        let (batch, place) = (&journaled.batch, journaled.place());
        let mut there = BTreeMap::new();
        for part in self.parts(&place, batch.first, batch.last().unwrap_or(u64::MAX), usize::MAX)? {
            // What a disk has spoilt is put there again.
            there.extend(part.records().into_iter().flatten());
        }
        let before = self.known(&place)?;
        let mut known = before.clone().unwrap_or_default();
        let (held, new) = known.take(batch, |seq| there.get(&seq).map(Json::text));
        if held.fork || before.as_ref().unwrap_or(&Known::default()) == &known {
            return Ok(held);
        }
        let mut account = self.account(&place.edge)?;
        for (first, last) in new {
            let part = journaled.part(first, last, account.arrival);
            self.put_part(&place, &part)?;
            account.add(&part);
        }
        known.newest = account.arrival;
        self.put_known(&place, Some(&known))?;
        if before.is_none() {
            account.epochs = epochs(&self.places(&place.edge)?).len() as u64;
        }
        self.put_account(&place.edge, &account)?;
        Ok(held)
    }

    /// Takes away what is more than an edge and all of them may have; gives how many records went. Of journals the
    /// oldest goes first, of a journal the oldest readings, then events, then faults. If all have too much, the edge
    /// that has most gives.
    fn retain(&mut self, edge: &EdgeId, bounds: &Bounds) -> Result<u64, Self::Error> {
        let mut gone = 0;
        while self.account(edge)?.epochs > bounds.edge_epochs {
            gone += self.forget_oldest(edge)?;
        }
        while bounds.exceeded(&self.account(edge)?)
            && let went @ 1.. = self.drop_oldest(edge)?
        {
            gone += went;
        }
        while self.bytes()? > bounds.bytes
            && let Some(largest) = self.largest()?
            && let went @ 1.. = self.drop_oldest(&largest)?
        {
            gone += went;
        }
        Ok(gone)
    }

    /// Takes the first part away that has to go; gives how many records it held, 0 if there is none.
    fn drop_oldest(&mut self, edge: &EdgeId) -> Result<u64, Self::Error> {
        for (place, mut known) in first_to_go(self.places(edge)?) {
            if let Some(part) = self.parts(&place, 0, u64::MAX, 1)?.first() {
                known.floor = known.floor.max(part.last.saturating_add(1));
                self.put_known(&place, Some(&known))?;
                return self.take_away(&place, part);
            }
        }
        Ok(0)
    }

    /// Forgets an edge's oldest journal; gives how many records went with it.
    fn forget_oldest(&mut self, edge: &EdgeId) -> Result<u64, Self::Error> {
        let mut gone = 0;
        let places = first_to_go(self.places(edge)?);
        let oldest = places.first().map(|(place, _)| place.epoch.clone());
        for (place, _) in places.iter().filter(|(place, _)| Some(&place.epoch) == oldest.as_ref()) {
            for part in self.parts(place, 0, u64::MAX, usize::MAX)? {
                gone += self.take_away(place, &part)?;
            }
            self.put_known(place, None)?;
        }
        let mut account = self.account(edge)?;
        account.epochs = epochs(&self.places(edge)?).len() as u64;
        self.put_account(edge, &account)?;
        Ok(gone)
    }

    /// Removes a part and settles the account; gives how many records it held.
    fn take_away(&mut self, place: &Place, part: &Part) -> Result<u64, Self::Error> {
        self.remove_part(place, part)?;
        let mut account = self.account(&place.edge)?;
        account.remove(part);
        self.put_account(&place.edge, &account)?;
        Ok(part.count())
    }
}
