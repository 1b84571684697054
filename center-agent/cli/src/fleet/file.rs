//! The files of a fleet: secret keys, and the fleet file that names what they sign.
//!
//! A file that is already there is never overwritten, since a key that is gone cannot be made again. Secret keys are
//! readable by their owner alone from their first byte on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flotilla_schemas::fleet::{FLEET_KEYS_MAX, Fleet};
use flotilla_schemas::sign::{SecretKey, SignError, Signed};
use flotilla_schemas::{CenterId, IdError, KeyId};
use serde::Serialize;

/// Why a fleet was not made, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A file is there already.
    #[error(
        "make a fleet in {dir}: {files} there already; choose another folder, or remove them if no edge trusts them"
    )]
    Exists {
        /// The folder.
        dir: PathBuf,
        /// The files, and their verb.
        files: String,
    },
    /// A center is named twice.
    #[error("make a fleet: the center {0} is named twice")]
    Twice(CenterId),
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The fleet file is none.
    #[error("use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: flotilla_schemas::fleet::FleetError,
    },
    /// The operator's key file holds no key.
    #[error("use the key in {path}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: SignError,
    },
    /// There is a publisher of that name.
    #[error("add a publisher: {0} is a publisher already; give the new one another name")]
    Named(KeyId),
    /// No room.
    #[error("add a publisher: a fleet has at most {FLEET_KEYS_MAX}")]
    Full,
    /// A file could not be written.
    #[error("write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The system gives no random numbers.
    #[error("make a key: the system gives no random numbers: {0}")]
    Random(String),
    /// A name is no key's name.
    #[error("name a key")]
    Id(#[from] IdError),
    /// The fleet file could not be written as JSON.
    #[error("write the fleet file")]
    Json(#[from] serde_json::Error),
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

/// A file of the new fleet.
#[derive(Debug, Serialize)]
pub struct FleetFile {
    pub path: PathBuf,
    pub purpose: String,
    #[serde(skip)]
    pub text: String,
    #[serde(skip)]
    pub mode: u32,
}

impl FleetFile {
    /// The text of a fleet file that the operator signs.
    pub fn text(fleet: &Fleet, operator: &SecretKey) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(&Signed::new(fleet, operator)?)? + "\n")
    }
}

/// A secret key's file.
pub fn secret(dir: &Path, file: String, purpose: String, key: &SecretKey) -> FleetFile {
    FleetFile { path: dir.join(file), purpose, text: key.to_file(), mode: 0o600 }
}

/// A new key of this name.
pub fn new_key(name: &str) -> Result<SecretKey, FleetError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| FleetError::Random(error.to_string()))?;
    Ok(SecretKey::from_seed(KeyId::new(name)?, seed))
}

/// Writes files that are not there yet; none of them if one is.
pub fn write(dir: &Path, files: &[FleetFile]) -> Result<(), FleetError> {
    let there: Vec<String> = files
        .iter()
        .filter(|f| f.path.exists())
        .filter_map(|f| Some(f.path.file_name()?.display().to_string()))
        .collect();
    if !there.is_empty() {
        let verb = if there.len() == 1 { "is" } else { "are" };
        return Err(FleetError::Exists {
            dir: dir.to_owned(),
            files: format!("{} {verb}", there.join(", ")),
        });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| FleetError::Write { path, cause }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    for file in files {
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(file.mode).open(&file.path);
        opened.and_then(|mut f| f.write_all(file.text.as_bytes())).map_err(failed(&file.path))?;
    }
    Ok(())
}
