//! Who this edge is: a key that it makes at its first start, and a name for each run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{Digest, EdgeId, EpochId, SessionId};

/// The key's file within the data folder.
const FILE: &str = "edge.key";

/// Why the edge has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or made.
    #[error("{0}: {1}")]
    Disk(PathBuf, io::Error),
    /// The file holds no key, or another edge's.
    #[error("{0} is not the key of the edge {1}; a data folder belongs to one edge")]
    Content(PathBuf, EdgeId),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Chance(String),
}

fn random() -> Result<[u8; 32], IdentityError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| IdentityError::Chance(error.to_string()))?;
    Ok(bytes)
}

/// The edge's key: read, or made at the first start.
pub fn key(folder: &Path, edge: &EdgeId) -> Result<SecretKey, IdentityError> {
    let path = folder.join(FILE);
    let content = || IdentityError::Content(path.clone(), edge.clone());
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key = SecretKey::from_file(&text).map_err(|_| content())?;
            if key.id().as_str() == edge.as_str() { Ok(key) } else { Err(content()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = edge.as_str().parse().map_err(|_| content())?;
            let key = SecretKey::from_seed(id, random()?);
            write_new(folder, &path, &key.to_file())
                .map_err(|error| IdentityError::Disk(path.clone(), error))?;
            Ok(key)
        }
        Err(error) => Err(IdentityError::Disk(path, error)),
    }
}

/// Written whole or not at all: a power cut must not leave half a key.
fn write_new(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    fs::File::open(folder)?.sync_all()
}

/// A name for this run.
pub fn session() -> Result<SessionId, IdentityError> {
    let name = Digest::of(&random()?).short();
    SessionId::new(name).map_err(|error| IdentityError::Chance(error.to_string()))
}

/// An epoch for a journal that is made now.
pub fn epoch() -> Result<EpochId, IdentityError> {
    Ok(EpochId::of(&Digest::of(&random()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_keeps_its_key_and_takes_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let (e1, e2) = (EdgeId::new("e1").unwrap(), EdgeId::new("e2").unwrap());
        let made = key(folder.path(), &e1).unwrap();
        assert_eq!(key(folder.path(), &e1).unwrap().public(), made.public());
        assert!(matches!(key(folder.path(), &e2), Err(IdentityError::Content(..))));
        fs::write(folder.path().join(FILE), "x").unwrap();
        assert!(matches!(key(folder.path(), &e1), Err(IdentityError::Content(..))));
    }
}
