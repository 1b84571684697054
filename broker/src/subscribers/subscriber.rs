//! One subscription: how it is served, and what a client gets through it.

use std::sync::Arc;

use rumqttd::protocol::QoS;

use crate::inbox::{Delivery, Inbox};
use crate::message::Message;

/// How a subscription is to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// The client's own number for it.
    pub identifier: Option<u32>,
}

/// One subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    pub inbox: Arc<Inbox>,
    pub options: Options,
    /// The first message that it gets.
    pub since: u64,
}

/// What a client gets through one or several of its subscriptions.
pub(super) fn delivery<'a>(message: &Message, matching: impl Iterator<Item = &'a Options>) -> Delivery {
    let (mut qos, mut retain, mut identifiers) = (QoS::AtMostOnce, false, Vec::new());
    for options in matching {
        qos = if options.qos > qos { options.qos } else { qos };
        retain |= options.retain_as_published && message.retain();
        identifiers.extend(options.identifier);
    }
    let qos = min_qos(qos, message.qos());
    Delivery { message: message.clone(), qos, retain, identifiers, share: None, live: true }
}

/// The smaller of two QoS.
pub(crate) fn min_qos(a: QoS, b: QoS) -> QoS {
    if a < b { a } else { b }
}
