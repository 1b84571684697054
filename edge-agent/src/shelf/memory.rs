//! Artifacts in memory, for an edge without a disk.
//!
//! All together they are bounded. What does not fit is refused and tried again later, when something has left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_schemas::{Artifact, Digest};

use super::error::{ShelfError, shape};

/// The most bytes of artifacts, whole and partial, that an edge without a disk holds.
pub const SHELF_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Artifacts in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<Digest, Held>>>);

/// An artifact: its chunks as they came.
#[derive(Debug, Default)]
struct Held {
    size: u64,
    chunks: BTreeMap<Digest, Vec<u8>>,
}

impl Memory {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Digest, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of an artifact, verified.
    pub fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, ShelfError> {
        let missing = || ShelfError::Missing(artifact.digest);
        let all = self.held();
        let held = all.get(&artifact.digest).ok_or_else(missing)?;
        let mut bytes = Vec::with_capacity(artifact.size as usize);
        for chunk in &artifact.chunks {
            bytes.extend_from_slice(held.chunks.get(chunk).ok_or_else(missing)?);
        }
        let path = artifact.digest.to_string().into();
        artifact.verify(&bytes).map_err(|cause| ShelfError::Mismatch { path, cause })?;
        Ok(bytes)
    }

    /// Which chunks are missing; one whose chunks make something else is thrown away.
    pub fn look(&self, artifact: &Artifact) -> Result<Vec<Digest>, ShelfError> {
        shape(artifact)?;
        let mut missing: Vec<Digest> = match self.held().get(&artifact.digest) {
            None => artifact.chunks.clone(),
            Some(held) => artifact.chunks.iter().copied().filter(|c| !held.chunks.contains_key(c)).collect(),
        };
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty()
            && let Err(error) = self.read(artifact)
        {
            self.keep(|held| *held != artifact.digest);
            return Err(error);
        }
        Ok(missing)
    }

    /// Takes a chunk. The room for a whole artifact is taken with its first chunk, so that what was begun can be ended.
    pub fn store_chunk(&self, artifact: &Artifact, chunk: Digest, bytes: &[u8]) -> Result<(), ShelfError> {
        let mut all = self.held();
        let others = all.iter().filter(|(digest, _)| **digest != artifact.digest).map(|(_, held)| held.size);
        if others.sum::<u64>() + artifact.size > SHELF_BYTES_MAX {
            return Err(ShelfError::Full(artifact.digest, SHELF_BYTES_MAX));
        }
        let held = all.entry(artifact.digest).or_default();
        held.size = artifact.size;
        held.chunks.insert(chunk, bytes.to_vec());
        Ok(())
    }

    /// Forgets those that are not to be kept.
    pub fn keep(&self, kept: impl Fn(&Digest) -> bool) {
        self.held().retain(|digest, _| kept(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::digest::CHUNK_BYTES;

    #[test]
    fn an_artifact_is_whole_with_its_last_chunk_and_gone_when_it_is_not_kept() {
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 10).map(|n| (n / 251) as u8).collect();
        let (artifact, memory) = (Artifact::of(&bytes), Memory::default());
        assert_eq!(memory.look(&artifact).unwrap().len(), 2);
        memory.store_chunk(&artifact, artifact.chunks[1], &bytes[CHUNK_BYTES..]).unwrap();
        assert_eq!(memory.look(&artifact).unwrap(), [artifact.chunks[0]]);
        assert!(matches!(memory.read(&artifact), Err(ShelfError::Missing(_))));
        memory.store_chunk(&artifact, artifact.chunks[0], &bytes[..CHUNK_BYTES]).unwrap();
        assert_eq!((memory.look(&artifact).unwrap(), memory.read(&artifact).unwrap()), (vec![], bytes));
        memory.keep(|_| false);
        assert!(memory.read(&artifact).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused_until_something_leaves() {
        let memory = Memory::default();
        let large = |seed: u8, size: u64| {
            let chunk = vec![seed; CHUNK_BYTES];
            let artifact = Artifact { size, digest: Digest::of(&chunk), chunks: vec![Digest::of(&chunk)] };
            memory.store_chunk(&artifact, artifact.digest, &chunk)
        };
        large(1, SHELF_BYTES_MAX - 1).unwrap();
        assert!(matches!(large(2, 2), Err(ShelfError::Full(..))));
        large(2, 1).unwrap();
        memory.keep(|_| false);
        large(3, SHELF_BYTES_MAX).unwrap();
    }
}
