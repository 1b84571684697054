//! One connection, from its first byte to its last: a task that reads, checks, passes on and writes.
//!
//! It serves any stream: TCP, TLS, WebSocket, memory. Nothing a client sends goes further before it was checked:
//! packets in [`crate::packet`], the CONNECT in [`crate::admission`], publishes and subscriptions in `inbound`. A
//! client that is connected costs the broker no more than one packet that has not come whole, 64 KiB and one
//! packet that wait for its socket, and references to the messages in its window and its inbox, both of which are
//! bounded. One that takes nothing for too long is closed. Whoever is idle holds no buffers.

mod absence;
mod acks;
mod greeting;
mod inbound;
mod input;
mod outbound;
mod output;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttd::protocol::Packet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::admission::{Admission, Will};
use crate::broker::Broker;
use crate::close::Close;
use crate::entrance::Visitor;
use crate::inbox::Call;
use crate::kept::Kept;
use crate::packet::next_frame;
use crate::registry::Claim;
use acks::Acks;
use greeting::greet;
use input::poll_read;
use output::Output;

/// How long a session that has nothing to look for sleeps.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// Serves one connection until it ends.
pub(crate) async fn serve<S>(broker: Arc<Broker>, mut stream: S, visitor: Visitor)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut input = BytesMut::new();
    // On the heap, so that it is gone when the session begins.
    let greeting = Box::pin(greet(&broker, &mut stream, &mut input, &visitor)).await;
    let Visitor { peer, half_open, open, .. } = visitor;
    drop(half_open);
    let Some((admission, claim)) = greeting else { return };
    tracing::debug!(%peer, client = admission.client_id, "connected");
    Session::new(broker, admission, &claim, input).run(claim, stream, peer).await;
    drop(open);
}

/// A client that was let in.
pub(crate) struct Session {
    broker: Arc<Broker>,
    admission: Admission,
    /// What outlives the connection.
    kept: Kept,
    /// The client goes on with a former session.
    resumed: bool,
    input: BytesMut,
    /// The input may hold whole packets, which wait until the router has room.
    held: bool,
    /// When this session last asked the router for room.
    asked_room: Option<u64>,
    output: Output,
    acks: Acks,
    /// The topics that the client gave numbers to.
    aliases: Vec<Bytes>,
    heard: Instant,
    /// Since when the client has taken nothing of what waits: no byte while the output is full, no acknowledgement
    /// given while the window is.
    stalled: Option<Instant>,
}

impl Session {
    fn new(broker: Arc<Broker>, admission: Admission, claim: &Claim, input: BytesMut) -> Self {
        let kept = Kept::new(Arc::clone(&claim.inbox), admission.deliveries);
        Self {
            broker,
            admission,
            kept,
            resumed: false,
            input,
            held: false,
            asked_room: None,
            output: Output::default(),
            acks: Acks::default(),
            aliases: Vec::new(),
            heard: Instant::now(),
            stalled: None,
        }
    }

    async fn run<S>(mut self, mut claim: Box<Claim>, mut stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        if let Some(former) = claim.resumed.take() {
            self.resume(former);
        }
        let close = match self.talk(&mut stream).await {
            Err(close) => close,
            Ok(never) => match never {},
        };
        let client = self.admission.client_id.as_str();
        match close.is_fault() {
            true => tracing::warn!(%peer, client, reason = %close, "a session was closed"),
            false => tracing::debug!(%peer, client, reason = %close, "disconnected"),
        }
        Box::pin(self.end(close, claim, stream)).await;
    }

    /// Goes on where the client left. A session's name holds its user's role and id, so what it may is the same.
    fn resume(&mut self, mut former: Kept) {
        former.window.resume(self.admission.deliveries);
        former.watch = None;
        self.kept = former;
        self.broker.subscribers.gather(&self.kept.subscriptions, &self.kept.inbox);
        self.resumed = true;
    }

