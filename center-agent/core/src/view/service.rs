//! Services, and where they run.

use std::collections::BTreeMap;

use flotilla_schemas::desired::Trigger;
use flotilla_schemas::{EdgeId, EventsId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::document::{Documents, Work};

/// A service and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// The service.
    pub service: ServiceId,
    /// What it runs, where that was decided last: `script` or `app`.
    #[serde(flatten)]
    pub work: Work,
    /// The edges on which it was started and not stopped since.
    pub on: BTreeMap<EdgeId, Running>,
}

/// How a service runs on one edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// With which event list; none where an app runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsId>,
    /// When.
    pub trigger: Trigger,
    /// The number of the document that started it; grows with each start.
    pub started: u64,
}

impl ServiceView {
    /// None if it was never started.
    pub(crate) fn of(documents: &Documents, service: &ServiceId) -> Option<Self> {
        let running = documents.entries(service).filter_map(|(edge, on)| {
            let run = on.run.as_ref()?;
            let running = Running { events: run.events.clone(), trigger: run.trigger, started: on.ver.n };
            Some((edge.clone(), running))
        });
        let (on, work) = (running.collect(), documents.work(service)?.clone());
        Some(Self { service: service.clone(), work, on })
    }
}
