//! Why a demo fails.

use std::io;
use std::path::PathBuf;

use flotilla_link::EntryError;
use flotilla_schemas::IdError;

use super::sweep::SweepError;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It could not be set up.
    #[error("{what}")]
    Stage {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The broker cannot be reached with what was given.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The broker cannot be used.
    #[error(transparent)]
    Broker(#[from] SweepError),
    /// A step of the story did not happen.
    #[error("play the step \"{step}\": {why}{}", log_text(.log))]
    Step {
        /// The step.
        step: String,
        /// Why.
        why: String,
        /// The end of the log that tells more, and where all of it is.
        log: Option<(String, PathBuf)>,
    },
    /// Somebody ended it before its end.
    #[error("play the story to its end: it was interrupted")]
    Interrupted,
    /// A name of the story is no id.
    #[error("name the parts")]
    Id(#[from] IdError),
    /// Something of the system failed.
    #[error("go on")]
    System(#[from] io::Error),
}

fn log_text(log: &Option<(String, PathBuf)>) -> String {
    log.as_ref().map(|(tail, path)| format!("\nthe end of {}:\n{tail}", path.display())).unwrap_or_default()
}
