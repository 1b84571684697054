//! A redb file that outlives a disk that fails.
//!
//! After an error of the disk redb refuses everything until the file was opened anew. So it is: whoever comes next
//! gets the database as it was at the last commit, or the reason why it still cannot be opened.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, StorageError};

/// What is done with a database.
pub type Redb<T> = Result<T, redb::Error>;

/// How the file is opened.
type Open = Box<dyn Fn(&Path) -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// Why a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Somebody else has it open.
    #[error("open {0}: somebody else has it open")]
    InUse(PathBuf),
    /// It is damaged, or no database.
    #[error("read {path}: {cause}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The disk or the file does not allow it. It may be tried again: the disk may have room by then.
    #[error("use {path}: {cause}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// A database, and the file that it is opened from anew. The file is locked until this is dropped.
pub struct DatabaseFile {
    path: PathBuf,
    open: Open,
    /// None while it could not be opened anew.
    database: RwLock<Option<Database>>,
}

impl DatabaseFile {
    /// Opens the file with a page cache of so many bytes; makes it if there is none.
    ///
    /// # Errors
    /// It is in use, damaged, or the disk does not allow it.
    pub fn open(path: PathBuf, cache_bytes: usize) -> Result<Self, DatabaseError> {
        Self::by(path, Box::new(move |path| Database::builder().set_cache_size(cache_bytes).create(path)))
    }

    pub(crate) fn by(path: PathBuf, open: Open) -> Result<Self, DatabaseError> {
        let database = open(&path).map_err(|error| unopened(&path, error))?;
        Ok(Self { path, open, database: RwLock::new(Some(database)) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does something with the database. What failed may be tried again.
    ///
    /// # Errors
    /// What was done failed, or the file could not be opened anew after something else had.
    pub fn with<T>(&self, act: impl FnOnce(&Database) -> Redb<T>) -> Result<T, DatabaseError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen()?;
        }
        let done = self.database.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(act);
        done.ok_or_else(|| self.disk("it could not be opened anew"))?.map_err(|error| {
            // If it fails now, the next one tries again.
            _ = self.reopen();
            self.disk(error)
        })
    }

    fn reopen(&self) -> Result<(), DatabaseError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The old one holds the file's lock.
        *database = None;
        let opened = (self.open)(&self.path).map_err(|error| unopened(&self.path, error))?;
        *database = Some(opened);
        Ok(())
    }

    fn disk(&self, cause: impl ToString) -> DatabaseError {
        DatabaseError::Disk { path: self.path.clone(), cause: cause.to_string() }
    }
}

fn unopened(path: &Path, error: redb::DatabaseError) -> DatabaseError {
    let path = path.to_owned();
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => DatabaseError::InUse(path),
        redb::DatabaseError::Storage(StorageError::Corrupted(cause)) => {
            DatabaseError::Damaged { path, cause }
        }
        error => DatabaseError::Disk { path, cause: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, ReadableTableMetadata, TableDefinition};

    use super::*;
    use crate::testing::Disk;

    const CACHE_BYTES: usize = 1 << 20;
    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("numbers");

    fn put(file: &DatabaseFile, number: u64) -> Result<(), DatabaseError> {
        file.with(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(TABLE)?.insert(number, [0; 512].as_slice())?;
            Ok(transaction.commit()?)
        })
    }

    fn count(file: &DatabaseFile) -> Result<u64, DatabaseError> {
        file.with(|database| Ok(database.begin_read()?.open_table(TABLE)?.len()?))
    }

    #[test]
    fn what_a_full_disk_refused_is_taken_when_there_is_room_and_what_was_committed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let file = disk.open(folder.path().join("x"), CACHE_BYTES).unwrap();
        put(&file, 1).unwrap();
        disk.fill();
        for _ in 0..3 {
            assert!(matches!(put(&file, 2), Err(DatabaseError::Disk { .. })));
        }
        disk.empty();
        assert_eq!(count(&file), Ok(1));
        put(&file, 2).unwrap();
        drop(file);
        assert_eq!(count(&DatabaseFile::open(folder.path().join("x"), CACHE_BYTES).unwrap()), Ok(2));
    }

    #[test]
    fn a_file_is_one_owners_until_it_is_dropped_over_an_error_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let (disk, open) = (Disk::default(), || DatabaseFile::open(path.clone(), CACHE_BYTES).map(drop));
        let file = disk.open(path.clone(), CACHE_BYTES).unwrap();
        put(&file, 1).unwrap();
        assert_eq!(open(), Err(DatabaseError::InUse(path.clone())));
        disk.fill();
        put(&file, 2).unwrap_err();
        disk.empty();
        count(&file).unwrap();
        assert_eq!(open(), Err(DatabaseError::InUse(path.clone())));
        drop(file);
        assert_eq!(open(), Ok(()));
    }

    #[test]
    fn what_is_no_database_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "rubbish").unwrap();
        let error = DatabaseFile::open(path.clone(), CACHE_BYTES).map(drop).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), b"rubbish");
    }
}
