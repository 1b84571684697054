//! What is on its way through the router, in order.
//!
//! Each message has a number, one more than the one before. It is kept here until the router has handed it back.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rumqttd::local::LinkTx;
use rumqttd::protocol::{Packet, Publish};

use super::{ROUTER_BYTES, TOPIC};
use crate::lock::lock;
use crate::message::Message;

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
    /// Bytes on their way, to be looked at without the lock.
    bytes: AtomicUsize,
}

#[derive(Default)]
struct State {
    tx: Option<LinkTx>,
    on_way: VecDeque<Bytes>,
    /// The number of the first of them.
    first: u64,
    /// The number of the first message that the present router got.
    base: u64,
    waiting: Vec<Waker>,
}

impl Flow {
    /// Sends a message on its way. Waits for nothing; see [`Flow::has_room`].
    pub(crate) fn publish(&self, message: Message) {
        let body = message.body().clone();
        self.bytes.fetch_add(body.len(), Ordering::Relaxed);
        let mut state = lock(&self.state);
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
        self.bytes.load(Ordering::Relaxed) < ROUTER_BYTES
    }

    /// Ready when there is room.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if self.has_room() {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
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
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            let waiting = if self.has_room() { std::mem::take(&mut state.waiting) } else { Vec::new() };
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
