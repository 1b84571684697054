//! Journals and rows as redb tables: within a transaction that writes, and within one that reads.
//!
//! A batch lies once under the number of the last record that it brought; by arrival there is an index, lane by lane,
//! so that a page of one lane never passes over another.

use center_core::{Account, Known, Part, Place, Records, Row, Store, Write};
use flotilla_machine::Redb;
use flotilla_machine::redb::{
    self, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::{EdgeId, EpochId};
use serde::Serialize;
use serde::de::DeserializeOwned;

type PlaceKey = (&'static str, &'static str, u8);
type PartKey = (&'static str, &'static str, u8, u64);
type PartValue = (u64, u64, &'static str, &'static [u8]);
type ArrivalKey = (&'static str, u8, u64);
type ArrivalValue = (&'static str, u64);

/// Edge, journal, lane, to what is known of it.
const KNOWN: TableDefinition<'_, PlaceKey, &[u8]> = TableDefinition::new("known");
/// Edge, journal, lane, last number, to first number, arrival of the last, signature, batch.
const PARTS: TableDefinition<'_, PartKey, PartValue> = TableDefinition::new("parts");
/// Edge, lane, arrival of the last, to journal and last number.
const ARRIVALS: TableDefinition<'_, ArrivalKey, ArrivalValue> = TableDefinition::new("arrivals");
/// Edge, to arrival, records, bytes, journals.
const ACCOUNTS: TableDefinition<'_, &str, (u64, u64, u64, u64)> = TableDefinition::new("accounts");
/// Bytes and edge.
const SIZES: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("sizes");
/// The sums of all accounts: records, bytes.
const SUMS: TableDefinition<'_, (), (u64, u64)> = TableDefinition::new("sums");
const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");

/// Makes the tables that are not there yet.
pub(super) fn prepare(database: &Database) -> Redb<()> {
    let transaction = database.begin_write()?;
    drop(Group::of(&transaction)?);
    transaction.open_table(ROWS)?;
    Ok(transaction.commit()?)
}

/// The tables of a transaction that writes.
pub(super) struct Group<'t> {
    known: Table<'t, PlaceKey, &'static [u8]>,
    parts: Table<'t, PartKey, PartValue>,
    arrivals: Table<'t, ArrivalKey, ArrivalValue>,
    accounts: Table<'t, &'static str, (u64, u64, u64, u64)>,
    sizes: Table<'t, (u64, &'static str), ()>,
    sums: Table<'t, (), (u64, u64)>,
    rows: Table<'t, &'static str, &'static [u8]>,
}

impl<'t> Group<'t> {
    pub fn of(transaction: &'t WriteTransaction) -> Redb<Self> {
        Ok(Self {
            known: transaction.open_table(KNOWN)?,
            parts: transaction.open_table(PARTS)?,
            arrivals: transaction.open_table(ARRIVALS)?,
            accounts: transaction.open_table(ACCOUNTS)?,
            sizes: transaction.open_table(SIZES)?,
            sums: transaction.open_table(SUMS)?,
            rows: transaction.open_table(ROWS)?,
        })
    }

    fn sums(&self) -> Redb<(u64, u64)> {
        Ok(self.sums.get(())?.map(|sums| sums.value()).unwrap_or_default())
    }
}

/// The tables of a transaction that reads.
pub(super) struct Sight {
    known: ReadOnlyTable<PlaceKey, &'static [u8]>,
    parts: ReadOnlyTable<PartKey, PartValue>,
    arrivals: ReadOnlyTable<ArrivalKey, ArrivalValue>,
    transaction: ReadTransaction,
}

impl Sight {
    pub fn of(database: &Database) -> Redb<Self> {
        let transaction = database.begin_read()?;
        Ok(Self {
            known: transaction.open_table(KNOWN)?,
            parts: transaction.open_table(PARTS)?,
            arrivals: transaction.open_table(ARRIVALS)?,
            transaction,
        })
    }

    /// How many records there are.
    pub fn count(&self) -> Redb<u64> {
        let sums = self.transaction.open_table(SUMS)?;
        Ok(sums.get(())?.map_or(0, |sums| sums.value().0))
    }

    /// All rows.
    pub fn rows(&self) -> Redb<Vec<Row>> {
        rows(&self.transaction.open_table(ROWS)?)
    }
}

fn known(table: &impl ReadableTable<PlaceKey, &'static [u8]>, place: &Place) -> Redb<Option<Known>> {
    let found = table.get((place.edge.as_str(), place.epoch.as_str(), place.lane.number()))?;
    // What cannot be read is learned anew: the parts tell what is there.
    Ok(found.and_then(|bytes| parse(bytes.value()).ok()))
}

fn places(table: &impl ReadableTable<PlaceKey, &'static [u8]>, edge: &EdgeId) -> Redb<Vec<(Place, Known)>> {
    let mut found = Vec::new();
    for entry in table.range((edge.as_str(), "", 0)..)? {
        let (key, value) = entry?;
        let (owner, epoch, lane) = key.value();
        if owner != edge.as_str() {
            break;
        }
        let place = Place { edge: edge.clone(), epoch: id(epoch)?, lane: lane_of(lane)? };
        found.push((place, parse(value.value()).unwrap_or_default()));
    }
    Ok(found)
}

fn parts(
    table: &impl ReadableTable<PartKey, PartValue>,
    place: &Place,
    (first, last): (u64, u64),
    limit: usize,
) -> Redb<Vec<Part>> {
    let key = |seq| (place.edge.as_str(), place.epoch.as_str(), place.lane.number(), seq);
    let mut found = Vec::new();
    for entry in table.range(key(first)..=key(u64::MAX))?.take(limit) {
        let (key, value) = entry?;
        let part = part(key.value().3, value.value())?;
        if part.first > last {
            break;
        }
        found.push(part);
    }
    Ok(found)
}

fn part(last: u64, (first, arrival, sig, payload): (u64, u64, &str, &[u8])) -> Redb<Part> {
    let sig = sig.parse().map_err(|error| corrupted(&error))?;
    Ok(Part { first, last, arrival, payload: payload.to_vec(), sig })
}

fn arrived(
    arrivals: &impl ReadableTable<ArrivalKey, ArrivalValue>,
    parts: &impl ReadableTable<PartKey, PartValue>,
    (edge, lane, after): (&EdgeId, Lane, u64),
) -> Redb<Option<(EpochId, Part)>> {
    let key = |arrival| (edge.as_str(), lane.number(), arrival);
    let Some(found) = arrivals.range(key(after.saturating_add(1))..=key(u64::MAX))?.next() else {
        return Ok(None);
    };
    let (_, place) = found?;
    let (epoch, last) = place.value();
    let Some(value) = parts.get((edge.as_str(), epoch, lane.number(), last))? else { return Ok(None) };
    Ok(Some((id(epoch)?, part(last, value.value())?)))
}

fn rows(table: &impl ReadableTable<&'static str, &'static [u8]>) -> Redb<Vec<Row>> {
    table.iter()?.map(|entry| parse(entry?.1.value())).collect()
}

impl Records for Sight {
    type Error = redb::Error;

    fn unreadable(cause: serde_json::Error) -> redb::Error {
        corrupted(&cause)
    }
    fn known(&self, place: &Place) -> Redb<Option<Known>> {
        known(&self.known, place)
    }
    fn places(&self, edge: &EdgeId) -> Redb<Vec<(Place, Known)>> {
        places(&self.known, edge)
    }
    fn parts(&self, place: &Place, first: u64, last: u64, limit: usize) -> Redb<Vec<Part>> {
        parts(&self.parts, place, (first, last), limit)
    }
    fn arrived(&self, edge: &EdgeId, lane: Lane, after: u64) -> Redb<Option<(EpochId, Part)>> {
        arrived(&self.arrivals, &self.parts, (edge, lane, after))
    }
}

impl Records for Group<'_> {
    type Error = redb::Error;

    fn unreadable(cause: serde_json::Error) -> redb::Error {
        corrupted(&cause)
    }
    fn known(&self, place: &Place) -> Redb<Option<Known>> {
        known(&self.known, place)
    }
    fn places(&self, edge: &EdgeId) -> Redb<Vec<(Place, Known)>> {
        places(&self.known, edge)
    }
    fn parts(&self, place: &Place, first: u64, last: u64, limit: usize) -> Redb<Vec<Part>> {
        parts(&self.parts, place, (first, last), limit)
    }
    fn arrived(&self, edge: &EdgeId, lane: Lane, after: u64) -> Redb<Option<(EpochId, Part)>> {
        arrived(&self.arrivals, &self.parts, (edge, lane, after))
    }
}

