//! Why an artifact cannot be used, and what cannot be one.

use std::io;
use std::path::PathBuf;

use flotilla_schemas::digest::{ARTIFACT_BYTES_MAX, CHUNK_BYTES, Mismatch};
use flotilla_schemas::{Artifact, Digest};

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
    /// There is no room for it in memory, which holds so many bytes.
    #[error("the artifact {0} does not fit beside the others: {1} bytes are held without a disk")]
    Full(Digest, u64),
    /// No artifact is that large, or its chunks do not add up to its size.
    #[error("an artifact of {0} bytes in {1} chunks cannot be")]
    Shape(u64, usize),
}

/// Refuses what cannot be an artifact.
pub(super) fn shape(artifact: &Artifact) -> Result<(), ShelfError> {
    let chunks = (artifact.size as usize).div_ceil(CHUNK_BYTES);
    if artifact.size > ARTIFACT_BYTES_MAX || chunks != artifact.chunks.len() {
        return Err(ShelfError::Shape(artifact.size, artifact.chunks.len()));
    }
    Ok(())
}
