//! Acknowledgements that a client waits for, given in the order of its publishes.
//!
//! A retained message is acknowledged when it is on disk, and whatever was published after it waits for that.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rumqttd::protocol::PubAckReason;

use crate::retained::Ticket;

/// The outcome of a publish, now or later.
#[derive(Debug)]
pub(crate) enum Outcome {
    Known(PubAckReason),
    Written(Ticket),
}

#[derive(Debug, Default)]
pub(crate) struct Acks {
    queue: VecDeque<(u16, Outcome)>,
}

impl Acks {
    pub(crate) fn push(&mut self, pkid: u16, outcome: Outcome) {
        self.queue.push_back((pkid, outcome));
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The next acknowledgement, if its outcome is known and it is its turn.
    pub(crate) fn pop(&mut self) -> Option<(u16, PubAckReason)> {
        match self.queue.front()? {
            (pkid, Outcome::Known(reason)) => {
                let ack = (*pkid, *reason);
                self.queue.pop_front();
                if self.queue.is_empty() {
                    self.queue = VecDeque::new();
                }
                Some(ack)
            }
            (_, Outcome::Written(_)) => None,
        }
    }

    /// Ready when [`Acks::pop`] gives something.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((_, outcome)) = self.queue.front_mut() else { return Poll::Pending };
        if let Outcome::Written(ticket) = outcome {
            *outcome = Outcome::Known(match ready!(Pin::new(ticket).poll(cx)) {
                Ok(Ok(())) => PubAckReason::Success,
                Ok(Err(_)) | Err(_) => PubAckReason::QuotaExceeded,
            });
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::retained::Unwritten;

    async fn ready(acks: &mut Acks) {
        std::future::poll_fn(|cx| acks.poll_ready(cx)).await;
    }

    #[tokio::test]
    async fn acknowledgements_keep_the_order_of_publishes_whatever_the_disk_does() {
        let mut acks = Acks::default();
        let (first_done, first) = oneshot::channel();
        let (third_done, third) = oneshot::channel();
        acks.push(1, Outcome::Written(first));
        acks.push(2, Outcome::Known(PubAckReason::NotAuthorized));
        acks.push(3, Outcome::Written(third));
        third_done.send(Err(Unwritten)).unwrap();
        assert_eq!(acks.pop(), None);
        first_done.send(Ok(())).unwrap();
        ready(&mut acks).await;
        assert_eq!(acks.pop(), Some((1, PubAckReason::Success)));
        ready(&mut acks).await;
        assert_eq!(acks.pop(), Some((2, PubAckReason::NotAuthorized)));
        ready(&mut acks).await;
        assert_eq!(acks.pop(), Some((3, PubAckReason::QuotaExceeded)));
        assert_eq!(acks.len(), 0);
    }

    #[tokio::test]
    async fn a_store_that_closed_has_not_written() {
        let mut acks = Acks::default();
        let (done, ticket) = oneshot::channel();
        acks.push(1, Outcome::Written(ticket));
        drop(done);
        ready(&mut acks).await;
        assert_eq!(acks.pop(), Some((1, PubAckReason::QuotaExceeded)));
    }
}
