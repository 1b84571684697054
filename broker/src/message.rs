//! A message on its way through the broker: one run of bytes, written once and shared by all who get it.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | flags: QoS 1, retain, expires |
//! | 8 | number of the session that published it; 0 if none did |
//! | 8 | when it came, in Unix microseconds by our clock |
//! | 4 | its expiry interval in seconds, if it expires |
//! | 2, 4 | lengths of topic and properties |
//! | … | topic; properties as MQTT 5 writes them, without expiry, alias and subscription identifiers; payload |
//!
//! This run passes the router as an opaque payload and lies on disk if it is retained. A copy is a reference.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttd::protocol::{PublishProperties, QoS};

const HEAD_BYTES: usize = 27;
/// Where the number of the publishing session is.
const PUBLISHER: Range<usize> = 1..9;
const FLAG_QOS1: u8 = 1;
const FLAG_RETAIN: u8 = 2;
const FLAG_EXPIRES: u8 = 4;

/// A message that passed the checks: its topic is sane and its QoS is 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    body: Bytes,
    topic_end: usize,
    properties_end: usize,
}

/// What a message is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub topic: &'a [u8],
    pub payload: &'a [u8],
    pub properties: Option<&'a PublishProperties>,
    pub qos: QoS,
    pub retain: bool,
    pub publisher: u64,
}

impl Draft<'_> {
    /// Writes the message, which came now.
    pub(crate) fn seal(&self) -> Message {
        let expiry_s = self.properties.and_then(|properties| properties.message_expiry_interval);
        let mut properties = BytesMut::new();
        self.properties.inspect(|given| put_properties(given, &mut properties));
        let mut flags = if self.qos == QoS::AtMostOnce { 0 } else { FLAG_QOS1 };
        flags |= if self.retain { FLAG_RETAIN } else { 0 };
        flags |= if expiry_s.is_some() { FLAG_EXPIRES } else { 0 };
        let topic_end = HEAD_BYTES + self.topic.len();
        let properties_end = topic_end + properties.len();
        let mut body = Vec::with_capacity(properties_end + self.payload.len());
        body.put_u8(flags);
        body.put_u64(self.publisher);
        body.put_u64(now_us());
        body.put_u32(expiry_s.unwrap_or_default());
        body.put_u16(self.topic.len() as u16);
        body.put_u32(properties.len() as u32);
        body.put_slice(self.topic);
        body.put_slice(&properties);
        body.put_slice(self.payload);
        Message { body: body.into(), topic_end, properties_end }
    }
}

fn put_properties(properties: &PublishProperties, out: &mut BytesMut) {
    let text = |out: &mut BytesMut, text: &[u8]| {
        out.put_u16(text.len() as u16);
        out.put_slice(text);
    };
    let mut put = |id: u8, value: Option<&[u8]>| {
        if let Some(value) = value {
            out.put_u8(id);
            text(out, value);
        }
    };
    put(3, properties.content_type.as_deref().map(str::as_bytes));
    put(8, properties.response_topic.as_deref().map(str::as_bytes));
    put(9, properties.correlation_data.as_deref());
    if let Some(indicator) = properties.payload_format_indicator {
        out.put_slice(&[1, indicator]);
    }
    for (key, value) in &properties.user_properties {
        out.put_u8(38);
        text(out, key.as_bytes());
        text(out, value.as_bytes());
    }
}

impl Message {
    /// Reads [`Message::body`] back, or nothing if it is something else.
    pub(crate) fn open(body: Bytes) -> Option<Self> {
        let mut head = body.get(..HEAD_BYTES)?;
        head.advance(HEAD_BYTES - 6);
        let topic_end = HEAD_BYTES + usize::from(head.get_u16());
        let properties_end = topic_end + head.get_u32() as usize;
        std::str::from_utf8(body.get(HEAD_BYTES..topic_end)?).ok()?;
        body.get(topic_end..properties_end)?;
        Some(Self { body, topic_end, properties_end })
    }

    /// Reads what an earlier broker kept, whose numbers of sessions mean nothing here.
    pub(crate) fn open_kept(body: &[u8]) -> Option<Self> {
        let mut body = BytesMut::from(body);
        body.get_mut(PUBLISHER)?.fill(0);
        Self::open(body.freeze())
    }

    /// The whole run of bytes.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same message, its bytes held by another owner.
    pub(crate) fn with_body(&self, body: Bytes) -> Self {
        Self { body, ..*self }
    }

    pub(crate) fn topic(&self) -> &str {
        std::str::from_utf8(self.body.get(HEAD_BYTES..self.topic_end).unwrap_or_default()).unwrap_or_default()
    }

    /// As MQTT 5 writes them.
    pub(crate) fn properties(&self) -> &[u8] {
        self.body.get(self.topic_end..self.properties_end).unwrap_or_default()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.body.get(self.properties_end..).unwrap_or_default()
    }

    /// The payload, shared.
    pub(crate) fn payload_bytes(&self) -> Bytes {
        self.body.slice(self.properties_end..)
    }

