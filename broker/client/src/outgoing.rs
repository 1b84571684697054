//! What waits to be sent, what is under way, and what a lost connection gives back. Pure.
//!
//! A message is in one of three places, in the order in which it was given: `waiting`, `handed` to rumqttc (which
//! has not said its packet id yet), or `unacked` under its packet id. QoS 1 messages return to the front of
//! `waiting` when the connection is lost; a state that was overtaken by a newer one for its topic does not.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The most messages that wait.
pub const QUEUE_MESSAGES_MAX: usize = 20_000;

/// The most bytes of payload that wait.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most QoS 1 messages under way at once.
pub(crate) const UNACKED_MAX: usize = 64;

/// How a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Retained, QoS 1. While it waits, a later one for the same topic takes its place.
    State,
    /// QoS 1.
    Message,
    /// QoS 0: lost with the connection.
    Reading,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    pub topic: String,
    pub payload: Bytes,
    pub sig: Option<String>,
    pub delivery: Delivery,
    /// What the owner calls it, if it wants to know of the broker's answer.
    pub number: Option<u64>,
}

/// What the owner asks for, in the order in which it asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    Publish(Outgoing),
    Subscribe(String),
    Unsubscribe(String),
}

pub(crate) struct Queue {
    /// In the order in which they were asked for: brokers send what they retained in the order of a subscription.
    filters: Vec<String>,
    /// By place: what is given back goes before the first, what is new after the last.
    waiting: BTreeMap<i64, Request>,
    waiting_bytes: usize,
    /// Where the state of a topic waits.
    states: BTreeMap<String, i64>,
    handed: VecDeque<Outgoing>,
    /// By the order of sending, so that a lost connection gives them back in it.
    unacked: BTreeMap<u64, (u16, Outgoing)>,
    sent: u64,
}

impl Queue {
    pub fn new(filters: Vec<String>) -> Self {
        let (waiting, states) = (BTreeMap::new(), BTreeMap::new());
        let (handed, unacked) = (VecDeque::new(), BTreeMap::new());
        Self { filters, waiting, waiting_bytes: 0, states, handed, unacked, sent: 0 }
    }

    /// What to subscribe to on a new connection.
    pub fn filters(&self) -> impl Iterator<Item = &String> {
        self.filters.iter()
    }

    /// Takes a request; false if there is no room for it.
    pub fn put(&mut self, request: Request) -> bool {
        match &request {
            Request::Subscribe(filter) if self.filters.contains(filter) => {}
            Request::Subscribe(filter) => self.filters.push(filter.clone()),
            Request::Unsubscribe(filter) => self.filters.retain(|known| known != filter),
            Request::Publish(publish) => self.forget_overtaken(publish),
        }
        if self.waiting.len() >= QUEUE_MESSAGES_MAX || self.waiting_bytes + size(&request) > QUEUE_BYTES_MAX {
            return false;
        }
        let last = self.waiting.last_key_value().map_or(0, |(place, _)| *place);
        self.wait(last + 1, request);
        true
    }

    fn forget_overtaken(&mut self, publish: &Outgoing) {
        if publish.delivery == Delivery::State
            && let Some(place) = self.states.get(&publish.topic)
        {
            self.leave(*place);
        }
    }

    fn wait(&mut self, place: i64, request: Request) {
        self.waiting_bytes += size(&request);
        if let Some(topic) = state(&request) {
            self.states.insert(topic.to_owned(), place);
        }
        self.waiting.insert(place, request);
    }

    /// A request waits again, before all else, if nothing newer has taken its place.
    fn give_back(&mut self, request: Request) {
        if state(&request).is_none_or(|topic| !self.states.contains_key(topic)) {
            let first = self.waiting.first_key_value().map_or(0, |(place, _)| *place);
            self.wait(first - 1, request);
        }
    }

    fn leave(&mut self, place: i64) -> Option<Request> {
        let request = self.waiting.remove(&place)?;
        self.waiting_bytes -= size(&request);
        if let Some(topic) = state(&request) {
            self.states.remove(topic);
        }
        Some(request)
    }

    /// The next request to hand on, while there is room under way. What cannot be handed on comes back by
    /// [`Queue::put_back`].
    pub fn next(&mut self) -> Option<Request> {
        if self.unacked.len() + self.handed.len() >= UNACKED_MAX {
            return None;
        }
        let first = *self.waiting.first_key_value()?.0;
        let request = self.leave(first)?;
        if let Request::Publish(publish) = &request {
            self.handed.push_back(publish.clone());
        }
        Some(request)
    }

    /// The request that [`Queue::next`] gave last could not be handed on.
    pub fn put_back(&mut self, request: Request) {
        if matches!(request, Request::Publish(_)) {
            self.handed.pop_back();
        }
        self.give_back(request);
    }

    /// The oldest message handed on was sent under this packet id; 0 for QoS 0.
    pub fn sent(&mut self, packet_id: u16) {
        if let Some(publish) = self.handed.pop_front()
            && packet_id != 0
        {
            self.sent += 1;
            self.unacked.insert(self.sent, (packet_id, publish));
        }
    }

