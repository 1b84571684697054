//! What does not change while an agent runs.

use flotilla_schemas::EdgeId;
use flotilla_schemas::SessionId;
use flotilla_schemas::fleet::Fleet;
use flotilla_schemas::report::Profile;
use flotilla_schemas::sign::PublicKey;

/// What does not change while an agent runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom the edge trusts.
    pub fleet: Fleet,
    /// The edge.
    pub edge: EdgeId,
    /// What verifies its signatures.
    pub key: PublicKey,
    /// This run of the agent.
    pub session: SessionId,
    /// What it can do; what the program was built without, it cannot.
    pub profile: Profile,
    /// The kind of processor: `x86_64`.
    pub arch: String,
    /// The sandbox's runtime: what machine code must match.
    pub runtime: String,
    /// Whether the sandbox can make machine code itself.
    pub compiles: bool,
    /// The agent's version.
    pub agent: String,
    /// The most bytes of records that the journal holds.
    pub journal_bytes_max: u64,
}

impl Config {
    /// Whether faults are opened, answered and treated here, rather than recorded alone. A part whose feature is off
    /// is compiled out, because what reaches it is never true.
    pub(crate) fn treats_faults(&self) -> bool {
        cfg!(feature = "reliability") && self.profile.reliability
    }

    /// Whether services with a script run here.
    pub(crate) fn runs_scripts(&self) -> bool {
        cfg!(feature = "scripts") && self.profile.scripts
    }

    /// How many centers must have a record before it may be deleted here.
    pub(crate) fn durable(&self) -> usize {
        usize::from(self.fleet.durable)
    }
}
