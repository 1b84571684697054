//! What a center shows of what it knows: the rows and details that its HTTP API answers with.
//!
//! Views are for people. No agent reads them back, and nothing here decides anything.

mod edge;
mod fault;
mod release;
mod service;

use flotilla_schemas::report::CenterStatus;
use serde::{Deserialize, Serialize};

pub use edge::{EdgeDetail, EdgeSummary};
pub use fault::FaultView;
pub use release::{AppDetail, AppSummary, Distribution, ScriptDetail, ScriptSummary};
pub use service::{Running, ServiceView};

/// What the center is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// What it also publishes on its status topic.
    #[serde(flatten)]
    pub status: CenterStatus,
    /// Whether it is connected to its broker.
    pub connected: bool,
    /// Whether it has heard what the broker retains; until then it takes no decision.
    pub swept: bool,
}
