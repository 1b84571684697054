//! The log of an edge: what it records of itself, as it happens. Readings and apps' events are in the journal alone.

use edge_core::Persist;
use flotilla_schemas::journal::Body;

/// Writes a record into the log, if it is one for the log.
pub fn recorded(change: &Persist) {
    let Persist::Append(_, record) = change else { return };
    let seq = record.seq;
    match &record.body {
        Body::Fault(fault) => tracing::warn!(
            fault_id = %fault.fault, app = %fault.app, kind = %fault.kind, attempt = fault.attempt, seq,
            error = ?fault.message, "a fault is seen"
        ),
        Body::Restoration { fault, attempt, measure, cause, center } => {
            let center = center.as_ref().map_or("none", |center| center.as_str());
            tracing::info!(fault_id = %fault, attempt, %measure, cause, center, seq, "a countermeasure is taken");
        }
        Body::Closed(closed) => tracing::info!(
            fault_id = %closed.fault, attempts = closed.attempts, elapsed_ms = closed.open_ms, seq, "a fault is closed"
        ),
        Body::Command { id, done, message } => {
            tracing::info!(command = %id, done, ?message, seq, "a command")
        }
        Body::Unknown => {}
        Body::Dropped { lane, floor } => {
            tracing::warn!(lane = lane.number(), floor, seq, "the journal is full: records are dropped");
        }
        Body::Event { source, name, fields, .. } if source.is_system() && name != "run" => {
            let fields = serde_json::to_string(fields).unwrap_or_default();
            tracing::info!(name, fields, seq, "the edge records");
        }
        Body::Written { write, point, error: Some(error), elapsed_ms } => {
            tracing::warn!(write, %point, error, elapsed_ms, seq, "a point was not set");
        }
        Body::Event { .. } | Body::Write { .. } | Body::Written { .. } => {}
    }
}
