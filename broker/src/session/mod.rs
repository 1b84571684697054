//! One connection, from its first byte to its last: a task that reads, checks, passes on and writes.
//!
//! Nothing a client sends goes further before it was checked: packets in [`crate::packet`], the CONNECT in
//! [`crate::admission`], publishes and subscriptions in `inbound`. Nothing is kept for a client beyond [`OUT_BYTES`]
//! and its window: while they are full nothing is taken from the router, whose logs are the queue, and what falls out
//! of those is noticed as a gap. A client that takes nothing for too long is closed.

mod acks;
mod inbound;
mod outbound;
mod subscriptions;
mod window;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::protocol::Packet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use crate::admission::{Admission, Refusal};
use crate::broker::Broker;
use crate::close::Close;
use crate::message::Delivery;
use crate::packet::{First, IncomingConnect, ReadError, Version, next_frame};
use crate::registry::Claim;
use crate::router::Link;
use acks::Acks;
use inbound::Confirmation;
use outbound::Backlog;
use subscriptions::Subscriptions;
use window::Window;

/// Bytes that wait for a client's socket before nothing more is read or taken for it.
const OUT_BYTES: usize = 64 << 10;
/// Room for each read.
const READ_BYTES: usize = 8 << 10;
/// How long the last packets of a session may take.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);
/// How often a session looks whether its client is silent or stalled, at most.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Serves one connection until it ends. `admitting` is given back as soon as the client is let in.
pub(crate) async fn serve<S, P>(broker: Arc<Broker>, mut stream: S, peer: SocketAddr, admitting: P)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut input = BytesMut::new();
    let greeting = timeout(broker.limits.connect_wait, read_first(&broker, &mut stream, &mut input)).await;
    let (admission, claim) = match greeting {
        Ok(Ok(First::Connect(connect))) => match admit(&broker, *connect).await {
            Ok(admitted) => admitted,
            Err((version, refusal)) => return refuse(stream, peer, version, &refusal).await,
        },
        Ok(Ok(First::Unsupported(level))) => {
            let version = if level < 5 { Version::V4 } else { Version::V5 };
            return refuse(stream, peer, version, &Refusal::Version(level)).await;
        }
        Ok(Err(close)) => return tracing::debug!(%peer, reason = %close, "no CONNECT came"),
        Err(_) => return tracing::debug!(%peer, "no CONNECT came in time"),
    };
    drop(admitting);
    let Ok(link) = broker.router.link().await else { return };
    tracing::debug!(%peer, client = admission.client_id, "connected");
    let session = Session::new(broker, admission, link);
    session.run(claim, stream, input, peer).await;
}

async fn read_first<S>(broker: &Broker, stream: &mut S, input: &mut BytesMut) -> Result<First, Close>
where
    S: AsyncRead + Unpin,
{
    loop {
        if input.first().is_some_and(|first| *first != 0x10) {
            return Err(ReadError::Type(input.first().copied().unwrap_or_default()).into());
        }
        if let Some(frame) = next_frame(input, broker.limits.packet_bytes)? {
            return Ok(Version::read_connect(frame)?);
        }
        input.reserve(READ_BYTES);
        read(stream.read_buf(input).await)?;
    }
}

