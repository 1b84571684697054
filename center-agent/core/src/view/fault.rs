//! Faults.

use flotilla_schemas::countermeasure::{By, Measure};
use flotilla_schemas::fault::{How, Kind};
use flotilla_schemas::{AppId, CenterId, EdgeId, FaultId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::desk::FaultRow;

/// A fault, as the records of its edge tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultView {
    /// The edge.
    pub edge: EdgeId,
    /// The fault.
    pub fault: FaultId,
    /// What was seen.
    pub kind: Kind,
    /// The app, or `system`.
    pub app: AppId,
    /// The service that was running.
    pub service: Option<ServiceId>,
    /// Where in the script.
    pub step: Option<String>,
    /// What was said.
    pub message: String,
    /// Where in the app, innermost first.
    pub backtrace: Vec<String>,
    /// Whether it is open.
    pub open: bool,
    /// When it was first seen, in Unix milliseconds of the edge's clock.
    pub opened_ts: i64,
    /// When something was last recorded of it, likewise.
    pub ts: i64,
    /// Which attempt is due, under way, or was the last.
    pub attempt: u32,
    /// How often it was seen.
    pub count: u32,
    /// Who decides about it.
    pub by: By,
    /// Why, as decided; none while nobody said.
    pub cause: Option<String>,
    /// The last measure that was decided.
    pub measure: Option<Measure>,
    /// The center that decided; none when the edge did alone.
    pub center: Option<CenterId>,
    /// How it ended.
    pub how: Option<How>,
    /// How long it was open, in milliseconds; none while it is.
    pub open_ms: Option<u64>,
}

impl FaultView {
    /// For people; none until a record said what it is.
    pub(crate) fn of(row: &FaultRow) -> Option<Self> {
        let (seen, closed) = (row.seen.as_ref(), row.closed.as_ref());
        let kind = seen.map(|f| &f.kind).or(closed.map(|c| &c.kind))?.clone();
        let app = seen.map(|f| &f.app).or(closed.map(|c| &c.app))?.clone();
        Some(Self {
            edge: row.edge.clone(),
            fault: row.fault.clone(),
            kind,
            app,
            service: seen.and_then(|fault| fault.service.clone()),
            step: seen.and_then(|fault| fault.step.clone()),
            message: seen.map(|fault| fault.message.clone()).unwrap_or_default(),
            backtrace: seen.map(|fault| fault.backtrace.clone()).unwrap_or_default(),
            open: closed.is_none(),
            opened_ts: row.first_ts,
            ts: row.last_ts,
            attempt: seen.map(|f| f.attempt).max(closed.map(|c| c.attempts)).unwrap_or_default(),
            count: seen.map(|fault| fault.count).unwrap_or_default(),
            by: seen.map(|fault| fault.by).unwrap_or_default(),
            cause: row.decided.as_ref().map(|decided| decided.cause.clone()),
            measure: row.decided.as_ref().map(|d| d.measure).or(closed.and_then(|c| c.measure)),
            center: row.decided.as_ref().and_then(|decided| decided.center.clone()),
            how: closed.map(|closed| closed.how),
            open_ms: closed.map(|closed| closed.open_ms),
        })
    }
}
