//! Retained messages on disk: one table, topic to message as [`crate::message`] writes it.

use std::path::PathBuf;

use flotilla_machine::redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use flotilla_machine::{DatabaseError, DatabaseFile, Redb};

use crate::message::Message;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("retained");

/// redb's page cache: it serves writes alone, as what is read is all in memory.
pub(crate) const CACHE_BYTES: usize = 64 << 20;

pub(crate) struct Disk(DatabaseFile);

/// What is to become of a topic on disk.
pub(crate) type Change = (String, Option<Message>);

impl Disk {
    pub(crate) fn open(path: PathBuf) -> Result<Self, DatabaseError> {
        DatabaseFile::open(path, CACHE_BYTES).map(Self)
    }

    #[cfg(test)]
    pub(crate) fn of(file: DatabaseFile) -> Self {
        Self(file)
    }

    /// Reads everything, and makes sure that the file can be written. Records that no version of ours wrote are
    /// logged and left out.
    pub(crate) fn load(&self) -> Result<Vec<Message>, DatabaseError> {
        self.write(&[])?;
        self.0.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let mut all = Vec::new();
            for row in table.iter()? {
                let (topic, record) = row?;
                match Message::open_kept(record.value()) {
                    Some(message) if message.topic() == topic.value() => all.push(message),
                    _ => tracing::warn!(topic = topic.value(), "a retained message on disk is unreadable"),
                }
            }
            Ok(all)
        })
    }

    /// Makes all changes in one transaction and returns when they are on disk.
    pub(crate) fn write(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.0.with(|database| commit(database, changes))
    }
}

fn commit(database: &Database, changes: &[Change]) -> Redb<()> {
    let write = database.begin_write()?;
    {
        let mut table = write.open_table(TABLE)?;
        for (topic, message) in changes {
            match message {
                Some(message) => table.insert(topic.as_str(), &message.body()[..])?,
                None => table.remove(topic.as_str())?,
            };
        }
    }
    Ok(write.commit()?)
}
