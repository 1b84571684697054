//! MQTT over WebSocket: a stream of bytes out of binary frames and into them.
//!
//! Where a packet begins has nothing to do with where a frame does. A client must offer the subprotocol `mqtt`; text
//! frames end the connection. A browser says by `Origin` whose page it is that connects: where nobody proves who it is,
//! only pages of this machine may.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

const SUBPROTOCOL: &str = "mqtt";

/// Room for reading frames, in bytes.
const READ_BYTES: usize = 8 << 10;

/// The most bytes that one frame of ours carries.
const FRAME_BYTES: usize = 64 << 10;

/// What a client's frame may be longer than the longest packet: it may carry the end of one and the next.
const FRAME_EXTRA_BYTES: usize = 64 << 10;

/// A WebSocket connection as a stream of bytes.
pub(crate) struct WebSocket<S> {
    frames: WebSocketStream<S>,
    /// What is left of the last frame.
    rest: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Shakes hands; if `only_local`, with no page from elsewhere.
    pub(crate) async fn accept(stream: S, packet_bytes_max: usize, only_local: bool) -> io::Result<Self> {
        let frame_bytes_max = packet_bytes_max + FRAME_EXTRA_BYTES;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * FRAME_BYTES)
            .max_message_size(Some(frame_bytes_max))
            .max_frame_size(Some(frame_bytes_max));
        let choice = Choice { only_local };
        let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, choice, Some(config)).await;
        Ok(Self { frames: accepted.map_err(failed)?, rest: Bytes::new() })
    }
}

/// Takes the subprotocol, or says why not.
struct Choice {
    only_local: bool,
}

impl Callback for Choice {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let headers = request.headers();
        if self.only_local && headers.get_all(ORIGIN).iter().any(|origin| !is_local(origin)) {
            return Err(refusal(StatusCode::FORBIDDEN, "an open broker takes no pages from elsewhere\n"));
        }
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        if !offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL) {
            return Err(refusal(StatusCode::BAD_REQUEST, "offer the subprotocol mqtt\n"));
        }
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    }
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(why.to_owned()));
    *refusal.status_mut() = status;
    refusal
}

/// Whether an origin, `http://localhost:3000`, is on this machine.
fn is_local(origin: &HeaderValue) -> bool {
    let Ok(origin) = Uri::try_from(origin.as_bytes()) else { return false };
    let Some(host) = origin.host() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.frames).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    let error =
                        io::Error::new(io::ErrorKind::InvalidData, "a text frame instead of a binary one");
                    return Poll::Ready(Err(error));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let frame = bytes.get(..FRAME_BYTES).unwrap_or(bytes);
        ready!(Pin::new(&mut self.frames).poll_ready(context)).map_err(failed)?;
        let message = Message::Binary(Bytes::copy_from_slice(frame));
        Pin::new(&mut self.frames).start_send(message).map_err(failed)?;
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(context).map_err(failed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_close(context).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_local_by_its_host_alone() {
        for (origin, expected) in [
            ("http://localhost", true),
            ("https://localhost:3000", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://example.org", false),
            ("http://localhost.example.org", false),
            ("http://127.0.0.1.example.org", false),
            ("http://192.0.2.1", false),
            ("file://", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_local(&HeaderValue::from_static(origin)), expected, "{origin}");
        }
    }
}
