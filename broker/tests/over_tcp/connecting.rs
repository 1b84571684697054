//! CONNECT, keep-alive, wills, takeover, and how sessions end.

use std::time::Duration;

use flotilla_broker::Limits;
use tokio::time::timeout;

use crate::client::{Client, Connect, V4, V5, text, user_property};
use crate::{PATIENCE, serve};

const AVAIL: &str = "fleet/v1/edge/e1/avail";

fn with_will(version: u8) -> Connect {
    let will = Some((AVAIL.as_bytes().to_vec(), b"offline".to_vec(), 1, true));
    Connect { will, ..Connect::new(version, "edge-e1") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connack_says_what_there_is() {
    let served = serve(Limits::default()).await;
    let asking = Connect { properties: vec![17, 0, 0, 0, 60], ..Connect::new(V5, "") };
    let (_, connack) = Client::connect_with(served.address, asking).await;
    let has = |part: &[u8]| connack.windows(part.len()).any(|window| window == part);
    assert_eq!(connack[..2], [0, 0]);
    assert!(has(&[36, 1]), "maximum QoS 1");
    assert!(has(&[34, 0, 16]), "sixteen topic aliases");
    assert!(has(&[19, 0, 60]), "a keep-alive of a minute, as it asked for none");
    assert!(has(b"assigned-"), "an assigned client id");
    let (_, connack) =
        Client::connect_with(served.address, Connect { clean: false, ..Connect::new(V4, "x") }).await;
    assert_eq!(connack, [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_connect_is_told_why() {
    let served = serve(Limits::default()).await;
    let connect = Connect::new;
    let other_will = |version| {
        let will = Some((b"fleet/v1/edge/e2/avail".to_vec(), Vec::new(), 0, true));
        Connect { will, ..connect(version, "edge-e1") }
    };
    let qos2_will = |version| {
        let will = Some((AVAIL.as_bytes().to_vec(), Vec::new(), 2, true));
        Connect { will, ..connect(version, "edge-e1") }
    };
    for (refused, code) in [
        (connect(V5, "edge-E1"), 0x85),
        (connect(V4, "center-"), 2),
        (connect(V5, &"x".repeat(129)), 0x85),
        (Connect { clean: false, ..connect(V4, "") }, 2),
        (connect(3, "x"), 1),
        (connect(6, "x"), 0x84),
        (other_will(V5), 0x87),
        (other_will(V4), 5),
        (qos2_will(V5), 0x9b),
        (qos2_will(V4), 3),
        (Connect { properties: vec![33, 0, 0], ..connect(V5, "x") }, 0x82),
        (Connect { properties: [&[21][..], &text(&[b'x'; 0xffff])].concat(), ..connect(V5, "x") }, 0x8c),
    ] {
        let (mut client, connack) = Client::try_connect(served.address, refused).await;
        assert_eq!(connack[1], code);
        assert!(connack.len() < 300, "the reason is short");
        assert_eq!(client.closed().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_published_unless_the_client_says_goodbye() {
    let served = serve(Limits::default()).await;
    let mut watcher = Client::connect(served.address, V5, "dashboard").await;
    watcher.subscribe("fleet/v1/edge/e1/#", 1).await;
    let endings: [(&[u8], bool); 4] =
        [(&[0xe0, 0], false), (&[0xe0, 1, 4], true), (&[], true), (&[0xf0, 0], true)];
    for (i, (goodbye, will)) in endings.into_iter().enumerate() {
        let (mut edge, _) = Client::connect_with(served.address, with_will(V5)).await;
        edge.send(goodbye).await;
        edge.stream.set_zero_linger().unwrap();
        if !goodbye.is_empty() {
            edge.closed().await;
        }
        drop(edge);
        // The next session of this client begins when the former is over.
        let mut edge = Client::connect(served.address, V5, "edge-e1").await;
        let marker = format!("{i}");
        edge.publish("fleet/v1/edge/e1/want", marker.as_bytes(), false, &[]).await;
        if will {
            assert_eq!(watcher.received().await.payload, b"offline", "{goodbye:?}");
        }
        assert_eq!(watcher.received().await.payload, marker.as_bytes(), "{goodbye:?}");
    }
    let mut late = Client::connect(served.address, V4, "late").await;
    late.subscribe(AVAIL, 1).await;
    let retained = late.received().await;
    assert_eq!((retained.payload.as_slice(), retained.retain), (&b"offline"[..], true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_there_is_no_room_to_retain_is_published() {
    let served = serve(Limits { retained_count: 0, ..Limits::default() }).await;
    let mut watcher = Client::connect(served.address, V5, "dashboard").await;
    watcher.subscribe(AVAIL, 1).await;
    drop(Client::connect_with(served.address, with_will(V5)).await);
    assert_eq!(watcher.received().await.payload, b"offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_is_too_long_is_not_read_to_its_end() {
    let connect_wait = Duration::from_secs(3600);
    let served = serve(Limits { connect_bytes: 1_000, connect_wait, ..Limits::default() }).await;
    let connect = |id| {
        let will = Some((AVAIL.as_bytes().to_vec(), vec![b'x'; 900], 1, false));
        Connect { will, ..Connect::new(V5, id) }
    };
    Client::connect_with(served.address, connect("edge-e1")).await;
    let mut client = Client::open(served.address, V5).await;
    let long = Connect { will_properties: user_property("k", &"x".repeat(100)), ..connect("edge-e1") };
    client.send(&long.bytes()[..10]).await;
    assert_eq!(client.packet().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_tells_the_former_and_publishes_its_will_before_the_new_one_speaks() {
    let served = serve(Limits::default()).await;
    let mut watcher = Client::connect(served.address, V5, "dashboard").await;
    watcher.subscribe(AVAIL, 1).await;
    for _ in 0..20 {
        let (mut former, _) = Client::connect_with(served.address, with_will(V5)).await;
        let mut new = Client::connect(served.address, V5, "edge-e1").await;
        assert_eq!(new.publish(AVAIL, b"online", true, &[]).await, Some(0));
        assert_eq!(former.closed().await, Some(0x8e));
        assert_eq!(watcher.received().await.payload, b"offline");
        assert_eq!(watcher.received().await.payload, b"online");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_closed_and_its_will_published_though_messages_reach_it() {
    let served = serve(Limits::default()).await;
    let mut watcher = Client::connect(served.address, V5, "center-c1").await;
    watcher.subscribe(AVAIL, 1).await;
    let (mut edge, _) =
        Client::connect_with(served.address, Connect { keep_alive_s: 1, ..with_will(V5) }).await;
    edge.subscribe("fleet/v1/to/e1/#", 0).await;
    let talking = tokio::spawn(async move {
        let mut center = Client::connect(served.address, V5, "center-c2").await;
        loop {
            center.shout("fleet/v1/to/e1/ack", b"x").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(edge.closed().await, Some(0x8d));
    assert_eq!(watcher.received().await.payload, b"offline");
    talking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_keeps_a_session_alive() {
    let served = serve(Limits::default()).await;
    let (mut client, _) =
        Client::connect_with(served.address, Connect { keep_alive_s: 1, ..Connect::new(V4, "x") }).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.send(&[0xc0, 0]).await;
        assert_eq!(client.packet().await, Some((0xd0, Vec::new())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_after_connecting_is_closed() {
    let served = serve(Limits { connect_wait: Duration::from_millis(200), ..Limits::default() }).await;
    let mut client = Client::open(served.address, V5).await;
    client.send(&[0x10]).await;
    assert_eq!(client.packet().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_half_open_connections_of_an_address_one_is_closed_at_once() {
    let served = serve(Limits { half_open_per_address: 1, ..Limits::default() }).await;
    let mut first = Client::open(served.address, V5).await;
    let mut second = Client::open(served.address, V5).await;
    assert_eq!(second.packet().await, None);
    first.send(&Connect::new(V5, "x").bytes()).await;
    assert!(first.packet().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_connections_of_an_address_one_is_closed_at_once_until_another_leaves() {
    let served = serve(Limits { connections_per_address: 1, ..Limits::default() }).await;
    let first = Client::connect(served.address, V5, "x").await;
    let mut second = Client::open(served.address, V5).await;
    assert_eq!(second.packet().await, None);
    drop(first);
    let trying = async {
        loop {
            let mut next = Client::open(served.address, V5).await;
            next.send(&Connect::new(V5, "x").bytes()).await;
            if next.packet().await.is_some() {
                return;
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("room in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_all_half_open_connections_the_next_one_waits_until_another_has_had_its_time() {
    let connect_wait = Duration::from_millis(300);
    let served = serve(Limits { half_open: 1, connect_wait, ..Limits::default() }).await;
    let mut silent = Client::open(served.address, V5).await;
    let mut next = Client::open(served.address, V5).await;
    next.send(&Connect::new(V5, "x").bytes()).await;
    assert_eq!(next.packet().await.expect("a CONNACK").0, 0x20);
    assert_eq!(silent.packet().await, None, "its time was over before");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_come_at_once_wait_in_the_systems_queue() {
    let served = serve(Limits { half_open: 1, ..Limits::default() }).await;
    let _silent = Client::open(served.address, V5).await;
    let mut waiting = Vec::new();
    for _ in 0..500 {
        // Who finds no room in the queue is not connected before a second is over.
        let opening = timeout(Duration::from_millis(900), Client::open(served.address, V5));
        waiting.push(opening.await.expect("room in the queue"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_tells_clients_and_publishes_no_wills() {
    let served = serve(Limits::default()).await;
    let (mut new, _) = Client::connect_with(served.address, with_will(V5)).await;
    let mut old = Client::connect(served.address, V4, "x").await;
    new.publish(AVAIL, b"online", true, &[]).await;
    served.running.stop().await;
    assert_eq!(new.closed().await, Some(0x8b));
    assert_eq!(old.closed().await, None);
    let again = crate::serve_in(served.folder, Limits::default()).await;
    let mut reader = Client::connect(again.address, V5, "x").await;
    reader.subscribe(AVAIL, 0).await;
    assert_eq!(reader.received().await.payload, b"online");
}
