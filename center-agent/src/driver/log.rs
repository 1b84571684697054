//! What the link says, as inputs and lines of the log; and the core's notes.

use center_core::{Input, Note};
use flotilla_link::LinkEvent;
use tracing::{error, info, warn};

/// The input that an event is; none if it is for the log alone.
pub(super) fn heard(event: LinkEvent) -> Option<Input> {
    match event {
        LinkEvent::Connected => {
            info!("connected to the broker");
            Some(Input::Connected)
        }
        LinkEvent::Disconnected { error } => {
            warn!(error, "no connection to the broker");
            Some(Input::Disconnected)
        }
        LinkEvent::Message(message) => {
            let flotilla_link::Message { topic, payload, sig, retained } = message;
            Some(Input::Message { topic, payload, sig, retained })
        }
        LinkEvent::Malformed { topic, error } => {
            warn!(topic, error, "message not believed");
            None
        }
        LinkEvent::Foreign { topic, .. } => {
            tracing::warn!(topic, "a message of no known form is ignored");
            None
        }
        // No publish is numbered here.
        LinkEvent::Answered { .. } => None,
        LinkEvent::Refused { topic, error } => {
            error!(topic, error, "the broker refuses what a center needs: look at its access rules");
            None
        }
        LinkEvent::SubscriptionRefused { error } => {
            error!(error, "the broker refuses a subscription that a center needs: look at its access rules");
            None
        }
    }
}

/// Writes a note of the core to the log.
pub(super) fn write(Note { warn: warns, message, edge, subject, error, left_out }: &Note) {
    let (subject, error) = (said(subject), said(error));
    let edge_id = edge.as_ref().map(|edge| edge.as_str());
    match warns {
        true => warn!(edge_id, subject, error, left_out, "{message}"),
        false => info!(edge_id, subject, "{message}"),
    }
}

/// What is empty is not in the line.
fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
