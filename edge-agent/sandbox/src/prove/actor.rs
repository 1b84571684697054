//! An app of a cast, loaded as an edge loads it, with the very grants and limits of its manifest.

use flotilla_schemas::AppId;
use flotilla_schemas::app::{Manifest, Residence};

use super::prover::{App, Prover};
use crate::program::Program;

/// An app of a cast.
#[derive(Clone)]
pub(super) struct Actor<'p> {
    pub id: AppId,
    pub app: &'p App,
    /// Why it cannot be loaded, if it cannot.
    pub program: Result<Program, String>,
}

impl Actor<'_> {
    pub fn manifest(&self) -> &Manifest {
        &self.app.manifest
    }

    /// Whether it stays in memory after a run.
    pub fn stays(&self) -> bool {
        self.manifest().residence == Residence::Resident
    }
}

impl App {
    /// Ready to be started, in a sandbox with the stack of this index.
    pub fn load(&self, prover: &Prover, stack: usize) -> Result<Program, String> {
        let Manifest { grants, limits, .. } = &self.manifest;
        prover.with_stack(stack)?.load(&self.machine, grants, limits).map_err(|error| error.to_string())
    }
}