/// The end of the stream is an end like any other loss.
fn read(read: std::io::Result<usize>) -> Result<(), Close> {
    match read {
        Ok(0) => Err(Close::Lost(std::io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => Ok(()),
        Err(error) => Err(Close::Lost(error)),
    }
}

async fn admit(broker: &Broker, connect: IncomingConnect) -> Result<(Admission, Claim), (Version, Refusal)> {
    let version = connect.version;
    let refused = |refusal| (version, refusal);
    let admission = Admission::decide(connect, broker.next_serial(), &broker.limits).map_err(refused)?;
    let claim = broker.registry.claim(&admission.client_id).await.map_err(|_| refused(Refusal::Busy))?;
    Ok((admission, claim))
}

async fn refuse<S: AsyncWrite + Unpin>(mut stream: S, peer: SocketAddr, version: Version, refusal: &Refusal) {
    tracing::info!(%peer, reason = %refusal, "a client was refused");
    let mut out = BytesMut::new();
    if version.write(refusal.connack(version), &mut out).is_ok() {
        let _ = timeout(FAREWELL_WAIT, say_last(&mut stream, &mut out)).await;
    }
}

async fn say_last<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut BytesMut) -> std::io::Result<()> {
    stream.write_all_buf(out).await?;
    stream.shutdown().await
}

/// A client that was let in.
pub(crate) struct Session {
    broker: Arc<Broker>,
    admission: Admission,
    /// The number under which its messages pass the router.
    serial: u64,
    link: Link,
    out: BytesMut,
    subscriptions: Subscriptions,
    window: Window,
    acks: Acks,
    /// Answers to SUBSCRIBE and UNSUBSCRIBE that are given when the router has done it.
    confirming: VecDeque<Confirmation>,
    /// Retained messages still to be delivered.
    backlog: VecDeque<Backlog>,
    /// Messages that QoS 0 subscriptions lost because the client was slow.
    lost: u64,
    heard: Instant,
    /// Since when something waits that the client does not take.
    stalled: Option<Instant>,
}

impl Session {
    fn new(broker: Arc<Broker>, admission: Admission, link: Link) -> Self {
        let serial = broker.next_serial();
        let window = Window::new(admission.inflight);
        Self {
            broker,
            serial,
            link,
            window,
            admission,
            out: BytesMut::new(),
            subscriptions: Subscriptions::default(),
            acks: Acks::default(),
            confirming: VecDeque::new(),
            backlog: VecDeque::new(),
            lost: 0,
            heard: Instant::now(),
            stalled: None,
        }
    }

    async fn run<S>(mut self, mut claim: Claim, stream: S, mut input: BytesMut, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let close = match self.talk(&mut claim, &mut reader, &mut writer, &mut input).await {
            Err(close) => close,
            Ok(never) => match never {},
        };
        let client = self.admission.client_id.as_str();
        match close.is_fault() {
            true => tracing::warn!(%peer, client, reason = %close, "a session was closed"),
            false => tracing::debug!(%peer, client, reason = %close, "disconnected"),
        }
        self.end(&close, &mut writer).await;
        // The client id is free for the next connection when the will is out and the link is closed.
        drop(self);
        drop(claim);
    }

    async fn talk<S>(
        &mut self,
        claim: &mut Claim,
        reader: &mut ReadHalf<S>,
        writer: &mut WriteHalf<S>,
        input: &mut BytesMut,
    ) -> Result<std::convert::Infallible, Close>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.send(self.admission.connack(&self.broker.limits))?;
        let mut check = std::pin::pin!(sleep_until(self.next_check()));
        loop {
            self.acknowledge()?;
            self.handle_frames(input)?;
            self.deliver_backlog()?;
            self.note_stall();
            tokio::select! {
                farewell = claim.farewell() => return Err(farewell.into()),
                got = read_more(reader, input), if self.reads() => {
                    read(got)?;
                    self.heard = Instant::now();
                }
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                    written.map_err(Close::Lost)?;
                    self.shrink();
                }
                passed = self.link.next(), if self.takes() => {
                    self.take(passed?)?;
                    while self.takes() && let Some(passed) = self.link.try_next() {
                        self.take(passed?)?;
                    }
                }
                () = self.acks.ready() => {}
                () = std::future::ready(()), if self.takes() && !self.backlog.is_empty() => {}
                () = &mut check => {
                    self.check_alive()?;
                    check.as_mut().reset(self.next_check());
                }
            }
        }
    }

    fn handle_frames(&mut self, input: &mut BytesMut) -> Result<(), Close> {
        while self.reads()
            && let Some(frame) = next_frame(input, self.broker.limits.packet_bytes)?
        {
            let packet = self.admission.version.read(frame)?;
            self.handle(packet)?;
        }
        Ok(())
    }

    /// Whether anything more may be read: there is room for the answers.
    fn reads(&self) -> bool {
        let inflight = usize::from(self.broker.limits.inflight);
        self.out.len() < OUT_BYTES && self.acks.len() < inflight && self.confirming.len() < inflight
    }

    /// Whether another message may be taken for the client.
    fn takes(&self) -> bool {
        self.out.len() < OUT_BYTES && !self.window.is_full()
    }

    fn take(&mut self, passed: Option<Delivery>) -> Result<(), Close> {
        match passed {
            Some(delivery) => self.deliver_live(delivery),
            None => self.confirm(),
        }
    }

    /// Gives back the room of a long message when it is out.
    fn shrink(&mut self) {
        if self.out.is_empty() && self.out.capacity() > OUT_BYTES {
            self.out = BytesMut::new();
        }
    }

    fn note_stall(&mut self) {
        match self.takes() {
            true => self.stalled = None,
            false => {
                self.stalled.get_or_insert_with(Instant::now);
            }
        }
    }

    fn next_check(&self) -> Instant {
        let often = CHECK_EVERY.min(self.broker.limits.stall_wait);
        let silent = self.admission.silence.map(|silence| self.heard + silence);
        let next = Instant::now() + often;
        silent.map_or(next, |silent| next.min(silent))
    }

    fn check_alive(&self) -> Result<(), Close> {
        let since = |then: Instant| then.elapsed();
        if self.admission.silence.is_some_and(|silence| since(self.heard) >= silence) {
            return Err(Close::Silent);
        }
        if self.stalled.is_some_and(|stalled| since(stalled) >= self.broker.limits.stall_wait) {
            return Err(Close::Stalled);
        }
        Ok(())
    }

    /// Puts a packet behind what waits for the socket; false if it is longer than the client takes.
    fn send(&mut self, packet: Packet) -> Result<bool, Close> {
        let before = self.out.len();
        self.admission.version.write(packet, &mut self.out)?;
        let fits = self.out.len() - before <= self.admission.packet_bytes;
        if !fits {
            self.out.truncate(before);
        }
        Ok(fits)
    }

    /// Publishes the will if it is due, and says goodbye to whoever still listens.
    async fn end<S: AsyncWrite + Unpin>(&mut self, close: &Close, writer: &mut S) {
        if let Some(will) = self.admission.will.take().filter(|_| close.publishes_will())
            && let Err(refused) = self.pass_on(will)
        {
            let client = self.admission.client_id.as_str();
            tracing::warn!(client, reason = %refused, "a will was not published");
        }
        if matches!(close, Close::Lost(_)) {
            return;
        }
        if let Some(disconnect) = close.disconnect(self.admission.version) {
            let _ = self.send(disconnect);
        }
        let _ = timeout(FAREWELL_WAIT, say_last(writer, &mut self.out)).await;
    }
}

async fn read_more<S>(reader: &mut ReadHalf<S>, input: &mut BytesMut) -> std::io::Result<usize>
where
    S: AsyncRead,
{
    input.reserve(READ_BYTES);
    reader.read_buf(input).await
}
