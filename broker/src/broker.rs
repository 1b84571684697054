//! What all sessions share: the parts of the broker, and the one way in for a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::access::Access;
use crate::entrance::{Gate, Tls};
use crate::limits::Limits;
use crate::message::Message;
use crate::meters::Meters;
use crate::registry::Registry;
use crate::retained::{Full, Retained, Ticket};
use crate::router::Router;
use crate::subscribers::Subscribers;

/// What all sessions share. [`Broker::start`] gives one that listens.
pub struct Broker {
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    pub(crate) tls: Option<Tls>,
    pub(crate) gate: Gate,
    pub(crate) registry: Arc<Registry>,
    pub(crate) router: Router,
    pub(crate) subscribers: Arc<Subscribers>,
    pub(crate) retained: Retained,
    pub(crate) meters: Arc<Meters>,
    pub(crate) serial: AtomicU64,
}

impl Broker {
    /// Keeps a message if it is to be retained, and hands it to the router: see [`crate::retained`]. With QoS 1 the
    /// ticket says when it is on disk.
    pub(crate) fn publish(&self, message: Message) -> Result<Option<Ticket>, Full> {
        if message.retain() {
            return self.retained.put(message, |message| self.router.flow.publish(message));
        }
        self.router.flow.publish(message);
        Ok(None)
    }

    /// Tells something of the broker's own, below `$SYS`.
    pub(crate) fn publish_own(&self, message: Message) {
        self.retained.put_own(message.clone());
        self.router.flow.publish(message);
    }

    /// A number that was not given before; never 0.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}
