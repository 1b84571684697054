//! Retained messages on disk: one table, topic to time of arrival and MQTT 5 PUBLISH.
//!
//! After an I/O error redb refuses all until it is opened again, so that is what the next write begins with.

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::Stored;
use crate::message::Message;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("retained");

/// How the file is opened, each time anew.
pub(crate) type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// Why the disk did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("{0}")]
    Open(#[from] DatabaseError),
    #[error("{0}")]
    Access(#[from] redb::Error),
    #[error("{0}")]
    Packet(#[from] rumqttd::protocol::Error),
}

pub(crate) struct Disk {
    open: Open,
    database: Option<Database>,
}

/// What is to become of a topic on disk.
pub(crate) type Change = (String, Option<Arc<Stored>>);

impl Disk {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { open: Box::new(move || Database::create(&path)), database: None }
    }

    #[cfg(test)]
    pub(crate) fn opened_by(open: Open) -> Self {
        Self { open, database: None }
    }

    /// Reads everything, and makes sure that the file can be written. Records that no version of ours wrote are
    /// logged and left out.
    pub(crate) fn load(&mut self) -> Result<Vec<Stored>, DiskError> {
        self.write(&[])?;
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let read = database.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(TABLE).map_err(redb::Error::from)?;
        let mut all = Vec::new();
        for row in table.iter().map_err(redb::Error::from)? {
            let (topic, record) = row.map_err(redb::Error::from)?;
            match decode(record.value()) {
                Some(stored) => all.push(stored),
                None => tracing::warn!(topic = topic.value(), "a retained message on disk is unreadable"),
            }
        }
        Ok(all)
    }

    /// Makes all changes in one transaction and returns when they are on disk.
    pub(crate) fn write(&mut self, changes: &[Change]) -> Result<(), DiskError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.open)()?,
        };
        commit(&database, changes)?;
        self.database = Some(database);
        Ok(())
    }
}

fn commit(database: &Database, changes: &[Change]) -> Result<(), DiskError> {
    let write = database.begin_write().map_err(redb::Error::from)?;
    {
        let mut table = write.open_table(TABLE).map_err(redb::Error::from)?;
        for (topic, stored) in changes {
            match stored {
                Some(stored) => table.insert(topic.as_str(), encode(stored)?.as_slice()),
                None => table.remove(topic.as_str()),
            }
            .map_err(redb::Error::from)?;
        }
    }
    Ok(write.commit().map_err(redb::Error::from)?)
}

fn encode(stored: &Stored) -> Result<Vec<u8>, rumqttd::protocol::Error> {
    let mut record = stored.received_ms.to_be_bytes().to_vec();
    record.extend_from_slice(&stored.message.to_record()?);
    Ok(record)
}

fn decode(record: &[u8]) -> Option<Stored> {
    let (received_ms, packet) = record.split_first_chunk()?;
    let message = Message::from_record(packet)?;
    Some(Stored { message, received_ms: u64::from_be_bytes(*received_ms) })
}
