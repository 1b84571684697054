//! What a client sends, checked and passed on.
//!
//! A publish that is refused is answered with a reason where the protocol has one: MQTT 5 at QoS 1. Elsewhere the
//! session is closed, since an acknowledgement, or silence, would say that all is well.

use bytes::Bytes;
use rumqttd::protocol::{Filter, Packet};
use rumqttd::protocol::{
    PingResp, PubAck, PubAckReason, PublishProperties, QoS, RetainForwardRule, SubAck, Subscribe,
    SubscribeReasonCode, UnsubAck, UnsubAckReason, Unsubscribe,
};

use super::Session;
use super::acks::Outcome;
use super::outbound::Backlog;
use super::subscriptions::MinOf;
use crate::close::Close;
use crate::message::Message;
use crate::packet::{Incoming, IncomingPublish, Version};
use crate::retained::Ticket;
use crate::router::Died;
use crate::topic;

/// Why a sane message was not passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0:?} is not this client's to write")]
    NotAuthorized(String),
    #[error("{0}")]
    Quota(&'static str),
    #[error(transparent)]
    Died(#[from] Died),
}

/// The answer to a SUBSCRIBE or UNSUBSCRIBE, and the retained messages that come after it.
#[derive(Debug)]
pub(super) struct Confirmation {
    answer: Packet,
    backlog: Vec<Backlog>,
}

impl Session {
    pub(super) fn handle(&mut self, packet: Incoming) -> Result<(), Close> {
        match packet {
            Incoming::Publish(publish) => self.publish(publish),
            Incoming::PubAck(pkid) => {
                self.window.release(pkid);
                Ok(())
            }
            Incoming::Subscribe(subscribe, identifier) => self.subscribe(subscribe, identifier),
            Incoming::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Incoming::PingReq => self.send(Packet::PingResp(PingResp)).map(|_| ()),
            Incoming::Disconnect { with_will } => Err(Close::Left { with_will }),
        }
    }

    fn publish(&mut self, publish: IncomingPublish) -> Result<(), Close> {
        let (qos, pkid) = (publish.qos, publish.pkid);
        let message = self.check_publish(publish)?;
        let answered = qos == QoS::AtLeastOnce && self.admission.version == Version::V5;
        let outcome = match self.pass_on(message) {
            Ok(Some(ticket)) => Outcome::Written(ticket),
            Ok(None) => Outcome::Known(PubAckReason::Success),
            Err(Refused::NotAuthorized(_)) if answered => Outcome::Known(PubAckReason::NotAuthorized),
            Err(Refused::Quota(_)) if answered => Outcome::Known(PubAckReason::QuotaExceeded),
            Err(refused) => return Err(refused.into()),
        };
        if qos == QoS::AtLeastOnce {
            self.acks.push(pkid, outcome);
        }
        Ok(())
    }

    /// What breaks the protocol ends the session.
    fn check_publish(&self, publish: IncomingPublish) -> Result<Message, Close> {
        let IncomingPublish { qos, retain, topic, payload, properties, .. } = publish;
        if qos == QoS::ExactlyOnce {
            return Err(Close::Qos);
        }
        if let Some(properties) = &properties {
            self.check_properties(properties)?;
        }
        topic::check_name(&topic, &self.broker.limits).map_err(|cause| Close::Topic {
            topic: String::from_utf8_lossy(&topic).chars().take(80).collect(),
            cause,
        })?;
        // Copies, so that no whole read buffer is kept for a part of it.
        let (topic, payload) = (Bytes::copy_from_slice(&topic), Bytes::copy_from_slice(&payload));
        Ok(Message { topic, payload, properties, qos, retain, publisher: self.serial })
    }

    fn check_properties(&self, properties: &PublishProperties) -> Result<(), Close> {
        if properties.topic_alias.is_some() {
            return Err(Close::Alias);
        }
        if !properties.subscription_identifiers.is_empty() {
            return Err(Close::Protocol("a PUBLISH with a subscription identifier"));
        }
        let response_topic = properties.response_topic.as_deref().unwrap_or("x");
        if response_topic.is_empty() || response_topic.contains(['+', '#']) {
            return Err(Close::Protocol("a response topic with a wildcard"));
        }
        Ok(())
    }

    /// Keeps a message if it is to be retained, and hands it to the router, in this order: see [`crate::retained`].
    pub(super) fn pass_on(&mut self, message: Message) -> Result<Option<Ticket>, Refused> {
        if !self.admission.role.may_publish(message.topic()) {
            return Err(Refused::NotAuthorized(message.topic().to_owned()));
        }
        if !self.broker.router.admits_topic(&message.topic) {
            return Err(Refused::Quota("there are as many topics as there may be"));
        }
        let ticket = match message.retain {
            true => self
                .broker
                .retained
                .put(&message)
                .map_err(|_| Refused::Quota("there is no room to retain it"))?,
            false => None,
        };
        self.link.publish(message)?;
        Ok(ticket)
    }

    /// Acknowledges what is ready, in order. MQTT 3.1.1 cannot be told that a message was not stored.
    pub(super) fn acknowledge(&mut self) -> Result<(), Close> {
        while let Some((pkid, reason)) = self.acks.pop() {
            if reason != PubAckReason::Success && self.admission.version == Version::V4 {
                return Err(Close::Quota("a retained message could not be stored"));
            }
            self.send(Packet::PubAck(PubAck { pkid, reason }, None))?;
        }
        Ok(())
    }

    fn subscribe(&mut self, subscribe: Subscribe, identifier: Option<usize>) -> Result<(), Close> {
        if identifier == Some(0) {
            return Err(Close::Protocol("a subscription identifier of 0"));
        }
        let mut return_codes = Vec::with_capacity(subscribe.filters.len());
        let mut backlog = Vec::new();
        for filter in subscribe.filters {
            return_codes.push(match self.refuse_filter(&filter) {
                Some(code) if self.admission.version == Version::V5 => code,
                Some(_) => SubscribeReasonCode::Failure,
                None => {
                    backlog.extend(self.add_subscription(&filter, identifier)?);
                    SubscribeReasonCode::Success(filter.qos.min_of(QoS::AtLeastOnce))
                }
            });
        }
        let answer = Packet::SubAck(SubAck { pkid: subscribe.pkid, return_codes }, None);
        self.answer_when_done(Confirmation { answer, backlog })
    }

    fn answer_when_done(&mut self, confirmation: Confirmation) -> Result<(), Close> {
        self.link.fence()?;
        self.confirming.push_back(confirmation);
        Ok(())
    }

    /// The router has done what was asked first. Only now are retained messages looked up, so that nothing falls
    /// between them and the live ones.
    pub(super) fn confirm(&mut self) -> Result<(), Close> {
        let Some(Confirmation { answer, backlog }) = self.confirming.pop_front() else { return Ok(()) };
        self.send(answer)?;
        self.backlog.retain(|old| backlog.iter().all(|new| new.subscription != old.subscription));
        self.backlog.extend(backlog);
        Ok(())
    }

    fn refuse_filter(&self, filter: &Filter) -> Option<SubscribeReasonCode> {
        let path = &filter.path;
        if path.starts_with("$share/") {
            return Some(SubscribeReasonCode::SharedSubscriptionsNotSupported);
        }
        if topic::check_filter(path, &self.broker.limits).is_err() {
            return Some(SubscribeReasonCode::TopicFilterInvalid);
        }
        if !self.admission.role.may_subscribe(path) {
            return Some(SubscribeReasonCode::NotAuthorized);
        }
        let added = !self.subscriptions.contains(path);
        let full = added && self.subscriptions.len() >= self.broker.limits.filters_per_session;
        (full || !self.broker.router.admits_filter(path)).then_some(SubscribeReasonCode::QuotaExceeded)
    }

    fn add_subscription(
        &mut self,
        filter: &Filter,
        identifier: Option<usize>,
    ) -> Result<Option<Backlog>, Close> {
        let known = self.subscriptions.contains(&filter.path);
        let number = self.subscriptions.insert(filter, identifier);
        self.link.subscribe(filter.path.clone(), number)?;
        let retained = match filter.retain_forward_rule {
            RetainForwardRule::OnEverySubscribe => true,
            RetainForwardRule::OnNewSubscribe => !known,
            RetainForwardRule::Never => false,
        };
        Ok(retained.then_some(Backlog { subscription: number, after: None }))
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), Close> {
        if unsubscribe.filters.is_empty() {
            return Err(Close::Protocol("an UNSUBSCRIBE without a filter"));
        }
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            reasons.push(match self.subscriptions.remove(&filter) {
                Some(_) => {
                    self.link.unsubscribe(filter)?;
                    UnsubAckReason::Success
                }
                None => UnsubAckReason::NoSubscriptionExisted,
            });
        }
        let answer = Packet::UnsubAck(UnsubAck { pkid: unsubscribe.pkid, reasons }, None);
        self.answer_when_done(Confirmation { answer, backlog: Vec::new() })
    }
}

impl From<Refused> for Close {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotAuthorized(topic) => Self::NotAuthorized(topic),
            Refused::Quota(what) => Self::Quota(what),
            Refused::Died(died) => Self::Died(died),
        }
    }
}
