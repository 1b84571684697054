//! The artifact shelf: files by the digest of their bytes, under `blobs/`.
//!
//! A file is written beside its place, synced, and moved there, so what has its name is whole. It is verified again
//! whenever it is read: what a disk has spoilt is not handed on.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use center_core::Chunk;
use flotilla_schemas::digest::{ARTIFACT_BYTES_MAX, CHUNK_BYTES};
use flotilla_schemas::{Artifact, Digest};

/// What a file is called until it is whole: with this before its number.
const UNFINISHED: &str = "unfinished-";

/// Why an artifact was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// There is none of this digest.
    #[error("find {0} among the uploaded files")]
    Missing(Digest),
    /// It is larger than any artifact may be.
    #[error("store {0} bytes: an artifact has at most {ARTIFACT_BYTES_MAX}")]
    TooLarge(u64),
    /// The file holds other bytes than when it was stored.
    #[error("read {path}: its bytes have changed on disk; upload it again")]
    Spoilt {
        /// The file.
        path: PathBuf,
    },
    /// It is there, and not what the release says.
    #[error("take {digest}: its size or its chunks are not what the release says")]
    Other {
        /// The artifact.
        digest: Digest,
    },
    /// The disk does not give or take it.
    #[error("use {path}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// The artifacts of one center.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    written: AtomicU64,
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, ShelfError> {
    result.map_err(|cause| ShelfError::Disk { path: path.to_owned(), cause })
}

