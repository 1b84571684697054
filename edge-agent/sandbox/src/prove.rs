//! Proof: before a script is published, everything that its definition lets a script say has been run, under the
//! grants and limits that a gateway will use.
//!
//! ```text
//! definition ─▶ items ─▶ generator ─▶ script ─▶ plan ─▶ play ─▶ verdict ─▶ ListProof
//! event list ─▶ bounds ─────┘                            │                    │
//! equipment that is well, then failing at each access ───┘      Refusal: reasons, and the shortest script
//! ```
//!
//! Scripts are made until every element, branch, repetition, attribute and value was taken, each argument's type at
//! both of its bounds; values just outside must be refused. Each script runs with equipment that is well, twice in a
//! row because residents stay in memory, and nothing may fail; and once more for each way in which equipment can fail
//! at each access of a point; a device that is silent or late is so as a whole. There an app may fail in ways that
//! were foreseen: it touches nothing that it was not granted, returns no fault that its manifest does not declare, and
//! the list of countermeasures has more to say of what is seen than it has of everything. A script is planned, loaded
//! and called as on an edge, and alternates stand in for the apps that name them.
//!
//! The same input and seed give the same report, but for what is [measured](flotilla_schemas::proof::Measured). The
//! one thing taken from a clock is when to stop ([`Budget::time`]): whoever proves again says how many scripts it
//! shall be ([`Settings::as_before`]).

mod actor;
mod bounds;
mod cast;
mod course;
mod outcome;
mod play;
mod prover;
mod settings;
mod shortest;
mod stage;
mod trial;
mod verdict;

use flotilla_schemas::proof::ListProof;

pub use outcome::{Broken, Progress, Refusal};
pub use prover::{AppError, Prover, wanted};
pub use settings::{Budget, Settings, Subject};

impl Prover {
    /// Proves one event list. It takes its time and drives a runtime of its own: not to be called from one. `watch`
    /// is told now and then how far it is.
    ///
    /// # Errors
    /// Everything that breaks the release.
    pub fn list(
        &self,
        subject: &Subject<'_>,
        settings: &Settings,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<ListProof, Refusal> {
        let wrong = |error: std::io::Error| Refusal::of(format!("start a runtime: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(wrong)?;
        runtime.block_on(course::run(self, subject, settings, watch))
    }
}