impl Store for Group<'_> {
    fn rows(&self) -> Redb<Vec<Row>> {
        rows(&self.rows)
    }

    fn commit(&mut self, writes: &[Write]) -> Redb<()> {
        for write in writes {
            match write {
                Write::Put(row) => self.put(row)?,
                Write::Remove(key) => _ = self.rows.remove(key.as_str())?,
            }
        }
        Ok(())
    }

    fn put_known(&mut self, place: &Place, known: Option<&Known>) -> Redb<()> {
        let key = (place.edge.as_str(), place.epoch.as_str(), place.lane.number());
        match known {
            Some(known) => _ = self.known.insert(key, bytes(known)?.as_slice())?,
            None => _ = self.known.remove(key)?,
        }
        Ok(())
    }

    fn put_part(&mut self, place: &Place, part: &Part) -> Redb<()> {
        let Place { edge, epoch, lane } = place;
        let (edge, epoch, lane, sig) = (edge.as_str(), epoch.as_str(), lane.number(), part.sig.to_string());
        let value = (part.first, part.arrival, sig.as_str(), part.payload.as_slice());
        self.parts.insert((edge, epoch, lane, part.last), value)?;
        self.arrivals.insert((edge, lane, part.arrival), (epoch, part.last))?;
        Ok(())
    }

    fn remove_part(&mut self, place: &Place, part: &Part) -> Redb<()> {
        let (edge, lane) = (place.edge.as_str(), place.lane.number());
        self.parts.remove((edge, place.epoch.as_str(), lane, part.last))?;
        self.arrivals.remove((edge, lane, part.arrival))?;
        Ok(())
    }

    fn account(&self, edge: &EdgeId) -> Redb<Account> {
        let found = self.accounts.get(edge.as_str())?.map(|account| account.value());
        let (arrival, records, bytes, epochs) = found.unwrap_or_default();
        Ok(Account { arrival, records, bytes, epochs })
    }

    fn put_account(&mut self, edge: &EdgeId, account: &Account) -> Redb<()> {
        let before = self.account(edge)?;
        let Account { arrival, records, bytes, epochs } = *account;
        let (all_records, all_bytes) = self.sums()?;
        let sums = (all_records - before.records + records, all_bytes - before.bytes + bytes);
        self.sums.insert((), sums)?;
        self.sizes.remove((before.bytes, edge.as_str()))?;
        self.sizes.insert((bytes, edge.as_str()), ())?;
        self.accounts.insert(edge.as_str(), (arrival, records, bytes, epochs))?;
        Ok(())
    }

    fn bytes(&self) -> Redb<u64> {
        Ok(self.sums()?.1)
    }

    fn largest(&self) -> Redb<Option<EdgeId>> {
        self.sizes.last()?.map(|(key, _)| id(key.value().1)).transpose()
    }
}

impl Group<'_> {
    fn put(&mut self, row: &Row) -> Redb<()> {
        let key = row.key();
        let held = self.rows.get(key.as_str())?.map(|bytes| parse::<Row>(bytes.value()));
        if let (Row::Document(new), Some(Ok(Row::Document(held)))) = (row, held)
            && held.ver > new.ver
        {
            return Ok(());
        }
        self.rows.insert(key.as_str(), bytes(row)?.as_slice())?;
        Ok(())
    }
}

fn id<T: std::str::FromStr<Err: ToString>>(text: &str) -> Redb<T> {
    text.parse().map_err(|error| corrupted(&error))
}

fn lane_of(number: u8) -> Redb<Lane> {
    Lane::try_from(number).map_err(|error| corrupted(&error))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Redb<T> {
    serde_json::from_slice(bytes).map_err(|error| corrupted(&error))
}

fn bytes<T: Serialize>(value: &T) -> Redb<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| corrupted(&error))
}

fn corrupted(cause: &impl ToString) -> redb::Error {
    redb::Error::Corrupted(cause.to_string())
}
