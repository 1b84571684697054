//! Sessions that outlive their connections, and shared subscriptions.

use flotilla_broker::Limits;
use flotilla_broker::meters::Dropped;

use crate::client::{Client, Connect, Received, V4, V5};
use crate::{Served, serve, until};

const WANT: &str = "fleet/v1/edge/e1/want";
const AVAIL: &str = "fleet/v1/edge/e1/avail";

/// A session of this many seconds.
fn lasting(id: &str, expiry_s: u8) -> Connect {
    Connect { clean: false, properties: vec![17, 0, 0, 0, expiry_s], ..Connect::new(V5, id) }
}

/// Whether a session was there.
fn present(connack: &[u8]) -> bool {
    connack[0] == 1
}

fn payloads(received: &[Received]) -> Vec<u8> {
    received.iter().map(|received| received.payload[0]).collect()
}

async fn edge(served: &Served) -> Client {
    Client::connect(served.address, V5, "edge-e1").await
}

/// Waits until so many clients are connected: the end of a connection is noticed in its own time.
async fn connected(served: &Served, count: u64) {
    until(|| served.running.meters().connections.get() == count).await;
}

/// Waits until so many messages wait: a publish is acknowledged before it is delivered.
async fn waiting(served: &Served, count: u64) {
    until(|| served.running.meters().queued_messages.get() == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_subscriptions_and_messages_for_a_client_that_is_away() {
    let served = serve(Limits::default()).await;
    let v4 = Connect { clean: false, ..Connect::new(V4, "center-c1") };
    for connect in [lasting("center-c1", 99), v4] {
        let (mut reader, connack) = Client::connect_with(served.address, connect.clone()).await;
        assert!(!present(&connack));
        reader.subscribe(WANT, 1).await;
        drop(reader);
        connected(&served, 0).await;
        let mut edge = edge(&served).await;
        for i in 0..10 {
            edge.publish(WANT, &[i], false, &[]).await;
        }
        let (mut reader, connack) = Client::connect_with(served.address, connect.clone()).await;
        assert!(present(&connack));
        for i in 0..10 {
            assert_eq!(reader.received().await.payload, [i]);
        }
        drop((reader, edge));
        connected(&served, 0).await;
        let (mut clean, connack) =
            Client::connect_with(served.address, Connect { clean: true, ..connect.clone() }).await;
        assert!(!present(&connack), "a clean start ends what was");
        assert_eq!(clean.received_so_far().await, []);
        assert_eq!(served.running.meters().subscriptions.get(), 0);
        let over = Connect { clean: true, properties: Vec::new(), ..connect };
        drop((clean, Client::connect_with(served.address, over).await));
        connected(&served, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_first_and_as_a_duplicate() {
    let served = serve(Limits::default()).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    reader.subscribe(WANT, 1).await;
    let mut edge = edge(&served).await;
    for i in 0..3 {
        edge.publish(WANT, &[i], false, &[]).await;
    }
    let first = [
        reader.received_silently().await,
        reader.received_silently().await,
        reader.received_silently().await,
    ];
    reader.acknowledge(first[1].pkid).await;
    reader.received_so_far().await;
    drop(reader);
    connected(&served, 1).await;
    edge.publish(WANT, &[3], false, &[]).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    for (payload, pkid) in [(0, Some(first[0].pkid)), (2, Some(first[2].pkid)), (3, None)] {
        let (head, body) = reader.packet().await.unwrap();
        assert_eq!((head & 8 != 0, body.last()), (pkid.is_some(), Some(&payload)));
        let topic_end = 2 + WANT.len();
        let got = u16::from_be_bytes([body[topic_end], body[topic_end + 1]]);
        assert!(pkid.is_none_or(|pkid| pkid == got));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_its_time_is_over_or_its_client_says_so() {
    let served = serve(Limits::default()).await;
    let meters = served.running.meters();
    for (expiry_s, goodbye) in
        [(1, &b""[..]), (99, &[0xe0, 7, 0, 5, 17, 0, 0, 0, 0]), (99, &[0xe0, 7, 0, 5, 17, 0, 0, 0, 1])]
    {
        let (mut reader, connack) =
            Client::connect_with(served.address, lasting("center-c1", expiry_s)).await;
        assert!(!present(&connack));
        reader.subscribe(WANT, 1).await;
        reader.send(goodbye).await;
        drop(reader);
        until(|| meters.sessions.get() == 0 && meters.subscriptions.get() == 0).await;
    }
    // A session that had no end cannot be given one at the end.
    let mut reader = Client::connect(served.address, V5, "center-c1").await;
    reader.send(&[0xe0, 7, 0, 5, 17, 0, 0, 0, 9]).await;
    assert_eq!(reader.closed().await, Some(0x82));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_client_that_is_away_is_bounded_and_what_is_dropped_is_counted() {
    let served = serve(Limits { queue_messages: 5, ..Limits::default() }).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    reader.subscribe(WANT, 1).await;
    drop(reader);
    connected(&served, 0).await;
    let mut edge = edge(&served).await;
    for i in 0..4 {
        edge.shout(WANT, &[i]).await;
    }
    for i in 4..12 {
        edge.publish(WANT, &[i], false, &[]).await;
    }
    let meters = served.running.meters();
    until(|| meters.dropped(Dropped::QueueFullQos1).get() >= 3).await;
    assert_eq!(meters.dropped(Dropped::QueueFullQos0).get(), 4);
    let (mut reader, connack) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    assert!(present(&connack));
    assert_eq!(payloads(&reader.received_so_far().await), [4, 5, 6, 7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_that_is_over_leaves_nothing_behind_that_waits_for_its_end() {
    let served = serve(Limits::default()).await;
    let ages = Connect { properties: vec![17, 0xff, 0xff, 0xff, 0xfe], ..lasting("center-c1", 0) };
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..20 {
        drop(Client::connect_with(served.address, ages.clone()).await);
        connected(&served, 0).await;
    }
    until(|| tasks() <= before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_subscription_outlives_the_connection_of_an_edge() {
    let served = serve(Limits::default()).await;
    let ack = "fleet/v1/to/e1/ack";
    let (mut edge, _) = Client::connect_with(served.address, lasting("edge-e1", 99)).await;
    assert_eq!(edge.subscribe(&format!("$share/g/{ack}"), 1).await, 1);
    drop(edge);
    connected(&served, 0).await;
    let (mut edge, connack) = Client::connect_with(served.address, lasting("edge-e1", 99)).await;
    assert!(present(&connack));
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    center.publish(ack, b"x", false, &[]).await;
    assert_eq!(edge.received().await.payload, b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_a_client_that_was_away_tells_no_latency_and_counts_as_dropped_with_its_session() {
    let served = serve(Limits::default()).await;
    let meters = served.running.meters();
    let mut edge = edge(&served).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    reader.subscribe(WANT, 1).await;
    edge.publish(WANT, &[0], false, &[]).await;
    reader.received_silently().await;
    assert_eq!(meters.latency.count(), 1);
    drop(reader);
    connected(&served, 1).await;
    edge.publish(WANT, &[1], false, &[]).await;
    waiting(&served, 1).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    assert_eq!(payloads(&[reader.received_silently().await, reader.received_silently().await]), [0, 1]);
    assert_eq!(meters.latency.count(), 1, "neither what comes again nor what waited");
    drop(reader);
    connected(&served, 1).await;
    edge.publish(WANT, &[2], false, &[]).await;
    waiting(&served, 1).await;
    Client::connect(served.address, V5, "center-c1").await;
    assert_eq!(meters.dropped(Dropped::SessionEnded).get(), 3);
}

fn with_will(delay_s: u8, expiry_s: u8) -> Connect {
    let will = Some((AVAIL.as_bytes().to_vec(), b"offline".to_vec(), 1, false));
    Connect { will, will_properties: vec![24, 0, 0, 0, delay_s], ..lasting("edge-e1", expiry_s) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_waits_for_its_delay_or_the_end_of_the_session_and_not_for_a_client_that_came_back() {
    let served = serve(Limits::default()).await;
    let mut watcher = Client::connect(served.address, V5, "center-c1").await;
    watcher.subscribe("fleet/v1/edge/e1/#", 1).await;
    for (delay_s, expiry_s) in [(1, 99), (99, 1)] {
        let (edge, _) = Client::connect_with(served.address, with_will(delay_s, expiry_s)).await;
        drop(edge);
        assert_eq!(watcher.received().await.payload, b"offline");
    }
    let (former, _) = Client::connect_with(served.address, with_will(99, 99)).await;
    let (mut back, connack) = Client::connect_with(served.address, lasting("edge-e1", 99)).await;
    assert!(present(&connack));
    drop(former);
    back.publish(WANT, b"back", false, &[]).await;
    assert_eq!(watcher.received().await.payload, b"back", "no will");
    drop(back);
    // A clean start ends the session, and with it the delay.
    let (former, _) = Client::connect_with(served.address, with_will(99, 99)).await;
    drop(former);
    let clean = Connect { clean: true, ..lasting("edge-e1", 0) };
    let (mut clean, _) = Client::connect_with(served.address, clean).await;
    clean.publish(WANT, b"clean", false, &[]).await;
    assert_eq!(watcher.received().await.payload, b"offline");
    assert_eq!(watcher.received().await.payload, b"clean");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_are_too_many_sessions_the_one_whose_client_left_first_goes() {
    let served = serve(Limits { sessions: 2, ..Limits::default() }).await;
    for id in ["center-c1", "center-c2", "center-c3"] {
        let (client, _) = Client::connect_with(served.address, lasting(id, 99)).await;
        drop(client);
        connected(&served, 0).await;
    }
    for (id, there) in [("center-c3", true), ("center-c2", true), ("center-c1", false)] {
        let (client, connack) = Client::connect_with(served.address, lasting(id, 99)).await;
        assert_eq!(present(&connack), there, "{id}");
        drop(client);
        connected(&served, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_subscription_serves_each_message_once_and_a_stuck_member_loses_none() {
    let served = serve(Limits::default()).await;
    let share = "$share/g/fleet/v1/edge/+/want";
    let mut stuck = Client::connect(served.address, V5, "center-stuck").await;
    let mut quick = Client::connect(served.address, V4, "center-quick").await;
    for member in [&mut stuck, &mut quick] {
        assert_eq!(member.subscribe(share, 1).await, 1);
    }
    let mut edge = edge(&served).await;
    let mut got = std::collections::BTreeSet::new();
    for i in 0..200 {
        assert_eq!(edge.publish(WANT, &[i], false, &[]).await, Some(0));
        until(|| served.running.meters().messages_out.get() > u64::from(i)).await;
        for received in quick.received_so_far().await {
            got.insert(received.payload[0]);
            quick.acknowledge(received.pkid).await;
        }
    }
    assert!(got.len() >= 180, "{} of 200 came while the stuck member was there", got.len());
    drop(stuck);
    while got.len() < 200 {
        let received = quick.received().await;
        got.insert(received.payload[0]);
    }
    assert_eq!(served.running.meters().dropped(Dropped::NoMember).get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_killed_is_replaced_and_no_message_is_lost() {
    let served = serve(Limits::default()).await;
    let mut reader = Client::connect(served.address, V5, "center-c1").await;
    reader.subscribe(WANT, 1).await;
    let mut edge = edge(&served).await;
    let deaths = &served.running.meters().router_deaths;
    for i in 0..100 {
        if i % 10 == 5 {
            served.running.kill_router();
        }
        assert_eq!(edge.publish(WANT, &[i], i == 99, &[]).await, Some(0));
        until(|| deaths.get() >= (u64::from(i) + 5) / 10 || i % 10 != 9).await;
    }
    for i in 0..100 {
        assert_eq!(reader.received().await.payload, [i]);
    }
    assert_eq!(deaths.get(), 10);
    let mut late = Client::connect(served.address, V5, "center-c2").await;
    late.subscribe(WANT, 0).await;
    assert_eq!(late.received().await.payload, [99], "what is retained stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_has_carried_its_share_is_replaced_with_nobody_noticing() {
    let served = serve(Limits { router_messages: 50, ..Limits::default() }).await;
    let mut reader = Client::connect(served.address, V5, "center-c1").await;
    reader.subscribe(WANT, 1).await;
    let mut edge = edge(&served).await;
    for i in 0..120 {
        assert_eq!(edge.publish(WANT, &[i], false, &[]).await, Some(0));
        assert_eq!(reader.received().await.payload, [i]);
    }
    assert_eq!(served.running.meters().router_renewals.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_expires_comes_with_what_is_left_of_its_time_or_not_at_all() {
    let served = serve(Limits::default()).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    reader.subscribe(WANT, 1).await;
    drop(reader);
    connected(&served, 0).await;
    let mut edge = edge(&served).await;
    edge.publish(WANT, b"short", false, &[2, 0, 0, 0, 1]).await;
    edge.publish(WANT, b"long", false, &[2, 0, 0, 0, 100]).await;
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    let (mut reader, _) = Client::connect_with(served.address, lasting("center-c1", 99)).await;
    let received = reader.received().await;
    assert_eq!(received.payload, b"long");
    assert!(matches!(received.properties[..], [2, 0, 0, 0, 90..=98]), "{received:?}");
    assert_eq!(served.running.meters().dropped(Dropped::Expired).get(), 1);
}
