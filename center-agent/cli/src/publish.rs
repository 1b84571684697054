//! What publishing an app and publishing a script share: the publisher's key, and bringing files to the center.
//!
//! Everything is proved and signed on this machine; the center proves it again. Files go up first and only those
//! that the center lacks, so a publication that broke off is simply repeated.

use std::io;
use std::path::{Path, PathBuf};

use center_agent::api::types::Published;
use flotilla_schemas::Digest;
use flotilla_schemas::sign::{SecretKey, SignError};

use crate::client::{Client, ClientError};
use crate::edges::bytes;
use crate::output::{self, DIM, NAME, styled};
use crate::toml_file::{TomlError, read_bounded};

/// The largest key file, in bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The key file holds no key.
    #[error("use the key in {path}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: SignError,
    },
    /// The manifest is not right.
    #[error(transparent)]
    Manifest(#[from] TomlError),
    /// It does not hold together; nothing was sent.
    #[error("publish {dir}:\n  {}", .errors.join("\n  "))]
    Unfit {
        /// The folder.
        dir: PathBuf,
        /// All that is wrong.
        errors: Vec<String>,
    },
    /// It does not hold over its whole range.
    #[error(transparent)]
    Proving(#[from] crate::script::ProvingError),
    /// The sandbox refuses.
    #[error(transparent)]
    Sandbox(#[from] flotilla_sandbox::SandboxError),
    /// There is no machine code to be had.
    #[error(transparent)]
    Compile(#[from] flotilla_sandbox::CompileError),
    /// The release could not be written as JSON.
    #[error("sign the release")]
    Sign(#[from] serde_json::Error),
    /// The center did not take it.
    #[error(transparent)]
    Center(#[from] ClientError),
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

impl PublishError {
    /// What is in the folder does not hold together.
    pub fn unfit<E: ToString>(dir: &Path, errors: &[E]) -> Self {
        Self::Unfit { dir: dir.to_owned(), errors: errors.iter().map(E::to_string).collect() }
    }
}

/// Reads a file of the publication.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, PublishError> {
    read_bounded(path, bytes_max).map_err(|cause| PublishError::Read { path: path.to_owned(), cause })
}

/// Reads the publisher's key.
pub fn read_key(path: &Path) -> Result<SecretKey, PublishError> {
    let text = String::from_utf8(read(path, KEY_BYTES_MAX)?).unwrap_or_default();
    SecretKey::from_file(&text).map_err(|cause| PublishError::Key { path: path.to_owned(), cause })
}

/// Brings files to the center, those that it lacks.
pub fn upload(client: &Client, files: &[&[u8]]) -> Result<(), ClientError> {
    let (mut sent, mut size) = (0, 0);
    for file in files {
        if !client.has_blob(Digest::of(file))? {
            client.put_blob(file)?;
            (sent, size) = (sent + 1, size + file.len() as u64);
        }
    }
    let (of, files) = (files.len(), output::plural(files.len(), "file"));
    match sent {
        0 => progress("uploaded", format!("nothing: the center has the {of} {files} already")),
        _ => progress("uploaded", format!("{sent} of {of} {files}, {}", bytes(size))),
    }
    Ok(())
}

/// Tells on standard error how far it is.
pub fn progress(step: &str, what: impl std::fmt::Display) {
    output::note(format!("{} {what}", styled(DIM, format!("{step:>10}"))));
}

/// Tells that it is published.
pub fn published(what: &str, published: &Published, json: bool) -> io::Result<()> {
    if json {
        return output::json(published);
    }
    let new = if published.new { "published" } else { "was published already" };
    let (release, catalog) = (published.release.short(), published.catalog);
    output::line(format!("{} {new}: release {release}, catalog {catalog}", styled(NAME, what)))
}
