//! QoS 1 messages on their way to a client, acknowledged in any order.
//!
//! They outlive the connection, with their packet ids: to a client that comes back they are sent again, in their
//! order and as duplicates, before anything new.

use std::collections::{BTreeMap, VecDeque};

use rumqttd::protocol::QoS;

use crate::inbox::Delivery;

/// Bytes on their way to one client, beyond which the next message waits.
const WINDOW_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct Window {
    /// With the place of each in the order in which they were sent.
    unacked: BTreeMap<u16, (u64, Delivery)>,
    /// Those that this connection has not yet sent.
    again: VecDeque<u16>,
    /// Bytes of all that is not acknowledged.
    bytes: usize,
    last: u16,
    sent: u64,
    max: u16,
}

impl Window {
    pub(crate) fn new(max: u16) -> Self {
        Self { unacked: BTreeMap::new(), again: VecDeque::new(), bytes: 0, last: 0, sent: 0, max }
    }

    /// For a client that came back, with what it takes now.
    pub(crate) fn resume(&mut self, max: u16) {
        let mut order: Vec<_> = self.unacked.iter().map(|(pkid, (place, _))| (*place, *pkid)).collect();
        order.sort_unstable();
        self.again = order.into_iter().map(|(_, pkid)| pkid).collect();
        self.max = max;
    }

    pub(crate) fn is_full(&self) -> bool {
        let sent = self.unacked.len() - self.again.len();
        sent >= usize::from(self.max) || (sent > 0 && self.bytes >= WINDOW_BYTES)
    }

    pub(crate) fn len(&self) -> usize {
        self.unacked.len()
    }

    /// The next one to be sent again.
    pub(crate) fn take_again(&mut self) -> Option<(u16, Delivery)> {
        let pkid = self.again.pop_front()?;
        let (_, delivery) = self.unacked.get(&pkid)?;
        Some((pkid, delivery.clone()))
    }

    /// Keeps a message under a packet id that is not in use, never 0; nothing if there is none.
    pub(crate) fn take(&mut self, delivery: &Delivery) -> Option<u16> {
        if self.unacked.len() >= usize::from(u16::MAX) {
            return None;
        }
        // There is a free id, so this ends.
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.unacked.contains_key(&self.last) {
                break;
            }
        }
        self.sent += 1;
        self.bytes += delivery.message.size_bytes();
        self.unacked.insert(self.last, (self.sent, delivery.clone()));
        Some(self.last)
    }

    /// Frees an id; false if it is not in use, which is no matter, as the client may repeat itself.
    pub(crate) fn release(&mut self, pkid: u16) -> bool {
        let Some((_, delivery)) = self.unacked.remove(&pkid) else { return false };
        self.bytes -= delivery.message.size_bytes();
        if !self.again.is_empty() {
            self.again.retain(|other| *other != pkid);
        }
        true
    }

    /// Takes out what came through a shared subscription.
    pub(crate) fn take_shared(&mut self) -> Vec<Delivery> {
        let shared = |(_, (_, delivery)): &(u16, (u64, Delivery))| delivery.share.is_some();
        let (shared, own): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unacked).into_iter().partition(shared);
        self.unacked = own.into_iter().collect();
        self.bytes = self.unacked.values().map(|(_, delivery)| delivery.message.size_bytes()).sum();
        self.again.retain(|pkid| self.unacked.contains_key(pkid));
        shared
            .into_iter()
            .map(|(_, (_, delivery))| delivery)
            .filter(|left| left.qos != QoS::AtMostOnce)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn delivery() -> Delivery {
        crate::inbox::delivery("a", QoS::AtLeastOnce)
    }

    #[test]
    fn ids_are_never_zero_nor_in_use_and_acknowledged_in_any_order() {
        let mut window = Window::new(3);
        let take = |window: &mut Window| window.take(&delivery());
        assert_eq!([take(&mut window), take(&mut window), take(&mut window)], [Some(1), Some(2), Some(3)]);
        assert!(window.is_full());
        window.release(2);
        window.release(2);
        window.release(9);
        assert!(!window.is_full());
        assert_eq!(take(&mut window), Some(4));
        window.last = u16::MAX;
        window.release(3);
        assert_eq!(take(&mut window), Some(2), "0 is skipped, and 1 is in use");
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_in_its_order_and_no_more_than_the_client_takes() {
        let mut window = Window::new(10);
        window.last = u16::MAX - 2;
        for name in ["a", "b", "c", "d"] {
            window.take(&crate::inbox::delivery(name, QoS::AtLeastOnce));
        }
        window.release(u16::MAX);
        window.resume(2);
        let mut again =
            || window.take_again().map(|(pkid, delivery)| (pkid, delivery.message.topic().to_owned()));
        assert_eq!(again(), Some((u16::MAX - 1, "a".into())));
        assert_eq!(again(), Some((1, "c".into())));
        assert!(window.is_full());
        window.release(2);
        assert_eq!(
            window.take_again().map(|(pkid, _)| pkid),
            None,
            "it was acknowledged before it was sent again"
        );
    }

    #[test]
    fn what_is_a_groups_is_taken_out_alone() {
        let mut window = Window::new(10);
        window.take(&delivery());
        window.take(&Delivery { share: Some(Arc::from("$share/g/a")), ..delivery() });
        assert_eq!(window.take_shared().len(), 1);
        assert_eq!((window.unacked.len(), window.take_shared().len()), (1, 0));
    }

    #[test]
    fn long_messages_fill_it_before_their_count_does_but_one_always_fits() {
        let mut window = Window::new(100);
        let half = crate::inbox::delivery(&"x".repeat(WINDOW_BYTES / 2), QoS::AtLeastOnce);
        let first = window.take(&half).unwrap();
        assert!(!window.is_full());
        window.take(&half);
        assert!(window.is_full());
        window.release(first);
        assert!(!window.is_full());
        window.take(&half);
        window.resume(100);
        assert!(!window.is_full(), "none of it was sent on this connection");
        assert!(window.take_again().is_some() && window.is_full());
    }

    #[test]
    fn the_largest_window_fills_and_ends() {
        let mut window = Window::new(u16::MAX);
        assert!((0..u16::MAX).all(|_| window.take(&delivery()).is_some()));
        assert!(window.is_full());
        assert_eq!(window.take(&delivery()), None);
    }
}
