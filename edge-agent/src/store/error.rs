//! Why the store cannot be used.

use std::path::PathBuf;

#[cfg(feature = "disk")]
use flotilla_machine::DatabaseError;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another agent, or a reader, has it open.
    #[error("{0} is in use by a running agent; stop it first")]
    InUse(PathBuf),
    /// There is none.
    #[error("{0} does not exist: this is no edge's data folder")]
    Missing(PathBuf),
    /// The disk or the file does not allow it.
    #[error("{path}: {cause}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// What is in it is not what an edge writes.
    #[error("{path}: {cause}; if it is damaged, move it away and the edge starts anew")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

#[cfg(feature = "disk")]
impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::InUse(path) => Self::InUse(path),
            DatabaseError::Damaged { path, cause } => Self::Content { path, cause },
            DatabaseError::Disk { path, cause } => Self::Disk { path, cause },
        }
    }
}
