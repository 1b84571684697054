//! Why a store cannot be used.

use std::path::PathBuf;

use flotilla_machine::DatabaseError;

/// The most writes that wait for the thread; a further one is refused.
pub const WAITING_MAX: usize = 1024;

/// Why the store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another agent has it open.
    #[error("open {0}: a running center uses it; stop that one first, or name another data folder")]
    InUse(PathBuf),
    /// The disk or the file does not allow it.
    #[error("use {path}: {cause}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// What is in it is not what a center writes.
    #[error("read {path}: {cause}; if it is damaged, move it away: what was decided is also at the broker")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// Too many writes wait for it.
    #[error("use {0}: {WAITING_MAX} writes wait for the disk already")]
    Busy(PathBuf),
    /// The agent is stopping.
    #[error("use {0}: it is closed")]
    Closed(PathBuf),
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::InUse(path) => Self::InUse(path),
            DatabaseError::Damaged { path, cause } => Self::Content { path, cause },
            DatabaseError::Disk { path, cause } => Self::Disk { path, cause },
        }
    }
}
