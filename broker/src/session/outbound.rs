//! What a client is sent: live messages from the router, and the retained ones that it subscribed to.

use rumqttd::protocol::{Packet, PublishProperties, QoS};

use super::Session;
use super::subscriptions::{MinOf, Subscription};
use crate::close::Close;
use crate::message::{Delivery, Message};
use crate::packet::{Version, publish};
use crate::retained::now_ms;

/// Retained messages that are looked up at a time.
const PAGE: usize = 64;

/// Retained messages of one subscription, still to be delivered.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) subscription: usize,
    /// The last topic that was delivered.
    pub(super) after: Option<String>,
}

impl Session {
    pub(super) fn deliver_live(&mut self, delivery: Delivery) -> Result<(), Close> {
        let Delivery { message, subscription, offset } = delivery;
        // A subscription that has just ended.
        let Some(subscription) = self.subscriptions.get_mut(subscription) else { return Ok(()) };
        let lost = subscription.lost_before(offset);
        let subscription = subscription.clone();
        if lost > 0 {
            self.note_loss(&subscription, lost)?;
        }
        if subscription.no_local && message.publisher == self.serial {
            return Ok(());
        }
        let retain = subscription.retain_as_published && message.retain;
        self.deliver(&subscription, message, retain)
    }

    /// With QoS 1 a loss must not go unnoticed: the client has to come again. With QoS 0 it is borne.
    fn note_loss(&mut self, subscription: &Subscription, lost: u64) -> Result<(), Close> {
        if subscription.qos != QoS::AtMostOnce {
            return Err(Close::Slow(lost));
        }
        if self.lost == 0 {
            let (client, filter) = (self.admission.client_id.as_str(), subscription.filter.as_str());
            tracing::warn!(client, filter, lost, "a slow reader loses messages");
        }
        self.lost += lost;
        Ok(())
    }

    /// Delivers a page of retained messages, and forgets a backlog that is through.
    pub(super) fn deliver_backlog(&mut self) -> Result<(), Close> {
        if !self.takes() {
            return Ok(());
        }
        let Some(mut backlog) = self.backlog.pop_front() else { return Ok(()) };
        let Some(subscription) = self.subscriptions.get_mut(backlog.subscription).cloned() else {
            return Ok(());
        };
        let page = self.broker.retained.page(&subscription.filter, backlog.after.as_deref(), PAGE);
        let mut through = page.len() < PAGE;
        for stored in page {
            if !self.takes() {
                through = false;
                break;
            }
            backlog.after = Some(stored.message.topic().to_owned());
            if let Some(message) = stored.unexpired(now_ms()) {
                self.deliver(&subscription, message, true)?;
            }
        }
        if !through {
            self.backlog.push_front(backlog);
        }
        Ok(())
    }

    fn deliver(&mut self, subscription: &Subscription, message: Message, retain: bool) -> Result<(), Close> {
        if !self.admission.role.may_receive(message.topic()) {
            return Ok(());
        }
        let qos = message.qos.min_of(subscription.qos);
        let pkid = match qos {
            QoS::AtMostOnce => Some(0),
            _ => self.window.take(),
        };
        let pkid = pkid.ok_or(Close::Protocol("more acknowledgements than messages"))?;
        let properties = self.properties_for(subscription, message.properties);
        let packet = publish(qos, pkid, retain, message.topic, message.payload);
        if !self.send(Packet::Publish(packet, properties))? {
            // Longer than the client takes: as the standard says, it counts as delivered.
            self.window.release(pkid);
        }
        Ok(())
    }

    /// MQTT 3.1.1 has no properties. In MQTT 5 the numbers of the router's subscriptions give way to the client's.
    fn properties_for(
        &self,
        subscription: &Subscription,
        properties: Option<PublishProperties>,
    ) -> Option<PublishProperties> {
        if self.admission.version == Version::V4 {
            return None;
        }
        let mut properties = properties.unwrap_or_default();
        properties.subscription_identifiers.clear();
        properties.subscription_identifiers.extend(subscription.identifier);
        Some(properties)
    }
}
