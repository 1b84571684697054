//! Slow clients, behind a stream so narrow that nothing waits in it.

use std::time::Duration;

use rumqttd::protocol::QoS;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

use super::*;
use crate::fuzz::{packet, text};
use crate::message::Draft;
use crate::{Config, Limits, Running};

const TOPIC: &str = "fleet/v1/edge/e1/want";
static PAYLOAD: [u8; 256 << 10] = [0; 256 << 10];

/// A client with a keep-alive of one second, for which so many messages of [`PAYLOAD`] wait.
async fn with_messages(count: usize, limits: Limits) -> (DuplexStream, Running, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let address = ([127, 0, 0, 1], 0).into();
    let running = Broker::start(Config { limits, ..Config::open(address, folder.path()) }).await.unwrap();
    let broker = running.shared();
    let (mut client, stream) = tokio::io::duplex(1_000);
    let visitor = Visitor::of(&broker, address).await.unwrap();
    tokio::spawn(serve(Arc::clone(&broker), stream, visitor));
    client.write_all(&packet(0x10, &[&text("MQTT"), &[5, 2, 0, 1, 0], &text("x")])).await.unwrap();
    client.write_all(&packet(0x82, &[&[0, 1, 0], &text(TOPIC), &[0]])).await.unwrap();
    for first in [0x20, 0x90] {
        assert_eq!(client.read_u8().await.unwrap(), first);
        let mut rest = vec![0; usize::from(client.read_u8().await.unwrap())];
        client.read_exact(&mut rest).await.unwrap();
    }
    for _ in 0..count {
        let (topic, qos) = (TOPIC.as_bytes(), QoS::AtMostOnce);
        let draft = Draft { topic, payload: &PAYLOAD, properties: None, qos, retain: false, publisher: 0 };
        broker.publish(draft.seal()).unwrap();
    }
    (client, running, folder)
}

/// Reads a message, resting after each piece.
async fn read_message(client: &mut DuplexStream, rest: Duration) {
    assert_eq!(client.read_u8().await.unwrap(), 0x30, "a PUBLISH");
    let mut left = 3 + 2 + TOPIC.len() + 1 + PAYLOAD.len();
    let mut piece = [0; 4_000];
    while left > 0 {
        let room = left.min(piece.len());
        let count = client.read(&mut piece[..room]).await.unwrap();
        assert_ne!(count, 0, "closed with {left} bytes left");
        left -= count;
        sleep(rest).await;
    }
}

#[tokio::test]
async fn who_reads_slowly_but_reads_is_not_closed() {
    let limits = Limits { stall_wait: Duration::from_millis(300), ..Limits::default() };
    let (mut client, _running, _folder) = with_messages(3, limits).await;
    for _ in 0..3 {
        read_message(&mut client, Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn who_pings_while_it_is_not_read_is_not_silent() {
    let (mut client, _running, _folder) = with_messages(1, Limits::default()).await;
    for _ in 0..4 {
        sleep(Duration::from_millis(500)).await;
        client.write_all(&[0xc0, 0]).await.unwrap();
    }
    read_message(&mut client, Duration::ZERO).await;
    let mut answers = [0; 8];
    client.read_exact(&mut answers).await.unwrap();
    assert_eq!(answers, [0xd0, 0, 0xd0, 0, 0xd0, 0, 0xd0, 0]);
}
