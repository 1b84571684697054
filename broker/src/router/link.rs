//! One link to the router: what a session tells it and hears from it.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PingReq, QoS, RetainForwardRule, Subscribe,
    SubscribeProperties, Unsubscribe,
};

use super::{Died, Slots};
use crate::lock::lock;
use crate::message::{Delivery, Message};

/// A session's end of the router. Dropping it closes it.
pub(crate) struct Link {
    pub(super) tx: LinkTx,
    pub(super) rx: LinkRx,
    pub(super) slot: usize,
    pub(super) slots: Arc<Mutex<Slots>>,
}

impl Link {
    /// Passes a message on to all who subscribed to it.
    pub(crate) fn publish(&mut self, message: Message) -> Result<(), Died> {
        self.send(message.into_router())
    }

    /// Subscribes; `subscription`, not 0, comes back in each [`Delivery`]. Messages of others may still overtake this,
    /// even such as they publish later: see [`Link::fence`].
    pub(crate) fn subscribe(&mut self, filter: String, subscription: usize) -> Result<(), Died> {
        let filter = Filter {
            path: filter,
            qos: QoS::AtMostOnce,
            nolocal: false,
            preserve_retain: false,
            retain_forward_rule: RetainForwardRule::Never,
        };
        let properties = SubscribeProperties { id: Some(subscription), user_properties: Vec::new() };
        self.send(Packet::Subscribe(Subscribe { pkid: 1, filters: vec![filter] }, Some(properties)))
    }

    /// Ends a subscription; what is on its way still arrives.
    pub(crate) fn unsubscribe(&mut self, filter: String) -> Result<(), Died> {
        self.send(Packet::Unsubscribe(Unsubscribe { pkid: 1, filters: vec![filter] }, None))
    }

    /// Asks for a fence, which [`Link::next`] gives once all that went before has taken effect. The router takes everything that a
    /// link has for it when the first of that has its turn, so links overtake each other.
    pub(crate) fn fence(&mut self) -> Result<(), Died> {
        self.send(Packet::PingReq(PingReq))
    }

    /// The next message, or nothing in place of a fence. Nothing is lost if this is dropped before it is done.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivery>, Died> {
        loop {
            match self.rx.next().await.map_err(|_| Died)? {
                Some(Notification::Forward(forward)) => {
                    if let Some(delivery) = Delivery::from_router(forward) {
                        return Ok(Some(delivery));
                    }
                }
                Some(ack @ Notification::DeviceAck(_)) => {
                    if let Some(Packet::PingResp(_)) = ack.into() {
                        return Ok(None);
                    }
                }
                // The router has handed over as much as it does at a time and waits to be called.
                Some(Notification::Unschedule) => self.rx.ready().map_err(|_| Died)?,
                Some(Notification::Disconnect(..)) => return Err(Died),
                _ => {}
            }
        }
    }

    /// The same if there is something at once.
    pub(crate) fn try_next(&mut self) -> Option<Result<Option<Delivery>, Died>> {
        match pin!(self.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(passed) => Some(passed),
            Poll::Pending => None,
        }
    }

    /// Blocks while the router has a thousand events before it; it never waits for us, so that is short.
    pub(super) fn send(&mut self, packet: Packet) -> Result<(), Died> {
        // It is an async function that never waits.
        match pin!(self.tx.send(packet)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(_)) => Ok(()),
            _ => Err(Died),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let reason_code = DisconnectReasonCode::NormalDisconnection;
        let _ = self.send(Packet::Disconnect(Disconnect { reason_code }, None));
        lock(&self.slots).free.push(self.slot);
    }
}
