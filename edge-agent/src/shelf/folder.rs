//! Artifacts on disk.
//!
//! `blobs/<digest>` is whole and was verified when it was put there; it is verified again each time it is read to be
//! used. `partial/<digest>` has the final size and gets its chunks written into their places; after a crash its
//! chunks are verified one by one, and only what is missing is fetched. Nothing partial is ever read to be used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flotilla_schemas::digest::CHUNK_BYTES;
use flotilla_schemas::{Artifact, Digest};

use super::error::{ShelfError, shape};

/// Artifacts in a folder.
#[derive(Debug, Clone)]
pub struct Folder {
    blobs: PathBuf,
    partial: PathBuf,
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, ShelfError> {
    result.map_err(|cause| ShelfError::Disk { path: path.to_owned(), cause })
}

impl Folder {
    /// The shelf of a data folder.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        let (blobs, partial) = (folder.join("blobs"), folder.join("partial"));
        for folder in [&blobs, &partial] {
            at(folder, fs::create_dir_all(folder))?;
        }
        Ok(Self { blobs, partial })
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs.join(digest.to_string())
    }

    /// The bytes of an artifact, verified: these very bytes may be executed.
    pub fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, ShelfError> {
        let path = self.blob(artifact.digest);
        let bytes = at(&path, fs::read(&path))?;
        artifact.verify(&bytes).map_err(|cause| ShelfError::Mismatch { path, cause })?;
        Ok(bytes)
    }

    /// Which chunks are missing; none when it is whole. A partial file that has become whole is put in its place,
    /// one that turns out to be something else is thrown away.
    pub fn look(&self, artifact: &Artifact) -> Result<Vec<Digest>, ShelfError> {
        shape(artifact)?;
        match self.read(artifact) {
            Ok(_) => return Ok(Vec::new()),
            Err(ShelfError::Disk { path, cause }) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(ShelfError::Disk { path, cause });
            }
            Err(_) => {}
        }
        let path = self.partial.join(artifact.digest.to_string());
        let missing = at(&path, missing_chunks(&path, artifact))?;
        if missing.is_empty() {
            self.finish(artifact, &path)?;
        }
        Ok(missing)
    }

    fn finish(&self, artifact: &Artifact, partial: &Path) -> Result<(), ShelfError> {
        let bytes = at(partial, fs::read(partial))?;
        if let Err(cause) = artifact.verify(&bytes) {
            at(partial, fs::remove_file(partial))?;
            return Err(ShelfError::Mismatch { path: partial.to_owned(), cause });
        }
        at(partial, File::open(partial).and_then(|file| file.sync_all()))?;
        let blob = self.blob(artifact.digest);
        at(&blob, fs::rename(partial, &blob))?;
        at(&self.blobs, File::open(&self.blobs).and_then(|folder| folder.sync_all()))
    }

    /// Writes a chunk into its places.
    pub fn store_chunk(&self, artifact: &Artifact, chunk: Digest, bytes: &[u8]) -> Result<(), ShelfError> {
        let path = self.partial.join(artifact.digest.to_string());
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&path)?;
            file.set_len(artifact.size)?;
            for (place, _) in artifact.chunks.iter().enumerate().filter(|(_, digest)| **digest == chunk) {
                file.seek(SeekFrom::Start((place * CHUNK_BYTES) as u64))?;
                file.write_all(bytes)?;
            }
            Ok(())
        };
        at(&path, write())
    }

    /// Deletes an artifact, whole or partial, if it is there.
    pub fn delete(&self, digest: Digest) -> Result<(), ShelfError> {
        for path in [self.blob(digest), self.partial.join(digest.to_string())] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => at(&path, Err(error))?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes everything but these.
    pub fn sweep(&self, keep: &[Digest]) -> Result<(), ShelfError> {
        let keep: Vec<String> = keep.iter().map(Digest::to_string).collect();
        for folder in [&self.blobs, &self.partial] {
            for entry in at(folder, fs::read_dir(folder))? {
                let entry = at(folder, entry)?;
                if !keep.iter().any(|name| entry.file_name() == name.as_str()) {
                    at(&entry.path(), fs::remove_file(entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

fn missing_chunks(path: &Path, artifact: &Artifact) -> io::Result<Vec<Digest>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(artifact.chunks.clone()),
        Err(error) => return Err(error),
    };
    let (mut missing, mut chunk) = (Vec::new(), Vec::with_capacity(CHUNK_BYTES));
    for digest in &artifact.chunks {
        chunk.clear();
        Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        if Digest::of(&chunk) != *digest && !missing.contains(digest) {
            missing.push(*digest);
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;

    fn bytes() -> Vec<u8> {
        (0..CHUNK_BYTES * 2 + 10).map(|n| (n / 251) as u8).collect()
    }

    fn chunk(artifact: &Artifact, at: usize) -> (Digest, Vec<u8>) {
        (artifact.chunks[at], bytes().chunks(CHUNK_BYTES).nth(at).unwrap().to_vec())
    }

    #[test]
    fn a_download_goes_on_where_it_was_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = Artifact::of(&bytes());
        let shelf = Folder::open(folder.path()).unwrap();
        assert_eq!(shelf.look(&artifact).unwrap(), artifact.chunks);
        let (digest, first) = chunk(&artifact, 1);
        shelf.store_chunk(&artifact, digest, &first).unwrap();
        let again = Folder::open(folder.path()).unwrap();
        assert_eq!(again.look(&artifact).unwrap(), [artifact.chunks[0], artifact.chunks[2]]);
        assert!(again.read(&artifact).is_err(), "nothing partial is used");
        for at in [0, 2] {
            let (digest, bytes) = chunk(&artifact, at);
            again.store_chunk(&artifact, digest, &bytes).unwrap();
        }
        assert_eq!(again.look(&artifact).unwrap(), []);
        assert_eq!(again.read(&artifact).unwrap(), bytes());
    }

    #[test]
    fn a_changed_byte_is_found_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, artifact) = (Folder::open(folder.path()).unwrap(), Artifact::of(b"code"));
        shelf.store_chunk(&artifact, artifact.digest, b"code").unwrap();
        assert_eq!(shelf.look(&artifact).unwrap(), []);
        fs::write(shelf.blob(artifact.digest), b"c0de").unwrap();
        assert!(matches!(shelf.read(&artifact), Err(ShelfError::Mismatch { .. })));
        assert_eq!(shelf.look(&artifact).unwrap(), artifact.chunks);
    }

    #[test]
    fn a_sweep_leaves_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::open(folder.path()).unwrap();
        let (a, b) = (Artifact::of(b"a"), Artifact::of(b"b"));
        for (artifact, bytes) in [(&a, b"a"), (&b, b"b")] {
            shelf.store_chunk(artifact, artifact.digest, bytes).unwrap();
            shelf.look(artifact).unwrap();
        }
        shelf.sweep(&[a.digest]).unwrap();
        assert!(shelf.read(&a).is_ok() && shelf.read(&b).is_err());
        shelf.delete(a.digest).unwrap();
        shelf.delete(a.digest).unwrap();
        assert!(shelf.read(&a).is_err());
    }

    #[test]
    fn an_artifact_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::open(folder.path()).unwrap();
        let large = Artifact { size: ARTIFACT_BYTES_MAX + 1, ..Artifact::of(b"x") };
        assert!(matches!(shelf.look(&large), Err(ShelfError::Shape(..))));
    }
}