    async fn talk<S>(&mut self, stream: &mut S) -> Result<Infallible, Close>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.send(self.admission.connack(self.resumed, &self.broker.limits))?;
        let mut alarm = pin!(sleep_until(self.deadline()));
        loop {
            self.acknowledge()?;
            self.handle_frames()?;
            if self.deliver()? {
                yield_now().await;
            }
            self.note_stall();
            let deadline = self.deadline();
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            poll_fn(|cx| self.poll_event(cx, stream, alarm.as_mut())).await?;
        }
    }

    /// Writes what waits, and is ready when there is something else to do.
    fn poll_event<S>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        mut alarm: Pin<&mut Sleep>,
    ) -> Poll<Result<(), Close>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let was_full = self.output.is_full();
        if let Poll::Ready(written) = self.output.poll_write(Pin::new(stream), cx) {
            self.broker.meters.bytes_out.add(written.map_err(Close::Lost)? as u64);
            if was_full {
                self.stalled = None;
                self.note_stall();
            }
        }
        let room = was_full && !self.output.is_full();
        if room || (!self.kept.backlog.is_empty() && self.takes()) || self.acks.poll_ready(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        match self.kept.inbox.poll_call(cx, self.takes()) {
            Poll::Ready(Call::Mail) => return Poll::Ready(Ok(())),
            Poll::Ready(Call::Overflow(lost)) => return Poll::Ready(Err(Close::Slow(lost))),
            Poll::Ready(Call::Farewell(farewell)) => return Poll::Ready(Err(farewell.into())),
            Poll::Pending => {}
        }
        if self.poll_input(cx, stream)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        while alarm.as_mut().poll(cx).is_ready() {
            self.check_alive()?;
            alarm.as_mut().reset(self.deadline());
        }
        Poll::Pending
    }

    /// Ready when more has come, or may be read again. While nothing is read nobody is silent.
    fn poll_input<S>(&mut self, cx: &mut Context<'_>, stream: &mut S) -> Poll<Result<(), Close>>
    where
        S: AsyncRead + Unpin,
    {
        if !self.has_room() {
            self.heard = Instant::now();
            return Poll::Pending;
        }
        if self.held || !self.broker.router.flow.has_room() {
            self.heard = Instant::now();
            return self.broker.router.flow.poll_room(cx, &mut self.asked_room).map(Ok);
        }
        poll_read(stream, &mut self.input, cx).map(|read| {
            self.broker.meters.bytes_in.add(read.map_err(Close::Lost)? as u64);
            self.heard = Instant::now();
            Ok(())
        })
    }

    fn handle_frames(&mut self) -> Result<(), Close> {
        while self.has_room() {
            self.held = !self.broker.router.flow.has_room();
            if self.held {
                break;
            }
            let Some(frame) = next_frame(&mut self.input, self.broker.limits.packet_bytes)? else { break };
            let packet = self.admission.version.read(frame)?;
            self.handle(packet)?;
            // Before what it published may come back to it.
            self.acknowledge()?;
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(())
    }

    /// Whether there is room for the answers to what would be read.
    fn has_room(&self) -> bool {
        !self.output.is_full() && self.acks.len() < usize::from(self.broker.limits.inflight)
    }

    /// Whether another message may be taken for the client.
    fn takes(&self) -> bool {
        !self.output.is_full() && !self.kept.window.is_full()
    }

    fn note_stall(&mut self) {
        match self.takes() {
            true => self.stalled = None,
            false => {
                self.stalled.get_or_insert_with(Instant::now);
            }
        }
    }

    /// When the client has been silent, or stalled, for too long.
    fn deadline(&self) -> Instant {
        let silent = self.admission.silence.map(|silence| self.heard + silence);
        let stalled = self.stalled.map(|stalled| stalled + self.broker.limits.stall_wait);
        silent.into_iter().chain(stalled).min().unwrap_or_else(|| Instant::now() + FAR)
    }

    fn check_alive(&self) -> Result<(), Close> {
        if self.admission.silence.is_some_and(|silence| self.heard.elapsed() >= silence) {
            return Err(Close::Silent);
        }
        if self.stalled.is_some_and(|stalled| stalled.elapsed() >= self.broker.limits.stall_wait) {
            return Err(Close::Stalled);
        }
        Ok(())
    }

    /// Puts a packet behind what waits for the socket, unless it is longer than the client takes.
    fn send(&mut self, packet: Packet) -> Result<(), Close> {
        let tail = self.output.tail();
        let before = tail.len();
        self.admission.version.write(packet, tail)?;
        if tail.len() - before > self.admission.packet_bytes {
            tail.truncate(before);
        }
        Ok(())
    }

    /// Publishes the will or keeps it, says goodbye, and keeps the session or ends it. The client id is free for the
    /// next connection when that is done.
    async fn end<S: AsyncWrite + Unpin>(mut self, close: Close, claim: Box<Claim>, mut stream: S) {
        close.refused().inspect(|what| self.broker.meters.refused(*what).add(1));
        match &close {
            Close::Left { session_expiry_s: Some(changed), .. } => self.admission.session_expiry_s = *changed,
            Close::Barred => self.admission.session_expiry_s = 0,
            _ => {}
        }
        let expiry_s = self.admission.session_expiry_s;
        self.kept.will = self.admission.will.take().filter(|_| close.publishes_will());
        let waits = |will: &mut Will| expiry_s > 0 && !will.delay.is_zero();
        if let Some(will) = self.kept.will.take_if(|will| !waits(will)) {
            absence::publish_will(&self.broker, will);
        }
        if !matches!(close, Close::Lost(_)) {
            if let Some(disconnect) = close.disconnect(self.admission.version) {
                let _ = self.send(disconnect);
            }
            self.output.finish(&mut stream).await;
        }
        if expiry_s == 0 {
            return self.kept.end(&self.broker);
        }
        self.kept.absence = self.broker.next_serial();
        self.kept.inbox.detach();
        self.kept.pass_on_shared(&self.broker, true);
        self.kept.watch(&self.broker, &self.admission.client_id, expiry_s);
        claim.keep(self.kept);
    }
}
