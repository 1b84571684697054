//! The database's file, which outlives a disk that fails.
//!
//! After an error of the disk redb refuses everything until the file was opened anew. So it is: whoever comes next
//! gets the file as it was at the last commit, or the reason why it still cannot be opened.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError, StorageError};

use super::StoreError;
use super::disk::Redb;

/// redb's page cache; an edge reads little, and each byte of it is resident memory.
const CACHE_BYTES: usize = 1024 * 1024;

/// How the file is opened.
type Open = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

pub(super) struct File {
    path: PathBuf,
    open: Open,
    /// None while it could not be opened anew.
    database: RwLock<Option<Database>>,
}

impl File {
    /// Opens the file; makes it if there is none. It is locked until it is closed.
    pub fn open(path: PathBuf) -> Result<Self, StoreError> {
        Self::by(path, Box::new(|path| Database::builder().set_cache_size(CACHE_BYTES).create(path)))
    }

    fn by(path: PathBuf, open: Open) -> Result<Self, StoreError> {
        let database = open(&path).map_err(|error| unopened(&path, error))?;
        Ok(Self { path, open, database: RwLock::new(Some(database)) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does something with the database.
    pub fn with<T>(&self, act: impl FnOnce(&Database) -> Redb<T>) -> Result<T, StoreError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen()?;
        }
        let done = self.database.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(act);
        let done = done
            .ok_or_else(|| StoreError::Disk { path: self.path.clone(), cause: "it is closed".to_owned() })?;
        done.map_err(|error| {
            // If it fails now, the next one tries again.
            _ = self.reopen();
            StoreError::Disk { path: self.path.clone(), cause: error.to_string() }
        })
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The old one holds the file's lock.
        *database = None;
        let opened = (self.open)(&self.path).map_err(|error| unopened(&self.path, error))?;
        *database = Some(opened);
        Ok(())
    }
}

fn unopened(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path),
        DatabaseError::Storage(StorageError::Corrupted(cause)) => StoreError::Content { path, cause },
        error => StoreError::Disk { path, cause: error.to_string() },
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::StorageBackend;
    use redb::backends::FileBackend;

    use super::*;

    /// A file on a disk that takes nothing while `full`.
    #[derive(Debug)]
    struct Disk {
        file: FileBackend,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn room(&self) -> io::Result<()> {
            let full = self.full.load(Ordering::Relaxed);
            if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room()?;
            self.file.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.room()?;
            self.file.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room()?;
            self.file.write(offset, data)
        }
        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }

    pub fn open(path: PathBuf, full: Arc<AtomicBool>) -> File {
        let open = move |path: &Path| {
            let file =
                std::fs::File::options().read(true).write(true).create(true).truncate(false).open(path);
            let file = FileBackend::new(file.map_err(StorageError::from)?)?;
            Database::builder().create_with_backend(Disk { file, full: full.clone() })
        };
        File::by(path, Box::new(open)).unwrap()
    }
}
