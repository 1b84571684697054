//! MQTT over WebSocket, plain and over TLS, in both versions, with packets and frames cut anywhere.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use flotilla_broker::access::{AccessFile, NewCredential, Role};
use flotilla_broker::{Broker, ClientCertificate, Config, Listener, Running, TlsFiles, Transport};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{Client, Connect, V4, V5, packet, text};
use crate::tls::{self, Authority};

async fn broker(folder: &tempfile::TempDir) -> (Running, Vec<SocketAddr>, Authority) {
    let authority = Authority::new(folder.path(), "authority");
    let (cert, key) = authority.issue("broker", "localhost", 1);
    let client_certificate = ClientCertificate::Optional;
    let address = "127.0.0.1:0".parse().unwrap();
    let all = [Transport::Tcp, Transport::WebSocket, Transport::WebSocket, Transport::SecureWebSocket];
    let config = Config {
        listeners: all.map(|transport| Listener { transport, address }).into(),
        tls: Some(TlsFiles { cert, key, ca: Vec::new(), crl: Vec::new(), client_certificate }),
        ..Config::open(address, &folder.path().join("broker"))
    };
    let running = Broker::start(config).await.unwrap();
    let addresses = running.local_addrs().to_vec();
    (running, addresses, authority)
}

/// A client over WebSocket that sends frames of at most so many bytes.
struct WsClient<S> {
    frames: WebSocketStream<S>,
    frame_bytes: usize,
    input: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsClient<S> {
    async fn open(stream: S, subprotocol: &str, frame_bytes: usize) -> Result<Self, Error> {
        let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol.parse().unwrap());
        let (frames, response) = tokio_tungstenite::client_async(request, stream).await?;
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
        Ok(Self { frames, frame_bytes, input: BytesMut::new() })
    }

    async fn send(&mut self, bytes: &[u8]) {
        for frame in bytes.chunks(self.frame_bytes) {
            self.frames.send(Message::binary(frame.to_vec())).await.unwrap();
        }
    }

    /// The next packet.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((length, head)) = length(&self.input)
                && self.input.len() >= head + length
            {
                let first = self.input[0];
                self.input.advance(head);
                return (first, self.input.split_to(length).to_vec());
            }
            match self.frames.next().await.unwrap().unwrap() {
                Message::Binary(bytes) => self.input.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The length of a packet, and of its head.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Some((length, i + 2));
        }
    }
    None
}

