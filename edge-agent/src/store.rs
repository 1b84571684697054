//! What an edge keeps: the journal, the core's values, the apps' keys; on disk, or in memory where there is none.

use edge_core::{Found, Persist};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::{AppId, EpochId};

#[cfg(feature = "disk")]
mod disk;
mod error;
mod kept;
mod memory;

#[cfg(feature = "disk")]
pub use disk::Disk;
pub use error::StoreError;
pub use kept::{APP_KEYS_BYTES_MAX, Numbered};
use memory::Memory;

/// An edge's store.
pub enum Store {
    /// Over a power cut.
    #[cfg(feature = "disk")]
    Disk(Disk),
    /// For this run.
    Memory(Memory),
}

impl Store {
    /// An empty store in memory, under this epoch.
    pub fn in_memory(epoch: EpochId) -> Self {
        Self::Memory(Memory::new(epoch))
    }

    /// What a core boots from.
    pub fn found(&self) -> Result<Found, StoreError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Disk(disk) => disk.found(),
            Self::Memory(memory) => Ok(memory.found()),
        }
    }

    /// Commits changes, all of them or none. What failed may be tried again: the disk may have room by then.
    pub fn commit(&self, changes: &[Persist]) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Disk(disk) => disk.commit(changes),
            Self::Memory(memory) => {
                memory.commit(changes);
                Ok(())
            }
        }
    }

    /// Records of a lane from `first` to `last`, as they were written, as many as one batch holds, at least one if there is one.
    pub fn records(&self, lane: Lane, first: u64, last: u64) -> Result<Vec<Numbered>, StoreError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Disk(disk) => disk.records(lane, first, last),
            Self::Memory(memory) => Ok(memory.records(lane, first, last)),
        }
    }

    /// A value that an app keeps.
    pub fn key(&self, app: &AppId, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Disk(disk) => disk.key(app, key),
            Self::Memory(memory) => Ok(memory.key(app, key)),
        }
    }

    /// Keeps a value of an app, or forgets it; false if the app would keep more than [`APP_KEYS_BYTES_MAX`].
    pub fn set_key(&self, app: &AppId, key: &str, value: Option<&[u8]>) -> Result<bool, StoreError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Disk(disk) => disk.set_key(app, key, value),
            Self::Memory(memory) => Ok(memory.set_key(app, key, value)),
        }
    }
}
