//! Someone at the door, and how long it may stand there.

use std::net::{IpAddr, SocketAddr};

use tokio::time::{Instant, timeout_at};

use super::gate::{Crowded, HalfOpen};
use crate::broker::Broker;
use crate::places::Place;

/// Someone at the door, before its CONNECT.
pub(crate) struct Visitor {
    pub peer: SocketAddr,
    /// The names in its client certificate, which was verified.
    pub certificate: Vec<String>,
    /// To be given back when it is let in; on the heap, so that it takes no room in the task after that.
    pub half_open: Box<HalfOpen>,
    /// When its CONNECT must be whole.
    deadline: Instant,
    /// To be given back when it is gone.
    pub open: Place<IpAddr>,
}

impl Visitor {
    /// Someone without a certificate, as soon as another one may come in from there.
    pub(crate) async fn of(broker: &Broker, peer: SocketAddr) -> Result<Self, Crowded> {
        let (open, half_open) = broker.gate.enter(peer.ip()).await?;
        let deadline = Instant::now() + broker.limits.connect_wait;
        Ok(Self { peer, certificate: Vec::new(), half_open: Box::new(half_open), deadline, open })
    }

    /// What it does within its time; nothing when that is over, or when it must give way to another.
    pub(crate) async fn in_time<T>(&self, doing: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = timeout_at(self.deadline, doing) => done.ok(),
            () = self.half_open.gives_way() => None,
        }
    }
}
