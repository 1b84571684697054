//! A disk that fails when a test says so. In no release binary.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, Database, StorageBackend, StorageError};

use crate::database::{DatabaseError, DatabaseFile};

/// A disk that takes nothing while it is full; it has room at first. A clone is the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    full: Arc<AtomicBool>,
}

impl Disk {
    /// From now on it takes nothing.
    pub fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// From now on it has room.
    pub fn empty(&self) {
        self.full.store(false, Ordering::SeqCst);
    }

    /// A database on it, as [`DatabaseFile::open`] opens one.
    ///
    /// # Errors
    /// As there.
    pub fn open(&self, path: PathBuf, cache_bytes: usize) -> Result<DatabaseFile, DatabaseError> {
        let disk = self.clone();
        let open = move |path: &Path| {
            let file =
                std::fs::File::options().read(true).write(true).create(true).truncate(false).open(path);
            let file = FileBackend::new(file.map_err(StorageError::from)?)?;
            let backend = OnDisk { file, disk: disk.clone() };
            Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)
        };
        DatabaseFile::by(path, Box::new(open))
    }

    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct OnDisk {
    file: FileBackend,
    disk: Disk,
}

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.room()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.disk.room()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.room()?;
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
