//! Artifacts by their digests: on disk, or in memory where there is none.
//!
//! Whole ones were verified when they were put there and are verified again each time they are read to be used.

use flotilla_schemas::{Artifact, Digest};

mod error;
#[cfg(feature = "disk")]
mod folder;
mod memory;

pub use error::ShelfError;
#[cfg(feature = "disk")]
pub use folder::Folder;
pub use memory::{Memory, SHELF_BYTES_MAX};

/// Artifacts of one edge.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// Over a power cut.
    #[cfg(feature = "disk")]
    Folder(Folder),
    /// For this run.
    Memory(Memory),
}

impl Shelf {
    /// The bytes of an artifact, verified: these very bytes may be executed.
    pub fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, ShelfError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Folder(folder) => folder.read(artifact),
            Self::Memory(memory) => memory.read(artifact),
        }
    }

    /// Which chunks are missing; none when it is whole.
    pub fn look(&self, artifact: &Artifact) -> Result<Vec<Digest>, ShelfError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Folder(folder) => folder.look(artifact),
            Self::Memory(memory) => memory.look(artifact),
        }
    }

    /// Writes a chunk into its places.
    pub fn store_chunk(&self, artifact: &Artifact, chunk: Digest, bytes: &[u8]) -> Result<(), ShelfError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Folder(folder) => folder.store_chunk(artifact, chunk, bytes),
            Self::Memory(memory) => memory.store_chunk(artifact, chunk, bytes),
        }
    }

    /// Deletes an artifact, whole or partial, if it is there.
    pub fn delete(&self, digest: Digest) -> Result<(), ShelfError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Folder(folder) => folder.delete(digest),
            Self::Memory(memory) => {
                memory.keep(|held| *held != digest);
                Ok(())
            }
        }
    }

    /// Deletes everything but these.
    pub fn sweep(&self, keep: &[Digest]) -> Result<(), ShelfError> {
        match self {
            #[cfg(feature = "disk")]
            Self::Folder(folder) => folder.sweep(keep),
            Self::Memory(memory) => {
                memory.keep(|held| keep.contains(held));
                Ok(())
            }
        }
    }
}
