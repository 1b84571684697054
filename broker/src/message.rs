//! A message on its way through the broker, and the two forms in which it leaves our hands.
//!
//! The router overwrites the QoS, clears the retain flag and forgets who published, all of which the rules for
//! deliveries need. So a head of [`HEAD_BYTES`] travels through it in front of the payload. Properties go beside, as
//! the router counts down their expiry. On disk a message is the MQTT 5 PUBLISH that it came as.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttd::Forward;
use rumqttd::protocol::{Packet, Publish, PublishProperties, QoS};

use crate::packet::{self, Incoming, Version};

/// Length of what travels in front of the payload: flags, and the number of the publishing session.
const HEAD_BYTES: usize = 9;
const FLAG_QOS1: u8 = 1;
const FLAG_RETAIN: u8 = 2;

/// A message that passed the checks: its topic is sane, its QoS is 0 or 1, and its properties are fit to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub topic: Bytes,
    pub payload: Bytes,
    pub properties: Option<PublishProperties>,
    pub qos: QoS,
    pub retain: bool,
    /// The session that published it; 0 if it was read from disk.
    pub publisher: u64,
}

/// A message that the router hands to a session.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub message: Message,
    /// The number that the session gave to the subscription.
    pub subscription: usize,
    /// Position in the filter's log; they are consecutive, so a gap is a loss.
    pub offset: u64,
}

impl Message {
    /// The topic as text.
    pub(crate) fn topic(&self) -> &str {
        std::str::from_utf8(&self.topic).unwrap_or_default()
    }

    /// What it costs to keep, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |properties| {
            let texts = [&properties.content_type, &properties.response_topic].into_iter().flatten();
            let user = properties.user_properties.iter().map(|(key, value)| key.len() + value.len());
            texts.map(String::len).chain(user).sum::<usize>()
                + properties.correlation_data.as_ref().map_or(0, Bytes::len)
        });
        self.topic.len() + self.payload.len() + properties
    }

    /// The packet that carries it through the router.
    pub(crate) fn into_router(self) -> Packet {
        let mut payload = BytesMut::with_capacity(HEAD_BYTES + self.payload.len());
        let qos1 = if self.qos == QoS::AtMostOnce { 0 } else { FLAG_QOS1 };
        payload.put_u8(qos1 | if self.retain { FLAG_RETAIN } else { 0 });
        payload.put_u64(self.publisher);
        payload.extend_from_slice(&self.payload);
        Packet::Publish(Publish::new(self.topic, payload.freeze(), false), self.properties)
    }

    /// The MQTT 5 PUBLISH that is kept on disk.
    pub(crate) fn to_record(&self) -> Result<BytesMut, rumqttd::protocol::Error> {
        let pkid = u16::from(self.qos != QoS::AtMostOnce);
        let publish = packet::publish(self.qos, pkid, self.retain, self.topic.clone(), self.payload.clone());
        let mut record = BytesMut::with_capacity(self.size_bytes() + 16);
        Version::V5.write(Packet::Publish(publish, self.properties.clone()), &mut record)?;
        Ok(record)
    }

    /// Reads [`Message::to_record`] back, or nothing if it is something else.
    pub(crate) fn from_record(record: &[u8]) -> Option<Self> {
        match Version::V5.read(BytesMut::from(record)).ok()? {
            Incoming::Publish(publish) => Some(Self {
                topic: publish.topic,
                payload: publish.payload,
                properties: publish.properties,
                qos: publish.qos,
                retain: publish.retain,
                publisher: 0,
            }),
            _ => None,
        }
    }
}

impl Delivery {
    /// Opens what [`Message::into_router`] closed, or nothing if it did not come from there.
    pub(crate) fn from_router(forward: Forward) -> Option<Self> {
        let Forward { cursor, publish: Publish { topic, mut payload, .. }, properties, .. } = forward;
        if payload.len() < HEAD_BYTES {
            return None;
        }
        let flags = payload.get_u8();
        let publisher = payload.get_u64();
        let (_, offset) = cursor?;
        let subscription = *properties.as_ref()?.subscription_identifiers.first()?;
        let qos = if flags & FLAG_QOS1 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let retain = flags & FLAG_RETAIN != 0;
        Some(Self {
            message: Message { topic, payload, properties, qos, retain, publisher },
            subscription,
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            topic: Bytes::from_static(b"a/b"),
            payload: Bytes::from_static(b"xyz"),
            properties: Some(PublishProperties {
                user_properties: vec![("sig".into(), "k:AAAA".into())],
                content_type: Some("text/plain".into()),
                response_topic: Some("r".into()),
                correlation_data: Some(Bytes::from_static(&[0, 1])),
                ..PublishProperties::default()
            }),
            qos: QoS::AtLeastOnce,
            retain: true,
            publisher: 7,
        }
    }

    #[test]
    fn a_message_passes_the_router_with_its_qos_retain_flag_and_publisher() {
        let Packet::Publish(mut publish, properties) = message().into_router() else {
            panic!("not a publish")
        };
        publish.retain = false;
        let mut properties = properties.unwrap();
        properties.subscription_identifiers.push(3);
        let forward = Forward { cursor: Some((0, 41)), size: 0, publish, properties: Some(properties) };
        let delivery = Delivery::from_router(forward).unwrap();
        assert_eq!((delivery.subscription, delivery.offset), (3, 41));
        let mut expected = message();
        expected.properties.as_mut().unwrap().subscription_identifiers.push(3);
        assert_eq!(delivery.message, expected);
    }

    #[test]
    fn a_record_reads_back_as_the_message_without_its_publisher() {
        let record = message().to_record().unwrap();
        assert_eq!(Message::from_record(&record), Some(Message { publisher: 0, ..message() }));
        assert_eq!(Message::from_record(b"rubbish"), None);
        assert_eq!(Message::from_record(&[]), None);
    }
}
