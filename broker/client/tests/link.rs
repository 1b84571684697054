//! A link against the embedded broker, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flotilla_broker::{Broker, Config, Running};
use flotilla_link::{BrokerUrl, Delivery, Entry, Link, LinkConfig, LinkEvent};
use flotilla_schemas::sign::{Keys, SecretKey, verify};
use flotilla_schemas::topic::Tree;
use flotilla_schemas::{FleetId, Topic};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn broker(data: &Path, address: &str) -> (Running, SocketAddr) {
    let running = Broker::start(Config::open(address.parse().unwrap(), data)).await.unwrap();
    let address = running.local_addrs()[0];
    (running, address)
}

fn key() -> SecretKey {
    SecretKey::from_seed("e1".parse().unwrap(), [1; 32])
}

fn link(address: SocketAddr, client: &str, filters: &[&str]) -> (Link, Receiver<LinkEvent>) {
    link_of(FleetId::default(), address, client, filters)
}

fn link_of(
    fleet: FleetId,
    address: SocketAddr,
    client: &str,
    filters: &[&str],
) -> (Link, Receiver<LinkEvent>) {
    Link::start(LinkConfig {
        broker: Entry::from(format!("mqtt://{address}").parse::<BrokerUrl>().unwrap()).open().unwrap(),
        fleet,
        client: client.to_owned(),
        will: None,
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        foreign: Vec::new(),
        signer: Some(key()),
    })
}

async fn next(events: &mut Receiver<LinkEvent>, wanted: impl Fn(&LinkEvent) -> bool) -> LinkEvent {
    let wait = async {
        loop {
            let event = events.recv().await.expect("the link lives");
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(SOON, wait).await.expect("in time")
}

fn is_connected(event: &LinkEvent) -> bool {
    *event == LinkEvent::Connected
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_is_signed_arrives_signed_and_what_is_not_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (running, address) = broker(folder.path(), "127.0.0.1:0").await;
    let (center, mut heard) = link(address, "center-c1", &["edge/+/#"]);
    next(&mut heard, is_connected).await;
    let (edge, mut events) = link(address, "edge-e1", &[]);
    next(&mut events, is_connected).await;
    let (want, avail) = (topic("edge/e1/want"), topic("edge/e1/avail"));
    edge.publish(&want, b"{}".to_vec(), Delivery::Message).unwrap();
    edge.publish(&avail, b"online".to_vec(), Delivery::State).unwrap();
    let LinkEvent::Message(signed) = next(&mut heard, |e| matches!(e, LinkEvent::Message(_))).await else {
        panic!()
    };
    let keys = Keys::from([(key().id().clone(), key().public())]);
    let signed_for = Tree::of(FleetId::default()).text(&signed.topic);
    assert_eq!(verify(&keys, &signed_for, &signed.payload, signed.sig.as_ref()), Ok(()));
    let LinkEvent::Message(plain) = next(&mut heard, |e| matches!(e, LinkEvent::Message(_))).await else {
        panic!()
    };
    assert_eq!((plain.topic, plain.sig), (avail, None));
    edge.stop().await;
    center.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_published_while_the_broker_was_away_arrives_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (running, address) = broker(folder.path(), "127.0.0.1:0").await;
    let (edge, mut events) = link(address, "edge-e1", &[]);
    let (center, mut heard) = link(address, "center-c1", &["edge/+/#"]);
    next(&mut events, is_connected).await;
    next(&mut heard, is_connected).await;
    running.stop().await;
    next(&mut events, |event| matches!(event, LinkEvent::Disconnected { .. })).await;
    next(&mut heard, |event| matches!(event, LinkEvent::Disconnected { .. })).await;
    for number in 0..200 {
        edge.publish(&topic("edge/e1/want"), vec![number], Delivery::Message).unwrap();
        edge.publish(&topic("edge/e1/status"), vec![number], Delivery::State).unwrap();
    }
    let (running, _) = broker(folder.path(), &address.to_string()).await;
    // The center may come back after the edge: what is not retained is for those who are there.
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    while states.last() != Some(&199) {
        match next(&mut heard, |event| matches!(event, LinkEvent::Message(_))).await {
            LinkEvent::Message(message) if message.topic == topic("edge/e1/status") => {
                states.push(message.payload[0]);
            }
            LinkEvent::Message(message) => wants.push(message.payload[0]),
            _ => {}
        }
    }
    assert_eq!(states, [199], "of a state that waits, only the last is sent");
    assert!(wants.is_sorted());
    edge.stop().await;
    center.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn a_refused_publish_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (running, address) = broker(folder.path(), "127.0.0.1:0").await;
    let (edge, mut events) = link(address, "edge-e1", &[]);
    next(&mut events, is_connected).await;
    edge.publish(&topic("edge/e2/want"), b"{}".to_vec(), Delivery::Message).unwrap();
    let refused = next(&mut events, |event| matches!(event, LinkEvent::Refused { .. })).await;
    let LinkEvent::Refused { topic, error } = refused else { panic!() };
    assert_eq!((topic.as_str(), error.as_str()), ("fleet/v1/edge/e2/want", "NotAuthorized"));
    edge.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn two_fleets_with_edges_of_the_same_ids_share_a_broker_and_neither_hears_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (running, address) = broker(folder.path(), "127.0.0.1:0").await;
    let mut fleets = Vec::new();
    for name in ["fleet", "north"] {
        let fleet: FleetId = name.parse().unwrap();
        let (center, mut heard) = link_of(fleet.clone(), address, "center-c1", &["edge/+/#"]);
        let (edge, mut events) = link_of(fleet, address, "edge-e1", &["to/e1/#"]);
        next(&mut heard, is_connected).await;
        next(&mut events, is_connected).await;
        fleets.push((name, center, heard, edge, events));
    }
    for (name, _, _, edge, _) in &fleets {
        edge.publish(&topic("edge/e1/want"), name.as_bytes().to_vec(), Delivery::Message).unwrap();
        edge.publish(&topic("edge/e1/avail"), b"last".to_vec(), Delivery::State).unwrap();
    }
    for (name, center, mut heard, edge, events) in fleets {
        let mut said = Vec::new();
        while said.last().is_none_or(|last| last != b"last") {
            let LinkEvent::Message(message) = next(&mut heard, |_| true).await else { panic!() };
            said.push(message.payload);
        }
        assert_eq!(said, [name.as_bytes(), b"last"], "and nobody took the connection of anybody");
        edge.stop().await;
        center.stop().await;
        drop(events);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_no_error_but_an_event() {
    let (edge, mut events) = link("127.0.0.1:1".parse().unwrap(), "edge-e1", &[]);
    next(&mut events, |event| matches!(event, LinkEvent::Disconnected { .. })).await;
    edge.stop().await;
    assert!(matches!(timeout(SOON, async { while events.recv().await.is_some() {} }).await, Ok(())));
}
