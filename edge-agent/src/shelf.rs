//! Artifacts by their digests: on disk, or in memory where there is none.
//!
//! Whole ones were verified when they were put there and are verified again each time they are read to be used.

use std::io;
use std::path::PathBuf;

use flotilla_schemas::digest::{ARTIFACT_BYTES_MAX, CHUNK_BYTES, Mismatch};
use flotilla_schemas::{Artifact, Digest};

#[cfg(feature = "disk")]
mod folder;
mod memory;

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

/// Why an artifact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It is not there, or the disk does not give or take it.
    #[error("{path}: {cause}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is there, and is not what was signed.
    #[error("{path}: {cause}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What was found, and what was wanted.
        cause: Mismatch,
    },
    /// It is not there.
    #[error("the artifact {0} is not here")]
    Missing(Digest),
    /// There is no room for it in memory.
    #[error(
        "the artifact {0} does not fit beside the others: {SHELF_BYTES_MAX} bytes are held without a disk"
    )]
    Full(Digest),
    /// No artifact is that large, or its chunks do not add up to its size.
    #[error("an artifact of {0} bytes in {1} chunks cannot be")]
    Shape(u64, usize),
}

/// Refuses what cannot be an artifact.
fn shape(artifact: &Artifact) -> Result<(), ShelfError> {
    let chunks = (artifact.size as usize).div_ceil(CHUNK_BYTES);
    if artifact.size > ARTIFACT_BYTES_MAX || chunks != artifact.chunks.len() {
        return Err(ShelfError::Shape(artifact.size, artifact.chunks.len()));
    }
    Ok(())
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
