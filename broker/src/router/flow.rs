//! What is on its way through the router, in order.
//!
//! Each message has a number, one more than the one before. It is kept here until the router has handed it back. When
//! there are too many, whoever publishes waits until half of them have come out: not for each, since thousands may
//! wait.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rumqttd::local::LinkTx;
use rumqttd::protocol::{Packet, Publish};

use crate::lock::lock;
use crate::message::Message;

/// What may be in the router before those who publish wait.
pub(super) const ROUTER_BYTES: usize = 4 << 20;
/// The only topic that the router knows.
pub(super) const TOPIC: &str = "m";

/// A message and its place among all.
#[derive(Debug)]
pub(crate) struct Stamped {
    pub number: u64,
    pub message: Message,
}

/// The router's end is gone.
#[derive(Debug, thiserror::Error)]
#[error("its thread has ended")]
pub(crate) struct Gone;

#[derive(Default)]
pub(crate) struct Flow {
    state: Mutex<State>,
    /// There was no room, and half has not come out yet; to be looked at without the lock.
    full: AtomicBool,
}

#[derive(Default)]
struct State {
    tx: Option<LinkTx>,
    on_way: VecDeque<Bytes>,
    /// Their bytes.
    bytes: usize,
    /// The number of the first of them.
    first: u64,
    /// The number of the first message that the present router got.
    base: u64,
    waiting: Vec<Waker>,
    /// Counts the times that all who waited were woken.
    woken: u64,
}

impl Flow {
    /// Sends a message on its way. Waits for nothing; see [`Flow::has_room`].
    pub(crate) fn publish(&self, message: Message) {
        let body = message.body().clone();
        let mut state = lock(&self.state);
        state.bytes += body.len();
        if state.bytes >= ROUTER_BYTES {
            self.full.store(true, Ordering::Relaxed);
        }
        state.on_way.push_back(body.clone());
        state.put(body);
    }

    /// The number that the next message gets.
    pub(crate) fn next_number(&self) -> u64 {
        let state = lock(&self.state);
        state.first + state.on_way.len() as u64
    }

    /// Whether more may be published now.
    pub(crate) fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    /// Ready when there is room. `asked` is kept by whoever waits, so that it waits only once.
    pub(crate) fn poll_room(&self, cx: &Context<'_>, asked: &mut Option<u64>) -> Poll<()> {
        let mut state = lock(&self.state);
        if self.has_room() {
            return Poll::Ready(());
        }
        if *asked != Some(state.woken) {
            *asked = Some(state.woken);
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Notes what the present router handed back, and delivers it, after whatever it may have left out before it.
    pub(super) fn came_out(&self, position: u64, body: Bytes, deliver: &mut impl FnMut(Stamped)) {
        let (first, bodies, waiting) = {
            let mut state = lock(&self.state);
            let first = state.first;
            // One that had come out of the router before this one is not there any more.
            let count = (state.base + position + 1).saturating_sub(first);
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(state.on_way.len());
            let left_out: Vec<Bytes> = state.on_way.drain(..count).take(count.saturating_sub(1)).collect();
            state.first += count as u64;
            let bytes =
                left_out.iter().map(Bytes::len).sum::<usize>() + if count > 0 { body.len() } else { 0 };
            state.bytes -= bytes;
            let waiting =
                if state.bytes < ROUTER_BYTES / 2 { self.make_room(&mut state) } else { Vec::new() };
            let last = (count > 0).then_some(body);
            (first, left_out.into_iter().chain(last), waiting)
        };
        for (number, body) in (first..).zip(bodies) {
            if let Some(message) = Message::open(body) {
                deliver(Stamped { number, message });
            }
        }
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Lets those who wait go on.
    fn make_room(&self, state: &mut State) -> Vec<Waker> {
        if self.full.swap(false, Ordering::Relaxed) {
            state.woken += 1;
        }
        std::mem::take(&mut state.waiting)
    }

    /// Goes on with another router, which gets all that has not come out.
    pub(super) fn renew(&self, tx: LinkTx) {
        let mut state = lock(&self.state);
        state.tx = Some(tx);
        state.base = state.first;
        for body in state.on_way.clone() {
            state.put(body);
        }
    }

    /// Makes the present router's thread panic, with what no message of ours ever is: a topic that is not ASCII.
    pub(crate) fn kill(&self) {
        let mut state = lock(&self.state);
        if let Some(mut tx) = state.tx.take() {
            let _ = send(&mut tx, Packet::Publish(Publish::new("ä", "", false), None));
        }
    }
}

impl State {
    /// Puts a message into the router's buffer; if it is gone, its successor gets the message.
    fn put(&mut self, body: Bytes) {
        let Some(tx) = &mut self.tx else { return };
        let packet = Packet::Publish(Publish::new(Bytes::from_static(TOPIC.as_bytes()), body, false), None);
        let mut buffer = tx.buffer();
        if buffer.is_empty() {
            drop(buffer);
            if send(tx, packet).is_err() {
                self.tx = None;
            }
        } else {
            // The router takes all at the event that announced the first.
            buffer.push_back(packet);
        }
    }
}

/// Puts a packet into the router's buffer and tells it.
pub(super) fn send(tx: &mut LinkTx, packet: Packet) -> Result<(), Gone> {
    // It is an async function that never waits.
    match pin!(tx.send(packet)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(_)) => Ok(()),
        _ => Err(Gone),
    }
}