impl Shelf {
    /// Opens the shelf of a data folder, and throws away what was not finished.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        let folder = folder.join("blobs");
        at(&folder, fs::create_dir_all(&folder))?;
        for entry in at(&folder, fs::read_dir(&folder))? {
            let entry = at(&folder, entry)?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                at(&entry.path(), fs::remove_file(entry.path()))?;
            }
        }
        Ok(Self { folder, written: AtomicU64::new(0) })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Stores these bytes. Storing them again mends what the disk may have spoilt.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ShelfError> {
        if bytes.len() as u64 > ARTIFACT_BYTES_MAX {
            return Err(ShelfError::TooLarge(bytes.len() as u64));
        }
        let digest = Digest::of(bytes);
        if self.get(&digest).is_ok() {
            self.look(&digest)?;
            return Ok(digest);
        }
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("{UNFINISHED}{number}"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.path(&digest))?;
            File::open(&self.folder)?.sync_all()
        };
        let written = write();
        if written.is_err() {
            // It may not even have been made; what stays behind goes at the next start.
            let _ = fs::remove_file(&unfinished);
        }
        at(&self.path(&digest), written).map(|()| digest)
    }

    /// The size of an artifact in bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64, ShelfError> {
        let path = self.path(digest);
        self.present(digest, &path, fs::metadata(&path)).map(|metadata| metadata.len())
    }

    /// The size of an artifact in bytes, for someone who is about to publish it: it counts as new again.
    pub fn look(&self, digest: &Digest) -> Result<u64, ShelfError> {
        let path = self.path(digest);
        let file = self.present(digest, &path, File::options().write(true).open(&path))?;
        at(&path, file.set_modified(SystemTime::now()))?;
        self.size(digest)
    }

    /// The artifacts that nobody stored or looked for since.
    pub fn untouched(&self, since: SystemTime) -> Result<Vec<Digest>, ShelfError> {
        let mut found = Vec::new();
        for entry in at(&self.folder, fs::read_dir(&self.folder))? {
            let entry = at(&self.folder, entry)?;
            let Ok(digest) = entry.file_name().to_string_lossy().parse() else { continue };
            if self.is_older(&digest, since)? {
                found.push(digest);
            }
        }
        Ok(found)
    }

    fn is_older(&self, digest: &Digest, since: SystemTime) -> Result<bool, ShelfError> {
        let path = self.path(digest);
        let touched = at(&path, fs::metadata(&path).and_then(|metadata| metadata.modified()))?;
        Ok(touched < since)
    }

    /// Deletes an artifact that nobody stored or looked for since.
    pub fn delete(&self, digest: &Digest, since: SystemTime) -> Result<(), ShelfError> {
        let path = self.path(digest);
        if self.is_older(digest, since)? {
            at(&path, fs::remove_file(&path))?;
        }
        Ok(())
    }

    /// The bytes of an artifact, verified.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(digest);
        let bytes = self.present(digest, &path, fs::read(&path))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(ShelfError::Spoilt { path }) }
    }

    /// The bytes of an artifact, if it is to the last chunk what a release says.
    pub fn get_signed(&self, artifact: &Artifact) -> Result<Vec<u8>, ShelfError> {
        let bytes = self.get(&artifact.digest)?;
        if Artifact::of(&bytes) == *artifact {
            return Ok(bytes);
        }
        Err(ShelfError::Other { digest: artifact.digest })
    }

    /// The bytes of a chunk, verified.
    pub fn chunk(&self, chunk: &Chunk) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(&chunk.artifact);
        let mut file = self.present(&chunk.artifact, &path, File::open(&path))?;
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        let read = file
            .seek(SeekFrom::Start((chunk.index * CHUNK_BYTES) as u64))
            .and_then(|_| file.take(CHUNK_BYTES as u64).read_to_end(&mut bytes));
        at(&path, read)?;
        if Digest::of(&bytes) == chunk.digest { Ok(bytes) } else { Err(ShelfError::Spoilt { path }) }
    }

    fn present<T>(&self, digest: &Digest, path: &Path, found: io::Result<T>) -> Result<T, ShelfError> {
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ShelfError::Missing(*digest)),
            found => at(path, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..CHUNK_BYTES * 2 + 10).map(|n| (n / 251) as u8).collect()
    }

    #[test]
    fn what_was_stored_is_read_whole_and_in_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let (bytes, artifact) = (bytes(), Artifact::of(&bytes()));
        assert_eq!(shelf.put(&bytes).unwrap(), artifact.digest);
        assert_eq!(shelf.put(&bytes).unwrap(), artifact.digest);
        assert_eq!(shelf.size(&artifact.digest).unwrap(), artifact.size);
        assert_eq!(shelf.get_signed(&artifact).unwrap(), bytes);
        for (index, (digest, part)) in artifact.chunks.iter().zip(bytes.chunks(CHUNK_BYTES)).enumerate() {
            let chunk = Chunk { digest: *digest, artifact: artifact.digest, index };
            assert_eq!(shelf.chunk(&chunk).unwrap(), part);
        }
    }

    #[test]
    fn what_the_disk_spoilt_is_not_handed_on_and_can_be_mended() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let artifact = Artifact::of(b"code");
        shelf.put(b"code").unwrap();
        fs::write(shelf.path(&artifact.digest), b"c0de").unwrap();
        assert!(matches!(shelf.get(&artifact.digest), Err(ShelfError::Spoilt { .. })));
        let chunk = Chunk { digest: artifact.digest, artifact: artifact.digest, index: 0 };
        assert!(matches!(shelf.chunk(&chunk), Err(ShelfError::Spoilt { .. })));
        shelf.put(b"code").unwrap();
        assert_eq!(shelf.get(&artifact.digest).unwrap(), b"code");
    }

    #[test]
    fn what_does_not_fit_its_release_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let digest = shelf.put(&bytes()).unwrap();
        let mut artifact = Artifact::of(&bytes());
        artifact.chunks.swap(0, 1);
        assert!(matches!(shelf.get_signed(&artifact), Err(ShelfError::Other { digest: d }) if d == digest));
        assert!(matches!(shelf.get(&Digest::of(b"other")), Err(ShelfError::Missing(_))));
        let large = vec![0; ARTIFACT_BYTES_MAX as usize + 1];
        assert!(matches!(shelf.put(&large), Err(ShelfError::TooLarge(_))));
    }

    #[test]
    fn what_a_crash_left_unfinished_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let kept = shelf.put(b"kept").unwrap();
        fs::write(folder.path().join("blobs/unfinished-7"), b"half").unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 1);
        assert!(shelf.get(&kept).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("blobs"), b"a file").unwrap();
        let error = Shelf::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("blobs"), "{error}");
    }
}
