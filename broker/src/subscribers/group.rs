//! A shared subscription: each message goes to one of those who joined. Each role of each fleet has groups of its
//! own, so nobody takes away what others may read.
//!
//! They take turns. Who has more than [`AHEAD`] messages before it, waiting or not acknowledged, is passed over while
//! another has less, so a member that is stuck holds nothing up. Who is not connected gets something only if nobody is,
//! and hands it to the first who comes. What a member leaves behind goes to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::subscriber::{Options, Subscriber, delivery};
use crate::access::Reader;
use crate::message::Message;

/// Messages that wait for a member, or for its acknowledgement, before others are preferred.
pub(super) const AHEAD: usize = 16;

#[derive(Debug)]
pub(super) struct Group {
    name: Box<str>,
    pub(super) reader: Reader,
    /// The filter as it was subscribed to.
    path: Arc<str>,
    members: Vec<Subscriber>,
    turn: AtomicUsize,
}

impl Group {
    pub(super) fn new(name: &str, reader: Reader, path: &str) -> Self {
        Self { name: name.into(), reader, path: path.into(), members: Vec::new(), turn: AtomicUsize::new(0) }
    }

    pub(super) fn is(&self, name: &str, reader: &Reader) -> bool {
        *self.name == *name && self.reader == *reader
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn members(&mut self) -> &mut Vec<Subscriber> {
        &mut self.members
    }

    /// Gives a message to the member who is best placed to take it, `leaving` excepted; false if nobody does.
    pub(super) fn give(&self, message: &Message, number: u64, leaving: Option<u64>) -> bool {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(self.members.len()).unwrap_or(0);
        let (after, first) = self.members.split_at(turn);
        let mut able: Vec<(usize, &Subscriber)> = first
            .iter()
            .chain(after)
            .filter(|member| member.since <= number && Some(member.inbox.serial) != leaving)
            .map(|member| (member.burden(), member))
            .collect();
        able.sort_by_key(|(burden, _)| *burden);
        able.iter().any(|(_, member)| self.hand(member, message, leaving.is_none()))
    }

    /// Hands what members that are away hold to one that has come, as far as it takes it.
    pub(super) fn gather(&self, come: u64) {
        let Some(come) = self.members.iter().find(|member| member.inbox.serial == come) else { return };
        for away in self.members.iter().filter(|member| member.inbox.load().is_none()) {
            for held in away.inbox.take_shared(|path| *path == *self.path) {
                if !self.hand(come, &held.message, false) {
                    away.inbox.push_or_drop(held);
                }
            }
        }
    }

    fn hand(&self, member: &Subscriber, message: &Message, live: bool) -> bool {
        let mut delivery = delivery(message, std::iter::once::<&Options>(&member.options));
        delivery.share = Some(Arc::clone(&self.path));
        delivery.live = live;
        member.inbox.push(delivery).is_ok()
    }
}

impl Subscriber {
    /// The less, the better placed.
    fn burden(&self) -> usize {
        match self.inbox.load() {
            Some(waiting) if waiting < AHEAD => 0,
            Some(waiting) => waiting,
            None => usize::MAX,
        }
    }
}
