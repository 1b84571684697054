//! What a client is sent: what it has not acknowledged, what waits for it, and the retained messages that it
//! subscribed to.

use std::time::Duration;

use rumqttd::protocol::QoS;

use super::Session;
use crate::close::Close;
use crate::inbox::Delivery;
use crate::message::now_us;
use crate::meters::Dropped;
use crate::packet::PublishHead;
use crate::subscribers::min_qos;

/// Retained messages that are looked up at a time.
const PAGE: usize = 64;

impl Session {
    /// Takes what there is while the client does. True if it took long for little: then others should have their turn.
    pub(super) fn deliver(&mut self) -> Result<bool, Close> {
        while self.takes()
            && let Some((pkid, delivery)) = self.kept.window.take_again()
        {
            self.write_publish(&delivery, pkid, true);
        }
        while self.takes()
            && let Some(delivery) = self.kept.inbox.pop()
        {
            self.deliver_one(&delivery)?;
        }
        let brought_little = self.deliver_backlog()?;
        self.kept.inbox.note_unacknowledged(self.kept.window.len());
        Ok(brought_little)
    }

    /// Delivers a page of retained messages, and forgets a backlog that is through. True if more is to come and this
    /// page looked through much for little.
    fn deliver_backlog(&mut self) -> Result<bool, Close> {
        if !self.takes() {
            return Ok(false);
        }
        let Some(mut backlog) = self.kept.backlog.pop_front() else { return Ok(false) };
        let page = self.broker.retained.page(&backlog.filter, backlog.after.as_deref(), PAGE);
        let mut through = page.len() < PAGE;
        for message in page {
            if !self.takes() {
                through = false;
                break;
            }
            backlog.after = Some(message.topic().to_owned());
            let own = backlog.options.no_local && message.publisher() == self.kept.inbox.serial;
            if own || !self.kept.inbox.reader.may_receive(message.topic()) {
                continue;
            }
            let qos = min_qos(backlog.options.qos, message.qos());
            let identifiers = backlog.options.identifier.into_iter().collect();
            self.deliver_one(&Delivery {
                message,
                qos,
                retain: true,
                identifiers,
                share: None,
                live: false,
            })?;
        }
        if !through {
            self.kept.backlog.push_front(backlog);
        }
        Ok(!self.kept.backlog.is_empty() && (through || self.output.is_empty()))
    }

    fn deliver_one(&mut self, delivery: &Delivery) -> Result<(), Close> {
        let pkid = match delivery.qos {
            QoS::AtMostOnce => 0,
            _ => self
                .kept
                .window
                .take(delivery)
                .ok_or(Close::Protocol("no acknowledgement of 65,535 messages"))?,
        };
        self.write_publish(delivery, pkid, false);
        Ok(())
    }

    /// Writes a PUBLISH. One that has expired, or is longer than the client takes, counts as delivered.
    fn write_publish(&mut self, delivery: &Delivery, pkid: u16, dup: bool) {
        let message = &delivery.message;
        let version = self.admission.version;
        let now_us = now_us();
        let Ok(expiry_s) = message.left_s(now_us) else { return self.leave_out(pkid, Dropped::Expired) };
        let head = PublishHead {
            qos: delivery.qos,
            pkid,
            dup,
            retain: delivery.retain,
            topic: message.topic(),
            expiry_s,
            identifiers: &delivery.identifiers,
            properties: message.properties(),
            payload_bytes: message.payload().len(),
        };
        if head.packet_bytes(version) > self.admission.packet_bytes {
            return self.leave_out(pkid, Dropped::TooLong);
        }
        head.write(version, self.output.tail());
        self.output.put_payload(message);
        self.broker.meters.messages_out.add(1);
        if delivery.live && !dup {
            let took_us = now_us.saturating_sub(message.received_us());
            self.broker.meters.latency.note(Duration::from_micros(took_us));
        }
    }

    fn leave_out(&mut self, pkid: u16, why: Dropped) {
        self.kept.window.release(pkid);
        self.broker.meters.dropped(why).add(1);
    }
}
