//! MQTT packets on the wire: frames in, [`Incoming`] out, and the packets that we send.
//!
//! rumqttd's parsers do the reading and writing, but they reach `unreachable!()` on packet types that a client
//! must not send, and keep the QoS and packet id of a PUBLISH to themselves. So the frame is checked here first, and
//! those two are taken from its bytes. QoS 2 has no packets here: it is refused before any is needed.

use bytes::{Bytes, BytesMut};
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::v5::V5;
use rumqttd::protocol::{
    Connect, ConnectProperties, DisconnectReasonCode, LastWill, LastWillProperties, Packet, Protocol,
    Publish, PublishProperties, QoS, Subscribe, Unsubscribe,
};

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1
    V4,
    /// MQTT 5
    V5,
}

/// Bytes that are not what a client may send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("a packet of {0} bytes is too long")]
    TooLong(usize),
    #[error("a packet length of more than four bytes")]
    Length,
    #[error("a packet that begins with {0:#04x}")]
    Type(u8),
    #[error("a packet that is malformed: {0}")]
    Malformed(rumqttd::protocol::Error),
    #[error("a packet that is cut short")]
    Short,
}

/// What a client sends after its CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Publish(IncomingPublish),
    PubAck(u16),
    /// With the subscription identifier, if any.
    Subscribe(Subscribe, Option<usize>),
    Unsubscribe(Unsubscribe),
    PingReq,
    Disconnect {
        with_will: bool,
    },
}

/// A PUBLISH, with nothing hidden.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IncomingPublish {
    pub qos: QoS,
    /// 0 with QoS 0.
    pub pkid: u16,
    pub retain: bool,
    pub topic: Bytes,
    pub payload: Bytes,
    pub properties: Option<PublishProperties>,
}

/// A CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IncomingConnect {
    pub version: Version,
    pub connect: Connect,
    pub properties: Option<ConnectProperties>,
    pub will: Option<(LastWill, Option<LastWillProperties>)>,
}

/// The first packet of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First {
    Connect(Box<IncomingConnect>),
    /// A CONNECT of another protocol level than ours.
    Unsupported(u8),
}

/// Takes the next whole packet off `input`, or nothing if more bytes are needed.
pub(crate) fn next_frame(
    input: &mut BytesMut,
    packet_bytes_max: usize,
) -> Result<Option<BytesMut>, ReadError> {
    let Some(header) = header(input)? else { return Ok(None) };
    check_type(header.first)?;
    if header.remaining > packet_bytes_max {
        return Err(ReadError::TooLong(header.remaining));
    }
    let frame_bytes = header.bytes + header.remaining;
    if input.len() < frame_bytes {
        input.reserve(frame_bytes - input.len());
        return Ok(None);
    }
    Ok(Some(input.split_to(frame_bytes)))
}

struct Header {
    first: u8,
    bytes: usize,
    remaining: usize,
}

fn header(input: &[u8]) -> Result<Option<Header>, ReadError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let mut remaining = 0;
    for (i, &byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Ok(Some(Header { first, bytes: i + 2, remaining }));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err(ReadError::Length) }
}

/// Accepts what a client may send at all; the flags are fixed but for PUBLISH. PUBREC, PUBREL and PUBCOMP belong to
/// QoS 2.
fn check_type(first: u8) -> Result<(), ReadError> {
    match (first >> 4, first & 0x0f) {
        (3, _) | (1 | 4 | 12 | 14, 0) | (8 | 10, 2) => Ok(()),
        _ => Err(ReadError::Type(first)),
    }
}

impl Version {
    /// Reads the first frame of a connection, which must be a CONNECT.
    pub(crate) fn read_connect(frame: BytesMut) -> Result<First, ReadError> {
        let header = header(&frame)?.ok_or(ReadError::Short)?;
        if header.first >> 4 != 1 {
            return Err(ReadError::Type(header.first));
        }
        let name_bytes = usize::from(u16_at(&frame, header.bytes)?);
        let level = *frame.get(header.bytes + 2 + name_bytes).ok_or(ReadError::Short)?;
        let version = match level {
            4 => Self::V4,
            5 => Self::V5,
            level => return Ok(First::Unsupported(level)),
        };
        match version.parse(frame)? {
            Packet::Connect(connect, properties, will, will_properties, _) => {
                let will = will.map(|will| (will, will_properties));
                Ok(First::Connect(Box::new(IncomingConnect { version, connect, properties, will })))
            }
            _ => Err(ReadError::Type(header.first)),
        }
    }

    /// Reads a frame after the first.
    pub(crate) fn read(self, frame: BytesMut) -> Result<Incoming, ReadError> {
        let header = header(&frame)?.ok_or(ReadError::Short)?;
        if header.first >> 4 == 14 && header.remaining == 1 {
            // A reason code without properties: legal in MQTT 5, but rumqttd refuses it.
            return Ok(Incoming::Disconnect { with_will: frame.get(header.bytes) != Some(&0) });
        }
        let topic_bytes = if header.first >> 4 == 3 { u16_at(&frame, header.bytes)? } else { 0 };
        let pkid = u16_at(&frame, header.bytes + 2 + usize::from(topic_bytes)).unwrap_or_default();
        Ok(match self.parse(frame)? {
            Packet::Publish(publish, properties) => {
                let qos = rumqttd::protocol::qos(header.first >> 1 & 3).unwrap_or_default();
                let pkid = if qos == QoS::AtMostOnce { 0 } else { pkid };
                let Publish { retain, topic, payload, .. } = publish;
                Incoming::Publish(IncomingPublish { qos, pkid, retain, topic, payload, properties })
            }
            Packet::PubAck(ack, _) => Incoming::PubAck(ack.pkid),
            Packet::Subscribe(subscribe, properties) => {
                Incoming::Subscribe(subscribe, properties.and_then(|properties| properties.id))
            }
            Packet::Unsubscribe(unsubscribe, _) => Incoming::Unsubscribe(unsubscribe),
            Packet::PingReq(_) => Incoming::PingReq,
            Packet::Disconnect(disconnect, _) => Incoming::Disconnect {
                with_will: disconnect.reason_code != DisconnectReasonCode::NormalDisconnection,
            },
            _ => return Err(ReadError::Type(header.first)),
        })
    }

