//! The first packet of a connection, and who is let in on it.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::input::poll_read;
use super::output::Output;
use crate::access::Unknown;
use crate::admission::{Admission, Refusal};
use crate::broker::Broker;
use crate::close::Close;
use crate::entrance::Visitor;
use crate::packet::{First, IncomingConnect, ReadError, Version, next_frame};
use crate::registry::Claim;

/// Hears a CONNECT and decides; nothing if the client is not let in, which it was told.
pub(super) async fn greet<S>(
    broker: &Arc<Broker>,
    stream: &mut S,
    input: &mut BytesMut,
    visitor: &Visitor,
) -> Option<(Admission, Box<Claim>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let peer = visitor.peer;
    let (version, refusal) = match visitor.in_time(read_first(broker, stream, input)).await {
        Some(Ok(First::Connect(connect))) => match admit(broker, *connect, visitor).await {
            Ok(admitted) => return Some(admitted),
            Err(refused) => refused,
        },
        Some(Ok(First::Unsupported(level))) => {
            (if level < 5 { Version::V4 } else { Version::V5 }, Refusal::Version(level))
        }
        Some(Err(close)) => {
            tracing::debug!(%peer, reason = %close, "no CONNECT came");
            return None;
        }
        None => {
            tracing::debug!(%peer, "no CONNECT came in time");
            return None;
        }
    };
    tracing::info!(%peer, reason = %refusal, "a client was refused");
    broker.meters.refused(refusal.refused()).add(1);
    let mut output = Output::default();
    if version.write(refusal.connack(version), output.tail()).is_ok() {
        output.finish(stream).await;
    }
    None
}

async fn read_first<S>(broker: &Broker, stream: &mut S, input: &mut BytesMut) -> Result<First, Close>
where
    S: AsyncRead + Unpin,
{
    loop {
        if input.first().is_some_and(|first| *first != 0x10) {
            return Err(ReadError::Type(input.first().copied().unwrap_or_default()).into());
        }
        if let Some(frame) = next_frame(input, broker.limits.connect_bytes)? {
            return Ok(Version::read_connect(frame)?);
        }
        let read = poll_fn(|cx| poll_read(stream, input, cx)).await.map_err(Close::Lost)?;
        broker.meters.bytes_in.add(read as u64);
    }
}

async fn admit(
    broker: &Arc<Broker>,
    connect: IncomingConnect,
    Visitor { peer, certificate, .. }: &Visitor,
) -> Result<(Admission, Box<Claim>), (Version, Refusal)> {
    let version = connect.version;
    let refused = |refusal| (version, refusal);
    let (client_id, login) = (&connect.connect.client_id, connect.login.as_ref());
    let user = broker.access.identify(client_id, login, certificate, peer.ip()).await;
    let user = user.map_err(|unknown| refused(unknown.into()))?;
    let serial = broker.next_serial();
    let admission = Admission::decide(connect, Arc::clone(&user), serial, &broker.limits).map_err(refused)?;
    let claim = broker.registry.claim(&admission.client_id, admission.clean_start, serial, &user).await;
    let mut claim = claim.map_err(|_| refused(Refusal::Busy))?;
    for ended in claim.ended.drain(..) {
        ended.end(broker);
    }
    // Who came too late to be barred by a changed access file is refused here.
    if !broker.access.holds(&user) {
        claim.resumed.take().into_iter().for_each(|kept| kept.end(broker));
        return Err(refused(Unknown::Nobody.into()));
    }
    broker.meters.connects.add(1);
    Ok((admission, Box::new(claim)))
}
