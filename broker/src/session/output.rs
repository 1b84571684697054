//! Bytes on their way to a client's socket.
//!
//! Small packets are gathered; a long payload is not copied but shared with all who get it. What is empty holds no
//! memory.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::time::timeout;

use crate::message::Message;

/// Bytes that wait for a client's socket before nothing more is read or taken for it.
const OUT_BYTES: usize = 64 << 10;
/// From this length on a payload is shared.
const SHARED_BYTES: usize = 2 << 10;
/// Pieces that are written at once.
const PIECES: usize = 32;
/// How long the last packets of a session may take.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Bytes>,
    /// Their bytes.
    bytes: usize,
    tail: BytesMut,
    /// Something was written since the last flush.
    unflushed: bool,
}

impl Output {
    /// Where packets are appended.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends a message's payload.
    pub(super) fn put_payload(&mut self, message: &Message) {
        if message.payload().len() < SHARED_BYTES {
            return self.tail.extend_from_slice(message.payload());
        }
        let (head, payload) = (self.tail.split().freeze(), message.payload_bytes());
        self.bytes += head.len() + payload.len();
        self.pieces.extend([head, payload]);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes + self.tail.len() >= OUT_BYTES
    }

    /// Writes what the socket takes and returns how much, once all of it is written or the socket takes no more.
    /// Pending only if nothing was written.
    pub(super) fn poll_write<S>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite,
    {
        let mut total = 0;
        while !self.is_empty() {
            match self.poll_write_once(stream.as_mut(), cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.advance(written);
                    self.unflushed = true;
                    total += written;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if total == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(total)),
            }
        }
        if self.unflushed {
            self.unflushed = stream.poll_flush(cx)?.is_pending();
        }
        if total == 0 { Poll::Pending } else { Poll::Ready(Ok(total)) }
    }

    /// Says the last words and ends the stream, if the client still listens.
    pub(super) async fn finish<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) {
        let _ = timeout(FAREWELL_WAIT, poll_fn(|cx| self.poll_finish(Pin::new(stream), cx))).await;
    }

    /// Writes everything and ends the stream.
    fn poll_finish<S>(&mut self, mut stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite,
    {
        while !self.is_empty() {
            let written = ready!(self.poll_write_once(stream.as_mut(), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        stream.poll_shutdown(cx)
    }

    fn poll_write_once<S: AsyncWrite>(
        &self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return stream.poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); PIECES];
        let all = self.pieces.iter().map(|piece| &piece[..]).chain([&self.tail[..]]);
        for (slot, piece) in slices.iter_mut().zip(all.filter(|piece| !piece.is_empty())) {
            *slot = IoSlice::new(piece);
        }
        stream.poll_write_vectored(cx, &slices)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let from_this = written.min(piece.len());
            piece.advance(from_this);
            self.bytes -= from_this;
            written -= from_this;
            if !piece.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.tail.advance(written.min(self.tail.len()));
        if self.is_empty() {
            // Idle clients are many.
            self.pieces = VecDeque::new();
            self.tail = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::message::sample;

    #[tokio::test]
    async fn short_and_long_payloads_come_out_in_order_through_a_narrow_socket() {
        let (mut ours, mut theirs) = tokio::io::duplex(1_000);
        let mut output = Output::default();
        let mut expected = Vec::new();
        for (i, length) in [10, 3_000, 0, 2_048, 70_000, 5].into_iter().enumerate() {
            let payload = i.to_string().repeat(length);
            output.tail().extend_from_slice(&[0xff, i as u8]);
            output.put_payload(&sample("a", &payload));
            expected.extend([0xff, i as u8]);
            expected.extend(payload.bytes());
        }
        assert!(output.is_full());
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).await.unwrap();
            got
        });
        while !output.is_empty() {
            poll_fn(|cx| output.poll_write(Pin::new(&mut ours), cx)).await.unwrap();
        }
        assert_eq!((output.bytes, output.tail.capacity(), output.pieces.capacity()), (0, 0, 0));
        drop(ours);
        assert!(reading.await.unwrap() == expected);
    }

    #[test]
    fn with_nothing_to_write_it_waits() {
        let mut output = Output::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(output.poll_write(Pin::new(&mut tokio::io::empty()), &mut cx).is_pending());
    }
}
