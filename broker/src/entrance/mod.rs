//! The ways in: listeners for TCP, TLS, WebSocket and both, each with a task that does nothing but accept.
//!
//! Whatever takes a client's answer, a handshake or its CONNECT, happens in the connection's own task and within one
//! deadline. So nobody who connects and says nothing, or half of it, keeps others out: see [`gate`] for how many may.

mod gate;
mod tls;
mod visitor;
mod websocket;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

pub use tls::{ClientCertificate, TlsError, TlsFiles};

use crate::broker::Broker;
use crate::meters::Refused;
use crate::session;
pub(crate) use gate::Gate;
pub(crate) use tls::Tls;
pub(crate) use visitor::Visitor;
use websocket::WebSocket;

/// After an accept that failed, mostly for want of file descriptors, the next is tried this much later.
pub(crate) const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(100);

/// What MQTT travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket, `ws://`.
    WebSocket,
    /// WebSocket over TLS, `wss://`.
    SecureWebSocket,
}

impl Transport {
    /// As in a URL.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }
}

/// Where to listen, and for what: MQTT 3.1.1 and 5 on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// What MQTT travels in.
    pub transport: Transport,
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.scheme(), self.address)
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Accepts for ever.
pub(crate) async fn accept(socket: TcpListener, transport: Transport, broker: Arc<Broker>) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => receive(&broker, stream, peer, transport).await,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY_WAIT).await;
            }
        }
    }
}

/// Waits until another one may come in, and gives it a task of its own.
async fn receive(broker: &Arc<Broker>, stream: TcpStream, peer: SocketAddr, transport: Transport) {
    let Ok(visitor) = Visitor::of(broker, peer).await else {
        broker.meters.refused(Refused::Handshake).add(1);
        return tracing::debug!(%peer, "closed at once: as many connections from there as may be");
    };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let broker = Arc::clone(broker);
    match transport {
        Transport::Tcp => tokio::spawn(session::serve(broker, stream, visitor)),
        wrapped => tokio::spawn(serve(broker, stream, wrapped, visitor)),
    };
}

async fn serve(broker: Arc<Broker>, stream: TcpStream, transport: Transport, mut visitor: Visitor) {
    // On the heap, so that it is gone when the session begins.
    let handshake = Box::pin(shake_hands(&broker, stream, transport));
    match visitor.in_time(handshake).await {
        Some(Ok((stream, certificate))) => {
            visitor.certificate = certificate;
            session::serve(broker, stream, visitor).await;
        }
        Some(Err(error)) => tracing::debug!(peer = %visitor.peer, %error, "a handshake failed"),
        None => tracing::debug!(peer = %visitor.peer, "a handshake was not done in time"),
    }
}

async fn shake_hands(
    broker: &Broker,
    stream: TcpStream,
    transport: Transport,
) -> std::io::Result<(Box<dyn Stream>, Vec<String>)> {
    let (stream, certificate): (Box<dyn Stream>, _) = match (transport.is_encrypted(), &broker.tls) {
        (false, _) => (Box::new(stream), Vec::new()),
        (true, Some(tls)) => {
            let (stream, certificate) = tls.accept(stream).await?;
            (Box::new(stream), certificate)
        }
        (true, None) => return Err(std::io::Error::other("there is no certificate")),
    };
    if matches!(transport, Transport::WebSocket | Transport::SecureWebSocket) {
        let only_local = broker.access.is_open();
        let stream = WebSocket::accept(stream, broker.limits.packet_bytes, only_local).await?;
        return Ok((Box::new(stream), certificate));
    }
    Ok((stream, certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the task of a connection takes; its queues are on the heap, and empty while it is idle.
    const TASK_BYTES: usize = 2_560;

    fn task_bytes<F>(_: impl Fn(Arc<Broker>, TcpStream, Visitor) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_is_a_small_task() {
        let bytes = task_bytes(session::serve::<TcpStream>);
        assert!(bytes <= TASK_BYTES, "{bytes}");
    }
}
