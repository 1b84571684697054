//! A session while its client is away, and its end.
//!
//! What was subscribed to goes on to be queued; what belongs to a shared group goes to others at once. A will with a
//! delay is published when that is over, or the session; whichever comes first.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::admission::{FOREVER_S, Will};
use crate::broker::Broker;
use crate::kept::{Kept, Watch};
use crate::meters::Dropped;

impl Kept {
    /// Gives what came through shared subscriptions to other members; what nobody takes stays, if the session does.
    pub(super) fn pass_on_shared(&mut self, broker: &Broker, stays: bool) {
        let mut left = self.window.take_shared();
        left.extend(self.inbox.take_shared(|_| true));
        for delivery in left {
            if broker.subscribers.pass_on(&delivery, &self.inbox) {
                continue;
            }
            match stays {
                true => self.inbox.push_or_drop(delivery),
                false => broker.meters.dropped(Dropped::NoMember).add(1),
            }
        }
    }

    /// Ends the session: its will is published, and nothing of it is left.
    pub(crate) fn end(mut self, broker: &Broker) {
        if let Some(will) = self.will.take() {
            publish_will(broker, will);
        }
        for filter in &self.subscriptions {
            broker.subscribers.unsubscribe(filter, &self.inbox);
        }
        self.pass_on_shared(broker, false);
        if self.inbox.load().is_none() {
            let held = self.inbox.clear() + self.window.len();
            broker.meters.dropped(Dropped::SessionEnded).add(held as u64);
        }
    }

    /// Does in time what is due while the client is away.
    pub(super) fn watch(&mut self, broker: &Arc<Broker>, client_id: &str, expiry_s: u32) {
        let now = Instant::now();
        let expiry = Duration::from_secs(expiry_s.into());
        let will_at = self.will.as_ref().map(|will| now + will.delay.min(expiry));
        let ends_at = (expiry_s != FOREVER_S).then(|| now + expiry);
        if will_at.is_some() || ends_at.is_some() {
            // A session that is kept keeps no broker.
            let (broker, client_id) = (Arc::downgrade(broker), client_id.to_owned());
            let watching = tokio::spawn(watch(broker, client_id, self.absence, will_at, ends_at));
            self.watch = Some(Watch(watching.abort_handle()));
        }
    }
}

async fn watch(
    broker: Weak<Broker>,
    client_id: String,
    absence: u64,
    will_at: Option<Instant>,
    ends_at: Option<Instant>,
) {
    if let Some(will_at) = will_at {
        sleep_until(will_at).await;
        let Some(broker) = broker.upgrade() else { return };
        if let Some(will) = broker.registry.with_kept(&client_id, absence, |kept| kept.will.take()) {
            publish_will(&broker, will);
        }
    }
    if let Some(ends_at) = ends_at {
        sleep_until(ends_at).await;
        let Some(broker) = broker.upgrade() else { return };
        if let Some(kept) = broker.registry.take_kept(&client_id, absence) {
            kept.end(&broker);
        }
    }
}

/// It was checked when the client connected.
pub(super) fn publish_will(broker: &Broker, will: Will) {
    broker.meters.messages_in.add(1);
    if broker.publish(will.message.clone()).is_err() {
        tracing::warn!("a will was published but not retained: there is no room");
        broker.router.flow.publish(will.message);
    }
}
