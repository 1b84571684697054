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
use crate::close::Close;
use crate::kept::Backlog;
use crate::message::Draft;
use crate::packet::{Incoming, IncomingPublish, Version};
use crate::retained::Ticket;
use crate::subscribers::{Options, min_qos};
use crate::topic::{self, Share, TopicError};

/// Why a sane message was not passed on.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0:?} is not this client's to write")]
    NotAuthorized(String),
    #[error("there is no room to retain it")]
    Full,
}

impl Session {
    pub(super) fn handle(&mut self, packet: Incoming) -> Result<(), Close> {
        match packet {
            Incoming::Publish(publish) => self.publish(publish),
            Incoming::PubAck(pkid) => {
                if self.kept.window.release(pkid) {
                    self.stalled = None;
                }
                Ok(())
            }
            Incoming::Subscribe(subscribe, identifier) => self.subscribe(subscribe, identifier),
            Incoming::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Incoming::PingReq => self.send(Packet::PingResp(PingResp)),
            Incoming::Disconnect { session_expiry_s: Some(1..), .. }
                if self.admission.session_expiry_s == 0 =>
            {
                Err(Close::Protocol("a session expiry at the end of a session that had none"))
            }
            Incoming::Disconnect { with_will, session_expiry_s } => {
                Err(Close::Left { with_will, session_expiry_s })
            }
        }
    }

    fn publish(&mut self, mut publish: IncomingPublish) -> Result<(), Close> {
        let (qos, pkid) = (publish.qos, publish.pkid);
        self.resolve_alias(&mut publish)?;
        self.check_publish(&publish)?;
        self.broker.meters.messages_in.add(1);
        // What begins with $ is the broker's: nobody can subscribe to a client's.
        let outcome = match publish.topic.starts_with(b"$") {
            true => Outcome::Known(PubAckReason::NoMatchingSubscribers),
            false => self.outcome(&publish)?,
        };
        if qos == QoS::AtLeastOnce {
            self.acks.push(pkid, outcome);
        }
        Ok(())
    }