/// Subscribes, publishes 300,000 bytes to itself, and gets them back.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut client: WsClient<S>, version: u8) {
    let topic = "fleet/v1/to/e1/command";
    client.send(&Connect::new(version, "center-c1").bytes()).await;
    assert_eq!(client.packet().await.0, 0x20);
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    client.send(&packet(0x82, &[&[0, 1], none, &text(topic.as_bytes()), &[1]].concat())).await;
    assert_eq!(client.packet().await.0, 0x90);
    let payload: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    client.send(&packet(0x32, &[&text(topic.as_bytes())[..], &[0, 7], none, &payload].concat())).await;
    let (mut acknowledged, mut received) = (false, false);
    while !(acknowledged && received) {
        match client.packet().await {
            (0x40, _) => acknowledged = true,
            (0x32, body) => {
                assert!(body.ends_with(&payload));
                client.send(&packet(0x40, &body[2 + topic.len()..][..2])).await;
                received = true;
            }
            other => panic!("{:#x}", other.0),
        }
    }
    client.send(&[0xc0, 0]).await;
    assert_eq!(client.packet().await.0, 0xd0);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_pass_in_both_versions_however_they_are_cut_into_frames() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, addresses, _) = broker(&folder).await;
    for (address, version, frame_bytes) in [
        (addresses[1], V5, 1 << 20),
        (addresses[1], V4, 1000),
        (addresses[2], V5, 777),
        (addresses[2], V4, 65_536),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        converse(WsClient::open(stream, "mqtt", frame_bytes).await.unwrap(), version).await;
    }
    let mut byte_by_byte =
        WsClient::open(TcpStream::connect(addresses[1]).await.unwrap(), "mqtt", 1).await.unwrap();
    byte_by_byte.send(&Connect::new(V5, "x").bytes()).await;
    assert_eq!(byte_by_byte.packet().await.0, 0x20);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_sockets_over_tls_pass_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, addresses, authority) = broker(&folder).await;
    for version in [V4, V5] {
        let connector = TlsConnector::from(tls::config(&authority.file, None));
        let stream = TcpStream::connect(addresses[3]).await.unwrap();
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        converse(WsClient::open(stream, "chat, mqtt", 5000).await.unwrap(), version).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_offer_mqtt_or_sends_text_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, addresses, _) = broker(&folder).await;
    let open = async |subprotocol: &'static str| {
        WsClient::open(TcpStream::connect(addresses[1]).await.unwrap(), subprotocol, 100).await
    };
    let Err(Error::Http(refusal)) = open("chat").await else { panic!("it was let in") };
    assert_eq!(refusal.status(), 400);
    let mut client = open("mqtt").await.unwrap();
    client.send(&Connect::new(V5, "x").bytes()).await;
    assert_eq!(client.packet().await.0, 0x20);
    client.frames.send(Message::text("hello")).await.unwrap();
    let end = loop {
        match client.frames.next().await {
            Some(Ok(Message::Binary(_))) => {}
            other => break other,
        }
    };
    assert!(matches!(end, None | Some(Ok(Message::Close(_)) | Err(_))), "{end:?}");
    let mut bystander = Client::connect(addresses[0], V5, "y").await;
    assert_eq!(bystander.received_so_far().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_broker_takes_no_page_from_elsewhere_and_one_with_users_leaves_that_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let access = folder.path().join("access.toml");
    AccessFile::at(&access).add(Role::Edge, &["e1".into()], &NewCredential::Token, false).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    for (access, origin, expected) in [
        (None, "http://example.org", 403),
        (None, "http://localhost:3000", 101),
        (Some(access), "http://example.org", 101),
    ] {
        let listeners = vec![Listener { transport: Transport::WebSocket, address }];
        let config = Config { listeners, access, ..Config::open(address, &folder.path().join("broker")) };
        let running = Broker::start(config).await.unwrap();
        let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        let stream = TcpStream::connect(running.local_addrs()[0]).await.unwrap();
        let status = match tokio_tungstenite::client_async(request, stream).await {
            Ok((_, response)) => response.status(),
            Err(Error::Http(refusal)) => refusal.status(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(status, expected, "{origin}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_broker_says_goodbye_over_web_sockets_too() {
    let folder = tempfile::tempdir().unwrap();
    let (running, addresses, _) = broker(&folder).await;
    let stream = TcpStream::connect(addresses[1]).await.unwrap();
    let mut client = WsClient::open(stream, "mqtt", 100).await.unwrap();
    client.send(&Connect::new(V5, "x").bytes()).await;
    assert_eq!(client.packet().await.0, 0x20);
    let stopped = tokio::spawn(running.stop());
    let (first, body) = client.packet().await;
    assert_eq!((first, body[0]), (0xe0, 0x8b));
    assert!(matches!(client.frames.next().await, None | Some(Ok(Message::Close(_)) | Err(_))));
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_over_tls_gets_everything_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, addresses, authority) = broker(&folder).await;
    let connector = TlsConnector::from(tls::config(&authority.file, None));
    let stream = TcpStream::connect(addresses[3]).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let mut slow = WsClient::open(stream, "mqtt", 5000).await.unwrap();
    slow.send(&Connect::new(V5, "center-slow").bytes()).await;
    assert_eq!(slow.packet().await.0, 0x20);
    slow.send(&packet(0x82, &[&[0, 1, 0][..], &text(b"fleet/v1/to/e1/+"), &[1]].concat())).await;
    assert_eq!(slow.packet().await.0, 0x90);
    let mut center = Client::connect(addresses[0], V5, "center-c1").await;
    for n in 0..60_u8 {
        assert_eq!(center.publish("fleet/v1/to/e1/ack", &vec![n; 200_000], false, &[]).await, Some(0));
    }
    for n in 0..60 {
        let (first, body) = slow.packet().await;
        assert_eq!((first, body.last()), (0x32, Some(&n)));
        slow.send(&packet(0x40, &body[20..22])).await;
    }
    let _keep = Arc::new(center);
}