    pub(crate) fn qos(&self) -> QoS {
        if self.flags() & FLAG_QOS1 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }
    }

    pub(crate) fn retain(&self) -> bool {
        self.flags() & FLAG_RETAIN != 0
    }

    pub(crate) fn publisher(&self) -> u64 {
        self.field(PUBLISHER.start).get_u64()
    }

    /// Unix microseconds by our clock.
    pub(crate) fn received_us(&self) -> u64 {
        self.field(9).get_u64()
    }

    /// What it costs to keep, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.body.len()
    }

    /// When nobody gets it any more, in Unix microseconds.
    pub(crate) fn expires_us(&self) -> Option<u64> {
        (self.flags() & FLAG_EXPIRES != 0).then(|| self.received_us().saturating_add(self.interval_us()))
    }

    /// What is left of its expiry interval, in seconds begun; an error if nothing is.
    pub(crate) fn left_s(&self, now_us: u64) -> Result<Option<u32>, Expired> {
        let Some(expires_us) = self.expires_us() else { return Ok(None) };
        // No more than at first, should the clock have been set back.
        let left_us = expires_us.saturating_sub(now_us).min(self.interval_us());
        if left_us == 0 { Err(Expired) } else { Ok(u32::try_from(left_us.div_ceil(1_000_000)).ok()) }
    }

    fn interval_us(&self) -> u64 {
        u64::from(self.field(17).get_u32()) * 1_000_000
    }

    fn flags(&self) -> u8 {
        self.body.first().copied().unwrap_or_default()
    }

    /// The head from a byte on. Every message has all of it.
    fn field(&self, at: usize) -> &[u8] {
        self.body.get(at..).unwrap_or(&[0; 8])
    }
}

/// Its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

/// Our clock in Unix microseconds; 0 before 1970.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
pub(crate) fn sample(topic: &str, payload: &str) -> Message {
    let (topic, payload) = (topic.as_bytes(), payload.as_bytes());
    Draft { topic, payload, properties: None, qos: QoS::AtLeastOnce, retain: true, publisher: 1 }.seal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(expiry_s: Option<u32>) -> PublishProperties {
        PublishProperties {
            message_expiry_interval: expiry_s,
            user_properties: vec![("k".into(), "v".into())],
            content_type: Some("c".into()),
            response_topic: Some("r".into()),
            correlation_data: Some(Bytes::from_static(&[0, 1])),
            payload_format_indicator: Some(1),
            topic_alias: Some(3),
            ..PublishProperties::default()
        }
    }

    fn seal(expiry_s: Option<u32>) -> Message {
        let properties = properties(expiry_s);
        let (topic, payload) = (&b"a/b"[..], &b"xyz"[..]);
        Draft {
            topic,
            payload,
            properties: Some(&properties),
            qos: QoS::AtLeastOnce,
            retain: true,
            publisher: 7,
        }
        .seal()
    }

    #[test]
    fn a_message_reads_back_whole() {
        let message = Message::open(seal(None).body().clone()).unwrap();
        assert_eq!(
            (message.topic(), message.payload(), message.qos()),
            ("a/b", &b"xyz"[..], QoS::AtLeastOnce)
        );
        assert!(message.retain());
        assert_eq!((message.publisher(), message.left_s(u64::MAX)), (7, Ok(None)));
        assert_eq!(message.payload_bytes(), &b"xyz"[..]);
        let expected = b"\x03\0\x01c\x08\0\x01r\x09\0\x02\0\x01\x01\x01\x26\0\x01k\0\x01v";
        assert_eq!(message.properties(), expected);
    }

    #[test]
    fn what_an_earlier_broker_kept_is_no_session_of_ours() {
        let kept = Message::open_kept(seal(None).body()).unwrap();
        assert_eq!((kept.publisher(), kept.topic(), kept.payload()), (0, "a/b", &b"xyz"[..]));
        assert_eq!(Message::open_kept(&[0; 5]), None);
    }

    #[test]
    fn what_is_no_message_is_refused_at_every_length() {
        let body = seal(None).body().clone();
        let properties_end = body.len() - 3;
        for end in 0..properties_end {
            assert_eq!(Message::open(body.slice(..end)), None, "{end}");
        }
        assert!(Message::open(body.slice(..properties_end)).is_some());
        assert_eq!(Message::open(Bytes::from_static(&[0xff; 60])), None);
    }

    #[test]
    fn a_message_expires_by_the_time_it_came() {
        let message = seal(Some(10));
        let came = message.received_us();
        assert_eq!(message.left_s(came + 3_000_000), Ok(Some(7)));
        assert_eq!(message.left_s(came + 1), Ok(Some(10)), "a second that has begun counts");
        assert_eq!(message.left_s(came + 9_999_999), Ok(Some(1)));
        assert_eq!(message.left_s(came + 10_000_000), Err(Expired));
        assert_eq!(message.left_s(came - 99_000_000), Ok(Some(10)), "a clock that was set back");
        assert_eq!(seal(Some(0)).left_s(came), Err(Expired));
    }
}
