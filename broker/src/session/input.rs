//! Bytes from a client's socket.
//!
//! Who sends nothing holds no buffer: the first bytes are read into one on the stack. Only what is left of a packet
//! that has not come whole is kept.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Room for each read.
const READ_BYTES: usize = 16 << 10;

/// Appends what has come to `input` and returns how much; the end of the stream is an error.
pub(super) fn poll_read<S>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>>
where
    S: AsyncRead + Unpin,
{
    let count = if input.is_empty() {
        let mut stack = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut stack);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        *input = BytesMut::from(buffer.filled());
        buffer.filled().len()
    } else {
        // A packet that has begun has its room already: to ask for more would move what is there.
        if input.len() == input.capacity() {
            input.reserve(READ_BYTES);
        }
        // It keeps nothing between two polls.
        ready!(pin!(stream.read_buf(input)).poll(cx))?
    };
    Poll::Ready(if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_comes_in_pieces_is_put_together_and_the_end_is_an_error() {
        let (mut ours, mut theirs) = tokio::io::duplex(100_000);
        let sent: Vec<u8> = (0..50_000_u32).map(|i| (i % 251) as u8).collect();
        theirs.write_all(&sent).await.unwrap();
        drop(theirs);
        let mut input = BytesMut::new();
        let error = loop {
            match poll_fn(|cx| poll_read(&mut ours, &mut input, cx)).await {
                Ok(count) => assert!(count > 0),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(input == sent);
    }
}
