//! What waits for one session, whether its client is connected or not.
//!
//! Bounded in messages and bytes. When it is full the oldest message of QoS 0 gives way; when there is none, the new
//! message is refused. A connected client for which one of QoS 1 is refused is closed, so that it knows; one that is
//! away has been away for too long. Both are counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rumqttd::protocol::QoS;

use crate::access::Reader;
use crate::lock::lock;
use crate::message::Message;
use crate::meters::{Dropped, Meters};

/// A queue that grew beyond this gives its room back when it is empty.
const KEPT_MESSAGES: usize = 32;

/// While all inboxes together are full, this part of an inbox's bounds holds.
const SHARE: usize = 64;

/// What a place in an inbox takes.
const PLACE_BYTES: u64 = size_of::<Delivery>() as u64;

/// How much may wait in one inbox, and in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub messages: usize,
    pub bytes: usize,
    /// Bytes in all of them: each message once, and a place for each client that it waits for.
    pub all_bytes: usize,
}

/// A message's bytes, which count as waiting for as long as anybody holds them.
struct Waiting {
    body: Bytes,
    meters: Arc<Meters>,
}

/// A message whose bytes count as waiting: once, however many have it, until the last of them lets it go.
pub(crate) fn waiting(message: &Message, meters: &Arc<Meters>) -> Message {
    meters.queued_bytes.add(message.size_bytes() as u64);
    let body = message.body().clone();
    message.with_body(Bytes::from_owner(Waiting { body, meters: Arc::clone(meters) }))
}

/// A message on its way to one client.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub message: Message,
    pub qos: QoS,
    pub retain: bool,
    /// The client's numbers for the subscriptions that matched.
    pub identifiers: Vec<u32>,
    /// The shared subscription through which it came, as it was subscribed to.
    pub share: Option<Arc<str>>,
    /// It came straight to a client that was connected.
    pub live: bool,
}

/// Why a session should look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// It has mail.
    Mail,
    /// So many messages of QoS 1 had to be refused.
    Overflow(u64),
    Farewell(Farewell),
}

/// Why a session that did nothing wrong must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    TakenOver,
    /// Its user is not, or no longer so, in the access file.
    Barred,
    Stopping,
}

/// A session as others see it.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Tells sessions apart; later ones have higher numbers.
    pub(crate) serial: u64,
    /// Its client's role and fleet, which stay the same.
    pub(crate) reader: Reader,
    bounds: Bounds,
    meters: Arc<Meters>,
    /// Messages that its client has got and not acknowledged.
    unacknowledged: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those of each QoS, with their numbers in the order of both: so what gives way is found at once.
    qos0: VecDeque<(u64, Delivery)>,
    qos1: VecDeque<(u64, Delivery)>,
    next_number: u64,
    bytes: usize,
    /// A client is connected.
    attached: bool,
    /// The client waits for mail, not just for a farewell.
    hungry: bool,
    waker: Option<Waker>,
    overflow: u64,
    farewell: Option<Farewell>,
}

