//! Retained messages on disk: one table, topic to message as [`crate::message`] writes it.
//!
//! After an I/O error redb refuses all until it is opened again, so that is what the next write begins with.

use std::path::PathBuf;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

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
}

pub(crate) struct Disk {
    open: Open,
    database: Option<Database>,
}

/// What is to become of a topic on disk.
pub(crate) type Change = (String, Option<Message>);

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
    pub(crate) fn load(&mut self) -> Result<Vec<Message>, DiskError> {
        self.write(&[])?;
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let read = database.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(TABLE).map_err(redb::Error::from)?;
        let mut all = Vec::new();
        for row in table.iter().map_err(redb::Error::from)? {
            let (topic, record) = row.map_err(redb::Error::from)?;
            match Message::open_kept(record.value()) {
                Some(message) if message.topic() == topic.value() => all.push(message),
                _ => tracing::warn!(topic = topic.value(), "a retained message on disk is unreadable"),
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
        for (topic, message) in changes {
            match message {
                Some(message) => table.insert(topic.as_str(), &message.body()[..]),
                None => table.remove(topic.as_str()),
            }
            .map_err(redb::Error::from)?;
        }
    }
    Ok(write.commit().map_err(redb::Error::from)?)
}
