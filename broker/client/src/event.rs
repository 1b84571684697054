//! What a link tells its owner.

use flotilla_schemas::Topic;
use flotilla_schemas::sign::Signature;

/// What a link tells its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// The broker has taken the connection, and the subscriptions are on their way.
    Connected,
    /// The connection is gone; the link goes on trying.
    Disconnected {
        /// Why.
        error: String,
    },
    /// A message on a topic of the fleet. Its signature is not verified yet.
    Message(Message),
    /// A message on a topic that is none of the fleet: who subscribes outside of it gets these.
    Foreign {
        /// Where.
        topic: String,
        /// What.
        payload: Vec<u8>,
    },
    /// A message with an unreadable signature.
    Malformed {
        /// The topic, shortened.
        topic: String,
        /// What is wrong.
        error: String,
    },
    /// The broker answered a publish that [was numbered](crate::Link::publish_numbered).
    Answered {
        /// Its number.
        number: u64,
        /// Why the broker refused it; none if it took it.
        refused: Option<String>,
    },
    /// The broker refused a publish.
    Refused {
        /// The topic.
        topic: String,
        /// The broker's reason.
        error: String,
    },
    /// The broker refused a subscription.
    SubscriptionRefused {
        /// The broker's reason.
        error: String,
    },
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where.
    pub topic: Topic,
    /// What.
    pub payload: Vec<u8>,
    /// Who says to have signed it.
    pub sig: Option<Signature>,
    /// Whether the broker had kept it.
    pub retained: bool,
}