impl Inbox {
    pub(crate) fn new(serial: u64, reader: Reader, bounds: Bounds, meters: Arc<Meters>) -> Self {
        Self { serial, reader, bounds, meters, unacknowledged: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// A client has come for what is here.
    pub(crate) fn attach(&self) {
        let mut state = lock(&self.state);
        state.attached = true;
        state.farewell = None;
        state.overflow = 0;
    }

    /// It has left.
    pub(crate) fn detach(&self) {
        let mut state = lock(&self.state);
        state.attached = false;
        state.hungry = false;
        state.waker = None;
    }

    /// Puts a message in, or gives it back if there is no room.
    pub(crate) fn push(&self, mut delivery: Delivery) -> Result<(), Delivery> {
        let bounds = self.present_bounds();
        let mut state = lock(&self.state);
        let bytes = delivery.message.size_bytes();
        while !state.has_room(bytes, bounds) {
            if state.take_oldest_qos0().is_none() {
                if delivery.qos != QoS::AtMostOnce && state.attached && delivery.share.is_none() {
                    state.overflow += 1;
                    let waker = state.waker.take();
                    drop(state);
                    waker.into_iter().for_each(Waker::wake);
                }
                return Err(delivery);
            }
            self.count_out(1);
            self.meters.dropped(Dropped::QueueFullQos0).add(1);
        }
        delivery.live &= state.attached;
        state.put(delivery);
        self.meters.queued_messages.add(1);
        self.meters.queued_bytes.add(PLACE_BYTES);
        let waker = if state.hungry { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The same, where a refusal is a loss.
    pub(crate) fn push_or_drop(&self, delivery: Delivery) {
        if let Err(refused) = self.push(delivery) {
            let why = match refused.qos {
                QoS::AtMostOnce => Dropped::QueueFullQos0,
                _ => Dropped::QueueFullQos1,
            };
            self.meters.dropped(why).add(1);
        }
    }

    /// The oldest message.
    pub(crate) fn pop(&self) -> Option<Delivery> {
        let mut state = lock(&self.state);
        let delivery = state.take_oldest();
        match &delivery {
            Some(delivery) => {
                let to_be_acknowledged = usize::from(delivery.qos != QoS::AtMostOnce);
                self.unacknowledged.fetch_add(to_be_acknowledged, Ordering::Relaxed);
                self.count_out(1);
            }
            None => state.shrink(),
        }
        delivery
    }

    /// Drops what waits, and tells how many that were.
    pub(crate) fn clear(&self) -> usize {
        std::iter::from_fn(|| self.pop()).count()
    }

    /// How many wait for a client that is connected, or for its acknowledgement; nothing if none is.
    pub(crate) fn load(&self) -> Option<usize> {
        let state = lock(&self.state);
        state.attached.then(|| state.len() + self.unacknowledged.load(Ordering::Relaxed))
    }

    /// The client has so many that it has not acknowledged.
    pub(crate) fn note_unacknowledged(&self, count: usize) {
        self.unacknowledged.store(count, Ordering::Relaxed);
    }

    /// Takes out what came at QoS 1 through the shared subscriptions that are meant.
    pub(crate) fn take_shared(&self, is_meant: impl Fn(&str) -> bool) -> Vec<Delivery> {
        let mut state = lock(&self.state);
        let (shared, own): (VecDeque<_>, _) =
            state.qos1.drain(..).partition(|(_, delivery)| delivery.share.as_deref().is_some_and(&is_meant));
        state.qos1 = own;
        let shared: Vec<_> = shared.into_iter().map(|(_, delivery)| delivery).collect();
        state.bytes -= shared.iter().map(|delivery| delivery.message.size_bytes()).sum::<usize>();
        self.count_out(shared.len() as u64);
        shared
    }

    /// Tells the session to go.
    pub(crate) fn call(&self, farewell: Farewell) {
        let mut state = lock(&self.state);
        state.farewell = Some(farewell);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ready when the session should look up; for mail only if it is `hungry`.
    pub(crate) fn poll_call(&self, cx: &Context<'_>, hungry: bool) -> Poll<Call> {
        let mut state = lock(&self.state);
        if let Some(farewell) = state.farewell {
            return Poll::Ready(Call::Farewell(farewell));
        }
        if state.overflow > 0 {
            return Poll::Ready(Call::Overflow(state.overflow));
        }
        if hungry && state.len() > 0 {
            return Poll::Ready(Call::Mail);
        }
        state.hungry = hungry;
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn present_bounds(&self) -> Bounds {
        let Bounds { messages, bytes, all_bytes } = self.bounds;
        match self.meters.queued_bytes.get() < all_bytes as u64 {
            true => self.bounds,
            false => Bounds { messages: messages / SHARE, bytes: bytes / SHARE, all_bytes },
        }
    }

    fn count_out(&self, places: u64) {
        self.meters.queued_messages.sub(places);
        self.meters.queued_bytes.sub(places * PLACE_BYTES);
    }
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.meters.queued_bytes.sub(self.body.len() as u64);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.clear();
    }
}

impl State {
    fn len(&self) -> usize {
        self.qos0.len() + self.qos1.len()
    }

    /// A message always fits into an empty queue.
    fn has_room(&self, bytes: usize, bounds: Bounds) -> bool {
        self.len() == 0 || (self.len() < bounds.messages && self.bytes + bytes <= bounds.bytes)
    }

    fn put(&mut self, delivery: Delivery) {
        self.bytes += delivery.message.size_bytes();
        let queue = if delivery.qos == QoS::AtMostOnce { &mut self.qos0 } else { &mut self.qos1 };
        queue.push_back((self.next_number, delivery));
        self.next_number += 1;
    }

    fn take_oldest(&mut self) -> Option<Delivery> {
        let number =
            |queue: &VecDeque<(u64, Delivery)>| queue.front().map_or(u64::MAX, |(number, _)| *number);
        if number(&self.qos0) < number(&self.qos1) {
            return self.take_oldest_qos0();
        }
        let (_, delivery) = self.qos1.pop_front()?;
        self.bytes -= delivery.message.size_bytes();
        Some(delivery)
    }

    fn take_oldest_qos0(&mut self) -> Option<Delivery> {
        let (_, delivery) = self.qos0.pop_front()?;
        self.bytes -= delivery.message.size_bytes();
        Some(delivery)
    }

    /// Gives the room of an empty queue back.
    fn shrink(&mut self) {
        for queue in [&mut self.qos0, &mut self.qos1] {
            if queue.capacity() > KEPT_MESSAGES {
                *queue = VecDeque::new();
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn delivery(name: &str, qos: QoS) -> Delivery {
    let message = crate::message::sample(name, "");
    Delivery { message, qos, retain: false, identifiers: Vec::new(), share: None, live: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn inbox(messages: usize, bytes: usize) -> Inbox {
        Inbox::new(1, Role::Center.into(), Bounds { messages, bytes, all_bytes: usize::MAX }, Arc::default())
    }

    fn push(inbox: &Inbox, name: &str, qos: QoS) -> bool {
        inbox.push(delivery(name, qos)).is_ok()
    }

    fn names(inbox: &Inbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.pop()).map(|delivery| delivery.message.topic().to_owned()).collect()
    }

    fn poll(inbox: &Inbox, hungry: bool) -> Poll<Call> {
        inbox.poll_call(&Context::from_waker(Waker::noop()), hungry)
    }

    #[test]
    fn when_full_the_oldest_of_qos_0_give_way_and_then_the_new_is_refused() {
        let inbox = inbox(3, usize::MAX);
        let (zero, one) = (QoS::AtMostOnce, QoS::AtLeastOnce);
        assert!(push(&inbox, "a", one) && push(&inbox, "b", zero) && push(&inbox, "c", zero));
        assert!(push(&inbox, "d", one) && push(&inbox, "e", one));
        assert!(!push(&inbox, "f", one) && !push(&inbox, "g", zero));
        assert_eq!(inbox.meters.dropped(Dropped::QueueFullQos0).get(), 2);
        assert_eq!(inbox.meters.queued_messages.get(), 3);
        assert_eq!(names(&inbox), ["a", "d", "e"]);
        assert_eq!((inbox.meters.queued_messages.get(), inbox.meters.queued_bytes.get()), (0, 0));
    }

    #[test]
    fn messages_of_both_qos_come_in_the_order_in_which_they_were_put() {
        let inbox = inbox(9, usize::MAX);
        for (i, qos) in [0, 1, 1, 0, 0, 1, 0].into_iter().enumerate() {
            push(&inbox, &i.to_string(), if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce });
        }
        assert_eq!(names(&inbox), ["0", "1", "2", "3", "4", "5", "6"]);
    }

    #[test]
    fn the_oldest_of_qos_0_give_way_also_behind_many_of_qos_1() {
        let inbox = inbox(60_100, usize::MAX);
        let fill = |count, qos| (0..count).for_each(|_| assert!(push(&inbox, "a", qos)));
        fill(60_000, QoS::AtLeastOnce);
        fill(100, QoS::AtMostOnce);
        fill(20_000, QoS::AtMostOnce);
        assert_eq!(inbox.meters.dropped(Dropped::QueueFullQos0).get(), 20_000);
    }

    #[test]
    fn bytes_are_bounded_too_but_one_message_always_fits() {
        let one = delivery("x", QoS::AtLeastOnce).message.size_bytes();
        let inbox = inbox(100, 2 * one);
        assert!(push(&inbox, "a", QoS::AtLeastOnce) && push(&inbox, "b", QoS::AtLeastOnce));
        assert!(!push(&inbox, "c", QoS::AtLeastOnce));
        assert_eq!(names(&inbox), ["a", "b"]);
        assert!(push(&inbox, &"long".repeat(100), QoS::AtLeastOnce));
    }

    #[test]
    fn while_all_inboxes_together_are_full_each_has_a_small_share() {
        let meters = Arc::<Meters>::default();
        let bounds = Bounds { messages: 2 * SHARE, bytes: usize::MAX, all_bytes: 2_000 };
        let inboxes =
            [1, 2].map(|serial| Inbox::new(serial, Role::Center.into(), bounds, Arc::clone(&meters)));
        let [greedy, modest] = &inboxes;
        while meters.queued_bytes.get() < 2_000 {
            assert!(push(greedy, "a", QoS::AtLeastOnce));
        }
        assert!(!push(greedy, "a", QoS::AtLeastOnce));
        assert!(push(modest, "a", QoS::AtLeastOnce) && push(modest, "a", QoS::AtLeastOnce));
        assert!(!push(modest, "a", QoS::AtLeastOnce));
        names(greedy);
        assert!(push(modest, "a", QoS::AtLeastOnce));
    }

    #[test]
    fn only_a_connected_client_is_told_that_one_of_qos_1_was_refused() {
        let inbox = inbox(1, usize::MAX);
        assert!(push(&inbox, "a", QoS::AtLeastOnce) && !push(&inbox, "b", QoS::AtLeastOnce));
        inbox.attach();
        assert_eq!(poll(&inbox, true), Poll::Ready(Call::Mail));
        assert!(!push(&inbox, "c", QoS::AtMostOnce));
        assert_eq!(poll(&inbox, false), Poll::Pending);
        assert!(!push(&inbox, "d", QoS::AtLeastOnce));
        assert_eq!(poll(&inbox, false), Poll::Ready(Call::Overflow(1)));
        inbox.call(Farewell::Stopping);
        assert_eq!(poll(&inbox, true), Poll::Ready(Call::Farewell(Farewell::Stopping)));
    }

    #[test]
    fn an_inbox_that_is_dropped_takes_what_waits_off_the_meters() {
        let meters = Arc::<Meters>::default();
        let inbox = Inbox::new(
            1,
            Role::Center.into(),
            Bounds { messages: 9, bytes: usize::MAX, all_bytes: usize::MAX },
            Arc::clone(&meters),
        );
        push(&inbox, "a", QoS::AtLeastOnce);
        drop(inbox);
        assert_eq!((meters.queued_messages.get(), meters.queued_bytes.get()), (0, 0));
    }
}