    /// The broker answered this packet id; what it was for.
    pub fn acked(&mut self, packet_id: u16) -> Option<Outgoing> {
        let at = *self.unacked.iter().find(|(_, (id, _))| *id == packet_id)?.0;
        self.unacked.remove(&at).map(|(_, publish)| publish)
    }

    /// The connection is lost: what was under way waits again, before all else.
    pub fn disconnected(&mut self) {
        // The new connection subscribes to all filters that hold now.
        self.waiting.retain(|_, request| matches!(request, Request::Publish(_)));
        let under_way = std::mem::take(&mut self.unacked).into_values().map(|(_, publish)| publish);
        let again: Vec<_> = under_way.chain(std::mem::take(&mut self.handed)).collect();
        for publish in again.into_iter().rev().filter(|publish| publish.delivery != Delivery::Reading) {
            self.give_back(Request::Publish(publish));
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.handed.is_empty() && self.unacked.is_empty()
    }
}

/// The topic whose state it is.
fn state(request: &Request) -> Option<&str> {
    match request {
        Request::Publish(Outgoing { topic, delivery: Delivery::State, .. }) => Some(topic),
        _ => None,
    }
}

fn size(request: &Request) -> usize {
    match request {
        Request::Publish(publish) => publish.payload.len(),
        Request::Subscribe(_) | Request::Unsubscribe(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(topic: &str, text: &str, delivery: Delivery) -> Request {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        Request::Publish(Outgoing { topic: topic.into(), payload, sig: None, delivery, number: None })
    }

    fn texts(queue: &mut Queue) -> Vec<String> {
        let text = |request| match request {
            Request::Publish(publish) => String::from_utf8(publish.payload.to_vec()).unwrap(),
            other => format!("{other:?}"),
        };
        std::iter::from_fn(|| queue.next()).map(text).collect()
    }

    #[test]
    fn what_was_under_way_is_sent_again_first_and_in_order() {
        let mut queue = Queue::new(Vec::new());
        for text in ["1", "2", "3", "4"] {
            queue.put(publish("t", text, Delivery::Message));
        }
        queue.put(publish("t", "reading", Delivery::Reading));
        for packet_id in [1, 2, 3] {
            queue.next();
            queue.sent(packet_id);
        }
        queue.next();
        assert_eq!(queue.acked(2).map(|publish| publish.topic), Some("t".into()));
        queue.disconnected();
        assert_eq!(texts(&mut queue), ["1", "3", "4", "reading"]);
    }

    #[test]
    fn a_state_that_was_overtaken_is_not_sent() {
        let mut queue = Queue::new(Vec::new());
        queue.put(publish("s", "old", Delivery::State));
        queue.put(publish("m", "m", Delivery::Message));
        queue.put(publish("s", "new", Delivery::State));
        assert_eq!(texts(&mut queue), ["m", "new"]);
        queue.sent(1);
        queue.sent(2);
        queue.put(publish("s", "newest", Delivery::State));
        queue.disconnected();
        assert_eq!(texts(&mut queue), ["m", "newest"]);
    }

    #[test]
    fn a_full_queue_of_states_takes_a_newer_one_of_each() {
        let mut queue = Queue::new(Vec::new());
        for round in ["old", "new"] {
            for n in 0..QUEUE_MESSAGES_MAX {
                assert!(queue.put(publish(&format!("s/{n}"), round, Delivery::State)));
            }
        }
        assert_eq!(queue.waiting_bytes, QUEUE_MESSAGES_MAX * "new".len());
        let first = queue.next().unwrap();
        queue.put_back(first);
        assert_eq!((queue.states.len(), texts(&mut queue).len()), (QUEUE_MESSAGES_MAX, UNACKED_MAX));
    }

    #[test]
    fn a_full_queue_says_so_and_keeps_what_it_has() {
        let mut queue = Queue::new(Vec::new());
        for _ in 0..QUEUE_MESSAGES_MAX {
            assert!(queue.put(publish("t", "x", Delivery::Message)));
        }
        assert!(!queue.put(publish("t", "x", Delivery::Message)));
        assert!(!queue.put(Request::Subscribe("f".into())));
        assert_eq!(texts(&mut queue).len(), UNACKED_MAX);
    }

    #[test]
    fn filters_outlive_the_connection_in_the_order_in_which_they_were_asked_for() {
        let mut queue = Queue::new(vec!["status".into(), "a".into()]);
        for filter in ["b", "avail", "b"] {
            queue.put(Request::Subscribe(filter.into()));
        }
        queue.put(Request::Unsubscribe("a".into()));
        queue.disconnected();
        assert_eq!(queue.filters().collect::<Vec<_>>(), ["status", "b", "avail"]);
        assert!(queue.is_idle());
    }

    #[test]
    fn readings_are_not_held_back_by_acknowledgements_that_never_come() {
        let mut queue = Queue::new(Vec::new());
        for _ in 0..UNACKED_MAX + 1 {
            queue.put(publish("t", "r", Delivery::Reading));
            queue.next();
            queue.sent(0);
        }
        assert!(queue.is_idle());
    }
}
