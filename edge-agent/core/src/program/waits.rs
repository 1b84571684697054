//! Why a service waits, as a value; its sentence is what a person reads in a row of the report.

use flotilla_schemas::sign::SignError;
use flotilla_schemas::{AppId, EventsId, FaultId, ScriptId};

use crate::wanted::CatalogError;

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Waits {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("the release named for {app} is of {of}")]
    OtherApp { app: AppId, of: AppId },
    #[error("what is installed is refused: {0}")]
    Refused(#[from] SignError),
    #[error("{script} {version} has no event list {events}")]
    NoEvents { script: ScriptId, version: String, events: EventsId },
    #[error(
        "this edge runs no scripts; start an app by itself: flotilla service start NAME --app APP --on EDGE"
    )]
    NoScripts,
    #[error("{0} declares no operation of its own, under [run] in its app.toml")]
    NoOwnRun(AppId),
    /// An app of it cannot run here; in the words of its fault.
    #[error("{0}")]
    Unfit(String),
    #[error("{missing} of {of} files are on their way")]
    Files { missing: usize, of: usize },
    #[error("{0} files of its script are on their way")]
    ScriptFiles(usize),
    #[error("{0} is on its way")]
    App(AppId),
    #[error("{app} waits for its turn in {bytes_max} bytes of memory")]
    Turn { app: AppId, bytes_max: u64 },
    #[error("the run under way")]
    Run,
    #[error("fault {0} is treated")]
    Fault(FaultId),
    #[error("fault {0} is tried again")]
    Again(FaultId),
    #[error("{0} is in quarantine; restart it to release it")]
    Quarantine(AppId),
}
