//! MQTT packets on the wire: frames in, [`Incoming`] out, and the packets that we send.
//!
//! rumqttd's parsers do the reading and writing, but they reach `unreachable!()` on packet types that a client
//! must not send, and keep the QoS and packet id of a PUBLISH to themselves. So the frame is checked here first, and
//! those two are taken from its bytes. QoS 2 has no packets here: it is refused before any is needed.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
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
        /// The session expiry interval in seconds, if it is to change.
        session_expiry_s: Option<u32>,
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

/// What a client says about who it is.
#[derive(PartialEq, Eq)]
pub(crate) struct Login {
    pub name: String,
    pub secret: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login {{ name: {:?}, secret: … }}", self.name)
    }
}

/// A CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IncomingConnect {
    pub version: Version,
    pub connect: Connect,
    pub login: Option<Login>,
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
            Packet::Connect(connect, properties, will, will_properties, login) => {
                let will = will.map(|will| (will, will_properties));
                let login = login.map(|login| Login { name: login.username, secret: login.password });
                Ok(First::Connect(Box::new(IncomingConnect { version, connect, login, properties, will })))
            }
            _ => Err(ReadError::Type(header.first)),
        }
    }

    /// Reads a frame after the first.
    pub(crate) fn read(self, frame: BytesMut) -> Result<Incoming, ReadError> {
        let header = header(&frame)?.ok_or(ReadError::Short)?;
        if header.first >> 4 == 14 && header.remaining == 1 {
            // A reason code without properties: legal in MQTT 5, but rumqttd refuses it.
            let with_will = frame.get(header.bytes) != Some(&0);
            return Ok(Incoming::Disconnect { with_will, session_expiry_s: None });
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
            Packet::Disconnect(disconnect, properties) => Incoming::Disconnect {
                with_will: disconnect.reason_code != DisconnectReasonCode::NormalDisconnection,
                session_expiry_s: properties.and_then(|properties| properties.session_expiry_interval),
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

/// A PUBLISH to a client, as far as its payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishHead<'a> {
    pub qos: QoS,
    /// Of no account with QoS 0.
    pub pkid: u16,
    pub dup: bool,
    pub retain: bool,
    pub topic: &'a str,
    /// What is left of its expiry interval. MQTT 3.1.1 has neither this nor the next two.
    pub expiry_s: Option<u32>,
    /// Each between 1 and 268,435,455.
    pub identifiers: &'a [u32],
    /// Other properties, as MQTT 5 writes them.
    pub properties: &'a [u8],
    pub payload_bytes: usize,
}

impl PublishHead<'_> {
    /// Length of the whole packet.
    pub(crate) fn packet_bytes(&self, version: Version) -> usize {
        let remaining = self.remaining(version);
        1 + varint_bytes(remaining) + remaining
    }

    /// Appends it to `out`; the payload follows.
    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        out.put_u8(0x30 | u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain));
        put_varint(self.remaining(version), out);
        out.put_u16(self.topic.len() as u16);
        out.put_slice(self.topic.as_bytes());
        if self.qos != QoS::AtMostOnce {
            out.put_u16(self.pkid);
        }
        if version == Version::V5 {
            self.write_properties(out);
        }
    }

    fn write_properties(&self, out: &mut BytesMut) {
        put_varint(self.property_bytes(), out);
        if let Some(expiry_s) = self.expiry_s {
            out.put_u8(2);
            out.put_u32(expiry_s);
        }
        for identifier in self.identifiers {
            out.put_u8(11);
            put_varint(*identifier as usize, out);
        }
        out.put_slice(self.properties);
    }

    fn remaining(&self, version: Version) -> usize {
        let properties = match version {
            Version::V4 => 0,
            Version::V5 => varint_bytes(self.property_bytes()) + self.property_bytes(),
        };
        let pkid = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        2 + self.topic.len() + pkid + properties + self.payload_bytes
    }

    fn property_bytes(&self) -> usize {
        let identifiers = self.identifiers.iter().map(|identifier| 1 + varint_bytes(*identifier as usize));
        self.expiry_s.map_or(0, |_| 5) + identifiers.sum::<usize>() + self.properties.len()
    }
}

fn varint_bytes(value: usize) -> usize {
    1 + usize::from(value >= 1 << 7) + usize::from(value >= 1 << 14) + usize::from(value >= 1 << 21)
}

fn put_varint(mut value: usize, out: &mut BytesMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
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
        let long = "x".repeat(20_000);
        for version in [Version::V4, Version::V5] {
            for (qos, pkid) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 777)] {
                for payload in ["", "xyz", &long] {
                    let head = PublishHead {
                        qos,
                        pkid,
                        dup: true,
                        retain: true,
                        topic: "a/b",
                        expiry_s: Some(70_000),
                        identifiers: &[],
                        properties: b"\x03\0\x01c",
                        payload_bytes: payload.len(),
                    };
                    let mut out = BytesMut::new();
                    head.write(version, &mut out);
                    out.extend_from_slice(payload.as_bytes());
                    assert_eq!(out.len(), head.packet_bytes(version));
                    let frame = next_frame(&mut out, MAX).unwrap().unwrap();
                    let Ok(Incoming::Publish(read)) = version.read(frame) else { panic!("not a publish") };
                    assert_eq!((read.qos, read.pkid, read.retain), (qos, pkid, true));
                    assert_eq!((&read.topic[..], &read.payload[..]), (&b"a/b"[..], payload.as_bytes()));
                    let properties = read.properties.map(|p| (p.message_expiry_interval, p.content_type));
                    let expected = (version == Version::V5).then(|| (Some(70_000), Some("c".to_owned())));
                    assert_eq!(properties, expected);
                }
            }
        }
    }

    #[test]
    fn subscription_identifiers_of_every_length_are_written() {
        let head = PublishHead {
            qos: QoS::AtMostOnce,
            pkid: 0,
            dup: false,
            retain: false,
            topic: "a",
            expiry_s: None,
            identifiers: &[1, 127, 128, 16_384, 268_435_455],
            properties: &[],
            payload_bytes: 0,
        };
        let mut out = BytesMut::new();
        head.write(Version::V5, &mut out);
        assert_eq!(out.len(), head.packet_bytes(Version::V5));
        let expected = [
            &[0x30, 20, 0, 1, b'a', 16, 11, 1, 11, 127, 11, 0x80, 1, 11, 0x80, 0x80, 1][..],
            &[11, 0xff, 0xff, 0xff, 0x7f],
        ];
        assert_eq!(out[..], expected.concat());
    }

    #[test]
    fn a_disconnect_may_end_after_its_reason() {
        let read = |bytes: &[u8]| Version::V5.read(BytesMut::from(bytes)).unwrap();
        let goodbye = |with_will| Incoming::Disconnect { with_will, session_expiry_s: None };
        assert_eq!(read(&[0xe0, 0]), goodbye(false));
        assert_eq!(read(&[0xe0, 1, 0]), goodbye(false));
        assert_eq!(read(&[0xe0, 1, 4]), goodbye(true));
        assert_eq!(read(&[0xe0, 2, 4, 0]), goodbye(true));
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