    /// Passes a publish on, or refuses it with an answer if there is one.
    fn outcome(&self, publish: &IncomingPublish) -> Result<Outcome, Close> {
        let answered = publish.qos == QoS::AtLeastOnce && self.admission.version == Version::V5;
        match self.pass_on(publish) {
            Ok(Some(ticket)) => Ok(Outcome::Written(ticket)),
            Ok(None) => Ok(Outcome::Known(PubAckReason::Success)),
            Err(refused) if answered => {
                self.broker.meters.refused(refused.meter()).add(1);
                Ok(Outcome::Known(refused.code()))
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// Puts the topic in that an alias stands for, or notes what it is to stand for.
    fn resolve_alias(&mut self, publish: &mut IncomingPublish) -> Result<(), Close> {
        let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
        let Some(alias) = alias else { return Ok(()) };
        if alias == 0 || alias > self.broker.limits.topic_aliases {
            return Err(Close::Alias(alias));
        }
        let known = usize::from(alias - 1);
        if publish.topic.is_empty() {
            let topic = self.aliases.get(known).filter(|topic| !topic.is_empty());
            publish.topic = topic.ok_or(Close::Alias(alias))?.clone();
            return Ok(());
        }
        if self.aliases.len() <= known {
            self.aliases.resize(known + 1, Bytes::new());
        }
        if publish.topic.len() <= self.broker.limits.topic_bytes
            && let Some(topic) = self.aliases.get_mut(known)
        {
            // A copy, so that no whole packet is kept for a part of it.
            *topic = Bytes::copy_from_slice(&publish.topic);
        }
        Ok(())
    }

    /// What breaks the protocol ends the session.
    fn check_publish(&self, publish: &IncomingPublish) -> Result<(), Close> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(Close::Qos);
        }
        if let Some(properties) = &publish.properties {
            check_properties(properties)?;
        }
        match topic::check_name(&publish.topic, &self.broker.limits) {
            Ok(_) | Err(TopicError::Reserved) => Ok(()),
            Err(cause) => Err(Close::Topic {
                topic: String::from_utf8_lossy(&publish.topic).chars().take(80).collect(),
                cause,
            }),
        }
    }

    fn pass_on(&self, publish: &IncomingPublish) -> Result<Option<Ticket>, Refused> {
        let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
        let (subject, empties) = (&self.admission.user.subject, publish.retain && publish.payload.is_empty());
        if !(subject.may_publish(topic) || empties && subject.may_empty(topic)) {
            return Err(Refused::NotAuthorized(topic.to_owned()));
        }
        let draft = Draft {
            topic: &publish.topic,
            payload: &publish.payload,
            properties: publish.properties.as_ref(),
            qos: publish.qos,
            retain: publish.retain,
            publisher: self.kept.inbox.serial,
        };
        self.broker.publish(draft.seal()).map_err(|_| Refused::Full)
    }

    /// Acknowledges what is ready, in order. MQTT 3.1.1 cannot be told that a message was not stored.
    pub(super) fn acknowledge(&mut self) -> Result<(), Close> {
        while let Some((pkid, reason)) = self.acks.pop() {
            if reason == PubAckReason::QuotaExceeded && self.admission.version == Version::V4 {
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
        if subscribe.filters.iter().any(|filter| filter.nolocal && Share::of(&filter.path).is_some()) {
            return Err(Close::Protocol("a shared subscription without what is local"));
        }
        self.check_count(subscribe.filters.len())?;
        let identifier = identifier.and_then(|identifier| u32::try_from(identifier).ok());
        let mut return_codes = Vec::with_capacity(subscribe.filters.len());
        for filter in subscribe.filters {
            return_codes.push(match self.refuse_filter(&filter.path) {
                Some(code) => self.refused_filter(code),
                None => {
                    let options = options(&filter, identifier);
                    self.add_subscription(filter, options);
                    SubscribeReasonCode::Success(options.qos)
                }
            });
        }
        self.send(Packet::SubAck(SubAck { pkid: subscribe.pkid, return_codes }, None))
    }

    /// A packet names no more filters than a session may have: each is looked for among all.
    fn check_count(&self, filters: usize) -> Result<(), Close> {
        if filters > self.broker.limits.filters_per_session { Err(Close::Filters(filters)) } else { Ok(()) }
    }

    fn refuse_filter(&self, filter: &str) -> Option<SubscribeReasonCode> {
        if topic::check_filter(filter, &self.broker.limits).is_err() {
            return Some(SubscribeReasonCode::TopicFilterInvalid);
        }
        let plain = Share::of(filter).map_or(filter, |share| share.filter);
        if !self.admission.user.subject.may_subscribe(plain) {
            return Some(SubscribeReasonCode::NotAuthorized);
        }
        let full = self.kept.subscriptions.len() >= self.broker.limits.filters_per_session;
        (full && !self.is_subscribed(filter)).then_some(SubscribeReasonCode::QuotaExceeded)
    }

    fn refused_filter(&self, code: SubscribeReasonCode) -> SubscribeReasonCode {
        let what = match code {
            SubscribeReasonCode::NotAuthorized => crate::meters::Refused::SubscribeNotAuthorized,
            _ => crate::meters::Refused::SubscribeInvalid,
        };
        self.broker.meters.refused(what).add(1);
        if self.admission.version == Version::V5 { code } else { SubscribeReasonCode::Failure }
    }

    fn is_subscribed(&self, filter: &str) -> bool {
        self.kept.subscriptions.iter().any(|known| **known == *filter)
    }

    /// From the next message on the subscription holds; those before it come, if they are retained, in the backlog.
    fn add_subscription(&mut self, filter: Filter, options: Options) {
        let known = self.is_subscribed(&filter.path);
        let since = self.broker.router.flow.next_number();
        self.broker.subscribers.subscribe(&filter.path, &self.kept.inbox, options, since);
        let retained = match filter.retain_forward_rule {
            _ if Share::of(&filter.path).is_some() => false,
            RetainForwardRule::OnEverySubscribe => true,
            RetainForwardRule::OnNewSubscribe => !known,
            RetainForwardRule::Never => false,
        };
        let filter: Box<str> = filter.path.into();
        if !known {
            self.kept.subscriptions.reserve_exact(1);
            self.kept.subscriptions.push(filter.clone());
        }
        if retained {
            self.kept.backlog.retain(|old| old.filter != filter);
            self.kept.backlog.push_back(Backlog { filter, options, after: None });
        }
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), Close> {
        if unsubscribe.filters.is_empty() {
            return Err(Close::Protocol("an UNSUBSCRIBE without a filter"));
        }
        self.check_count(unsubscribe.filters.len())?;
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            let place = self.kept.subscriptions.iter().position(|known| **known == *filter);
            reasons.push(match place {
                Some(place) => {
                    self.kept.subscriptions.swap_remove(place);
                    self.broker.subscribers.unsubscribe(&filter, &self.kept.inbox);
                    self.kept.backlog.retain(|old| *old.filter != *filter);
                    UnsubAckReason::Success
                }
                None => UnsubAckReason::NoSubscriptionExisted,
            });
        }
        self.send(Packet::UnsubAck(UnsubAck { pkid: unsubscribe.pkid, reasons }, None))
    }
}

fn check_properties(properties: &PublishProperties) -> Result<(), Close> {
    if !properties.subscription_identifiers.is_empty() {
        return Err(Close::Protocol("a PUBLISH with a subscription identifier"));
    }
    let response_topic = properties.response_topic.as_deref().unwrap_or("x");
    if response_topic.is_empty() || response_topic.contains(['+', '#']) {
        return Err(Close::Protocol("a response topic with a wildcard"));
    }
    Ok(())
}

fn options(filter: &Filter, identifier: Option<u32>) -> Options {
    Options {
        qos: min_qos(filter.qos, QoS::AtLeastOnce),
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        identifier,
    }
}

impl Refused {
    fn code(&self) -> PubAckReason {
        match self {
            Self::NotAuthorized(_) => PubAckReason::NotAuthorized,
            Self::Full => PubAckReason::QuotaExceeded,
        }
    }

    fn meter(&self) -> crate::meters::Refused {
        match self {
            Self::NotAuthorized(_) => crate::meters::Refused::PublishNotAuthorized,
            Self::Full => crate::meters::Refused::PublishQuota,
        }
    }
}

impl From<Refused> for Close {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotAuthorized(topic) => Self::NotAuthorized(topic),
            Refused::Full => Self::Quota("there is no room to retain a message"),
        }
    }
}