    fn parse(self, mut frame: BytesMut) -> Result<Packet, ReadError> {
        let frame_bytes = frame.len();
        match self {
            Self::V4 => V4.read_mut(&mut frame, frame_bytes),
            Self::V5 => V5.read_mut(&mut frame, frame_bytes),
        }
        .map_err(ReadError::Malformed)
    }

    /// Appends a packet to `out`; with MQTT 3.1.1 it must have no properties, unless it is a CONNACK.
    pub(crate) fn write(self, packet: Packet, out: &mut BytesMut) -> Result<(), rumqttd::protocol::Error> {
        match self {
            Self::V4 => V4.write(packet, out),
            Self::V5 => V5.write(packet, out),
        }
        .map(|_| ())
    }
}

/// A PUBLISH with the fields that rumqttd lets nobody set; `pkid` is 0 with QoS 0.
pub(crate) fn publish(qos: QoS, pkid: u16, retain: bool, topic: Bytes, payload: Bytes) -> Publish {
    let [high, low] = pkid.to_be_bytes();
    let head = [0x30 | (qos as u8) << 1, high, low, 0, 0];
    let mut publish = Publish::deserialize(Bytes::copy_from_slice(&head));
    publish.retain = retain;
    publish.topic = topic;
    publish.payload = payload;
    publish
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, ReadError> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(ReadError::Short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn frame(bytes: &[u8]) -> Result<Option<BytesMut>, ReadError> {
        next_frame(&mut BytesMut::from(bytes), MAX)
    }

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut input = BytesMut::from(&[0x30, 4, 0, 1, b'a'][..]);
        assert_eq!(next_frame(&mut input, MAX), Ok(None));
        input.extend_from_slice(b"xREST");
        assert_eq!(next_frame(&mut input, MAX).unwrap().unwrap(), &[0x30, 4, 0, 1, b'a', b'x'][..]);
        assert_eq!(input, &b"REST"[..]);
    }

    #[test]
    fn what_a_client_may_not_send_is_refused_before_parsing() {
        for first in [0x00, 0x20, 0x11, 0x50, 0x62, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xd0, 0xf0] {
            assert_eq!(frame(&[first, 0]), Err(ReadError::Type(first)), "{first:#x}");
        }
        assert_eq!(frame(&[0x30, 0xff, 0xff, 0xff, 0xff]), Err(ReadError::Length));
        assert_eq!(next_frame(&mut BytesMut::from(&[0x30, 9][..]), 8), Err(ReadError::TooLong(9)));
    }

    #[test]
    fn a_publish_reads_back_as_it_was_written_in_both_versions() {
        for version in [Version::V4, Version::V5] {
            for (qos, pkid) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 777), (QoS::ExactlyOnce, 1)] {
                let mut out = BytesMut::new();
                let packet = publish(qos, pkid, true, Bytes::from_static(b"a/b"), Bytes::from_static(b"xyz"));
                version.write(Packet::Publish(packet, None), &mut out).unwrap();
                let frame = next_frame(&mut out, MAX).unwrap().unwrap();
                let read = IncomingPublish {
                    qos,
                    pkid,
                    retain: true,
                    topic: Bytes::from_static(b"a/b"),
                    payload: Bytes::from_static(b"xyz"),
                    properties: None,
                };
                assert_eq!(version.read(frame), Ok(Incoming::Publish(read)));
            }
        }
    }

    #[test]
    fn a_disconnect_may_end_after_its_reason() {
        let read = |bytes: &[u8]| Version::V5.read(BytesMut::from(bytes)).unwrap();
        assert_eq!(read(&[0xe0, 0]), Incoming::Disconnect { with_will: false });
        assert_eq!(read(&[0xe0, 1, 0]), Incoming::Disconnect { with_will: false });
        assert_eq!(read(&[0xe0, 1, 4]), Incoming::Disconnect { with_will: true });
        assert_eq!(read(&[0xe0, 2, 4, 0]), Incoming::Disconnect { with_will: true });
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_but_never_panic() {
        // A small xorshift generator: the same bytes in every run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let firsts = [0x10, 0x30, 0x32, 0x33, 0x34, 0x3f, 0x40, 0x82, 0xa2, 0xc0, 0xe0];
        for _ in 0..200_000 {
            let length = (next() % 40) as usize;
            let body: Vec<u8> =
                (0..length).map(|_| if next() % 3 == 0 { 0 } else { (next() % 48) as u8 }).collect();
            let mut bytes = vec![firsts[(next() % 11) as usize], length as u8];
            bytes.extend_from_slice(&body);
            let _ = Version::read_connect(BytesMut::from(&bytes[..]));
            for version in [Version::V4, Version::V5] {
                let _ = version.read(BytesMut::from(&bytes[..]));
            }
        }
    }
}
