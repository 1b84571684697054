//! A client made of bytes, which can also do what no client library lets one do.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;

/// MQTT 3.1.1 and MQTT 5 on the wire.
pub const V4: u8 = 4;
pub const V5: u8 = 5;

/// A packet: its first byte and what follows its length.
pub type Packet = (u8, Vec<u8>);

pub struct Client {
    pub stream: TcpStream,
    pub version: u8,
    last_pkid: u16,
    /// Publishes that came while something else was waited for.
    waiting: Vec<Received>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub qos: u8,
    pub retain: bool,
    pub pkid: u16,
    pub topic: String,
    pub properties: Vec<u8>,
    pub payload: Vec<u8>,
}

/// What a CONNECT may say.
#[derive(Clone)]
pub struct Connect {
    pub version: u8,
    pub id: Vec<u8>,
    pub clean: bool,
    pub keep_alive_s: u16,
    /// User name, password.
    pub login: Option<(String, String)>,
    pub properties: Vec<u8>,
    /// Topic, payload, QoS, retain.
    pub will: Option<(Vec<u8>, Vec<u8>, u8, bool)>,
    pub will_properties: Vec<u8>,
}

impl Connect {
    pub fn new(version: u8, id: &str) -> Self {
        let id = id.as_bytes().to_vec();
        Self {
            version,
            id,
            clean: true,
            keep_alive_s: 0,
            login: None,
            properties: Vec::new(),
            will: None,
            will_properties: Vec::new(),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut body = text(b"MQTT");
        let will = self.will.as_ref().map_or(0, |(_, _, qos, retain)| 4 | qos << 3 | u8::from(*retain) << 5);
        let login = if self.login.is_some() { 0xc0 } else { 0 };
        body.extend([self.version, login | will | u8::from(self.clean) << 1]);
        body.extend(self.keep_alive_s.to_be_bytes());
        let properties = |bytes: &[u8]| if self.version == V5 { counted(bytes) } else { Vec::new() };
        body.extend(properties(&self.properties));
        body.extend(text(&self.id));
        if let Some((topic, payload, _, _)) = &self.will {
            body.extend(properties(&self.will_properties));
            body.extend(text(topic));
            body.extend(text(payload));
        }
        if let Some((name, secret)) = &self.login {
            body.extend(text(name.as_bytes()));
            body.extend(text(secret.as_bytes()));
        }
        packet(0x10, &body)
    }
}

impl Client {
    pub async fn open(address: SocketAddr, version: u8) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, version, last_pkid: 0, waiting: Vec::new() }
    }

    /// Connects and is let in.
    pub async fn connect(address: SocketAddr, version: u8, id: &str) -> Self {
        Self::connect_with(address, Connect::new(version, id)).await.0
    }

    /// Connects, is let in, and returns the CONNACK, too.
    pub async fn connect_with(address: SocketAddr, connect: Connect) -> (Self, Vec<u8>) {
        let (client, connack) = Self::try_connect(address, connect).await;
        assert_eq!(connack.get(1), Some(&0), "refused: {connack:?}");
        (client, connack)
    }

    pub async fn try_connect(address: SocketAddr, connect: Connect) -> (Self, Vec<u8>) {
        let mut client = Self::open(address, connect.version).await;
        client.send(&connect.bytes()).await;
        let (first, connack) = client.packet().await.expect("a CONNACK");
        assert_eq!(first, 0x20);
        (client, connack)
    }

    /// Tries until the broker is no longer too busy.
    pub async fn connect_when_there_is_room(address: SocketAddr, id: &str) -> Self {
        let trying = async {
            loop {
                let (client, connack) = Self::try_connect(address, Connect::new(V5, id)).await;
                match connack[1] {
                    0 => return client,
                    code => assert_eq!(code, 0x89),
                }
            }
        };
        timeout(PATIENCE, trying).await.expect("room in time")
    }

    /// Whether the other side still listens is found out by reading.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next packet, or nothing when the connection was closed.
    pub async fn packet(&mut self) -> Option<Packet> {
        timeout(PATIENCE, self.read()).await.expect("a packet, or the end, in time")
    }

    async fn read(&mut self) -> Option<Packet> {
        let first = self.stream.read_u8().await.ok()?;
        let mut length = 0;
        for i in 0.. {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first, body))
    }

    /// The next packet that is not a PUBLISH; those are kept for [`Client::received`].
    pub async fn answer(&mut self) -> Option<Packet> {
        loop {
            let packet = self.packet().await?;
            if packet.0 >> 4 != 3 {
                return Some(packet);
            }
            let received = self.parse(packet);
            self.waiting.push(received);
        }
    }

    /// Reads until the connection is closed; the reason code of the DISCONNECT before it, if there was one.
    pub async fn closed(&mut self) -> Option<u8> {
        let mut reason = None;
        while let Some((first, body)) = self.packet().await {
            if first == 0xe0 {
                reason = body.first().copied();
            }
        }
        reason
    }

    pub fn publish_bytes(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: u8,
        retain: bool,
        properties: &[u8],
    ) -> Vec<u8> {
        let mut body = text(topic.as_bytes());
        if qos > 0 {
            self.last_pkid += 1;
            body.extend(self.last_pkid.to_be_bytes());
        }
        if self.version == V5 {
            body.extend(counted(properties));
        }
        body.extend(payload);
        packet(0x30 | qos << 1 | u8::from(retain), &body)
    }

    /// Publishes at QoS 0.
    pub async fn shout(&mut self, topic: &str, payload: &[u8]) {
        let bytes = self.publish_bytes(topic, payload, 0, false, &[]);
        self.send(&bytes).await;
    }

    /// Publishes at QoS 1 and returns the reason code of the PUBACK, or nothing if the connection was closed.
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
        properties: &[u8],
    ) -> Option<u8> {
        let bytes = self.publish_bytes(topic, payload, 1, retain, properties);
        self.send(&bytes).await;
        let (first, body) = self.answer().await?;
        if first != 0x40 {
            return None;
        }
        assert_eq!(body[..2], self.last_pkid.to_be_bytes());
        Some(body.get(2).copied().unwrap_or(0))
    }

    /// Publishes many at QoS 1, to be retained, not waiting for each; all of them are taken.
    pub async fn retain(&mut self, messages: impl IntoIterator<Item = (String, Vec<u8>)>, properties: &[u8]) {
        const WINDOW: usize = 100;
        let mut unacknowledged = 0;
        for (topic, payload) in messages {
            if unacknowledged == WINDOW {
                self.acknowledged().await;
                unacknowledged -= 1;
            }
            let bytes = self.publish_bytes(&topic, &payload, 1, true, properties);
            self.send(&bytes).await;
            unacknowledged += 1;
        }
        for _ in 0..unacknowledged {
            self.acknowledged().await;
        }
    }

    async fn acknowledged(&mut self) {
        let (first, ack) = self.answer().await.expect("a PUBACK");
        assert_eq!((first, ack.len()), (0x40, 2), "a success");
    }

    /// Subscribes and returns the code of the SUBACK.
    pub async fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_with(filter, options, &[]).await
    }

    pub async fn subscribe_with(&mut self, filter: &str, options: u8, properties: &[u8]) -> u8 {
        let mut body = vec![0, 9];
        if self.version == V5 {
            body.extend(counted(properties));
        }
        body.extend(text(filter.as_bytes()));
        body.push(options);
        self.send(&packet(0x82, &body)).await;
        let (first, body) = self.answer().await.expect("a SUBACK");
        assert_eq!(first, 0x90);
        *body.last().unwrap()
    }

    /// The next message, acknowledged if need be.
    pub async fn received(&mut self) -> Received {
        let received = self.received_silently().await;
        if received.qos > 0 {
            self.acknowledge(received.pkid).await;
        }
        received
    }

    pub async fn acknowledge(&mut self, pkid: u16) {
        self.send(&packet(0x40, &pkid.to_be_bytes())).await;
    }

    /// The next message, not acknowledged.
    pub async fn received_silently(&mut self) -> Received {
        if !self.waiting.is_empty() {
            return self.waiting.remove(0);
        }
        let packet = self.packet().await.expect("a message");
        assert_eq!(packet.0 >> 4, 3, "{packet:?}");
        self.parse(packet)
    }

    /// All messages that were on their way: a PINGREQ is answered behind them.
    pub async fn received_so_far(&mut self) -> Vec<Received> {
        self.send(&[0xc0, 0]).await;
        assert_eq!(self.answer().await, Some((0xd0, Vec::new())));
        std::mem::take(&mut self.waiting)
    }

    fn parse(&self, (first, body): Packet) -> Received {
        let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..topic_end].to_vec()).unwrap();
        let (qos, retain) = (first >> 1 & 3, first & 1 == 1);
        let mut rest = &body[topic_end..];
        let mut pkid = 0;
        if qos > 0 {
            pkid = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let mut properties = Vec::new();
        if self.version == V5 {
            assert!(rest[0] < 0x80, "more properties than these tests use");
            properties = rest[1..=usize::from(rest[0])].to_vec();
            rest = &rest[1 + properties.len()..];
        }
        Received { qos, retain, pkid, topic, properties, payload: rest.to_vec() }
    }
}

/// A packet with its length.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(counted(body));
    bytes
}

/// Bytes behind their count, as a variable byte integer.
pub fn counted(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body.len();
    loop {
        let low = (rest % 128) as u8;
        rest /= 128;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Text behind its length in two bytes.
pub fn text(text: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text);
    bytes
}

/// A user property.
pub fn user_property(key: &str, value: &str) -> Vec<u8> {
    [vec![38], text(key.as_bytes()), text(value.as_bytes())].concat()
}
