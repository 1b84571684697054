//! PUBLISH and SUBSCRIBE: who may, and how messages arrive.

use std::time::Duration;

use flotilla_broker::Limits;

use crate::client::{Client, Connect, V4, V5};
use crate::serve;

const WANT: &str = "fleet/v1/edge/e1/want";

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_is_not_the_clients_to_make_is_refused_with_a_reason_or_ends_the_session() {
    let served = serve(Limits::default()).await;
    for (id, topic) in [
        ("edge-e1", "fleet/v1/edge/e2/want"),
        ("edge-e1", "fleet/v1/to/e1/desired"),
        ("dashboard", WANT),
        ("center-c1", "fleet/v1/center/c2/status"),
        ("center-c1", "elsewhere"),
    ] {
        let mut client = Client::connect(served.address, V5, id).await;
        assert_eq!(client.publish(topic, b"x", false, &[]).await, Some(0x87), "{id} {topic}");
        assert_eq!(client.publish(topic, b"x", true, &[]).await, Some(0x87), "{id} {topic}");
        client.shout(topic, b"x").await;
        assert_eq!(client.closed().await, Some(0x87), "at QoS 0 there is no other way to say it");
        let mut client = Client::connect(served.address, V4, id).await;
        assert_eq!(client.publish(topic, b"x", false, &[]).await, None, "{id} {topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_below_dollar_reaches_nobody_and_is_not_kept() {
    let served = serve(Limits::default()).await;
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    center.subscribe("#", 1).await;
    center.subscribe("$SYS/x", 1).await;
    assert_eq!(center.publish("$SYS/x", b"x", true, &[]).await, Some(0x10), "no matching subscribers");
    assert_eq!(center.received_so_far().await, []);
    let mut old = Client::connect(served.address, V4, "center-c2").await;
    assert_eq!(old.publish("$SYS/x", b"x", true, &[]).await, Some(0));
    assert_eq!(old.subscribe("$SYS/x", 1).await, 1);
    assert_eq!(old.received_so_far().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_granted_at_most_qos_1_or_refused_with_a_reason() {
    let served = serve(Limits { filters_per_session: 2, ..Limits::default() }).await;
    for (version, refused, too_many) in [(V4, 0x80, 0x80), (V5, 0x87, 0x97)] {
        let mut edge = Client::connect(served.address, version, "edge-e1").await;
        assert_eq!(edge.subscribe("fleet/v1/to/e2/#", 1).await, refused);
        assert_eq!(edge.subscribe("#", 1).await, refused);
        assert_eq!(edge.subscribe("fleet/v1/to/e1/#", 2).await, 1);
        assert_eq!(edge.subscribe("fleet/v1/catalog/#", 0).await, 0);
        assert_eq!(edge.subscribe("fleet/v1/gate/#", 0).await, too_many);
        assert_eq!(edge.subscribe("fleet/v1/catalog/#", 1).await, 1, "the same filter again");
        let mut dashboard = Client::connect(served.address, version, "dashboard").await;
        assert_eq!(dashboard.subscribe("fleet/v1/blob/+", 1).await, refused);
        assert_eq!(dashboard.subscribe("#", 1).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_may_listen_to_every_topic_of_chunks_besides_its_own() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    for first in 0..=u8::MAX {
        assert_eq!(edge.subscribe(&format!("fleet/v1/blob/{first:02x}"), 1).await, 1, "{first}");
    }
    assert_eq!(edge.subscribe("fleet/v1/to/e1/#", 1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_reads_everything_gets_no_chunks() {
    let served = serve(Limits::default()).await;
    let mut dashboard = Client::connect(served.address, V5, "dashboard").await;
    dashboard.subscribe("#", 1).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    edge.subscribe("fleet/v1/blob/+", 1).await;
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    for retain in [false, true] {
        center.publish("fleet/v1/blob/7f", b"chunk", retain, &[]).await;
        center.publish("fleet/v1/to/e1/ack", b"ack", false, &[]).await;
        assert_eq!(edge.received().await.payload, b"chunk");
        assert_eq!(dashboard.received().await.payload, b"ack");
    }
    let mut late = Client::connect(served.address, V5, "late").await;
    late.subscribe("#", 0).await;
    assert_eq!(late.received_so_far().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_at_the_smaller_qos_of_publish_and_subscription() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V4, "edge-e1").await;
    for (subscribed, expected) in [(0, [0, 0]), (1, [0, 1])] {
        let mut reader = Client::connect(served.address, V5, "center-c1").await;
        reader.subscribe(WANT, subscribed).await;
        edge.shout(WANT, b"0").await;
        edge.publish(WANT, b"1", false, &[]).await;
        assert_eq!([reader.received().await.qos, reader.received().await.qos], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_2_ends_the_session() {
    let served = serve(Limits::default()).await;
    for (version, reason) in [(V4, None), (V5, Some(0x9b))] {
        let mut edge = Client::connect(served.address, version, "edge-e1").await;
        let bytes = edge.publish_bytes(WANT, b"x", 2, false, &[]);
        edge.send(&bytes).await;
        assert_eq!(edge.closed().await, reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_alias_stands_for_its_topic_and_one_that_means_nothing_ends_the_session() {
    let served = serve(Limits { topic_aliases: 2, ..Limits::default() }).await;
    let mut reader = Client::connect(served.address, V5, "center-c1").await;
    reader.subscribe("fleet/v1/edge/e1/#", 1).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    let status = "fleet/v1/edge/e1/status";
    for (i, (topic, alias, meant)) in [
        (WANT, 1, WANT),
        ("", 1, WANT),
        (status, 2, status),
        ("", 1, WANT),
        (status, 1, status),
        ("", 1, status),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(edge.publish(topic, &[i as u8], false, &[35, 0, alias]).await, Some(0));
        let received = reader.received().await;
        assert_eq!((received.topic.as_str(), received.payload), (meant, vec![i as u8]));
        assert!(received.properties.is_empty(), "it is no alias towards others");
    }
    for (topic, alias, reason) in [("", 2, 0x94), (WANT, 0, 0x94), (WANT, 3, 0x94)] {
        let mut edge = Client::connect(served.address, V5, "edge-e1").await;
        let bytes = edge.publish_bytes(topic, b"x", 1, false, &[35, 0, alias]);
        edge.send(&bytes).await;
        assert_eq!(edge.closed().await, Some(reason), "{topic} {alias}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_options_hold_for_each_subscription() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    // No local; retain as published with an identifier.
    edge.subscribe("fleet/v1/edge/e1/#", 0b0000_0101).await;
    let mut reader = Client::connect(served.address, V5, "center-c1").await;
    reader.subscribe_with("fleet/v1/edge/e1/status", 0b0000_1001, &[11, 77]).await;
    reader.subscribe("fleet/v1/edge/+/want", 0).await;
    edge.publish("fleet/v1/edge/e1/status", b"s", true, &[]).await;
    edge.publish(WANT, b"w", true, &[]).await;
    let mut got = [reader.received().await, reader.received().await];
    got.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert_eq!((got[0].retain, got[0].properties.as_slice()), (true, &[11, 77][..]));
    assert_eq!((got[1].retain, got[1].properties.as_slice()), (false, &[][..]));
    assert_eq!(edge.received_so_far().await, []);
    edge.subscribe("fleet/v1/edge/e1/+", 0b0000_0101).await;
    assert_eq!(edge.received_so_far().await, [], "not even what is retained");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_unsubscribing_nothing_more_arrives() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V4, "edge-e1").await;
    let mut reader = Client::connect(served.address, V4, "center-c1").await;
    reader.subscribe(WANT, 0).await;
    edge.publish(WANT, b"1", false, &[]).await;
    assert_eq!(reader.received().await.payload, b"1");
    reader
        .send(&crate::client::packet(0xa2, &[vec![0, 1], crate::client::text(WANT.as_bytes())].concat()))
        .await;
    assert_eq!(reader.answer().await, Some((0xb0, vec![0, 1])));
    edge.publish(WANT, b"2", false, &[]).await;
    reader.subscribe(WANT, 0).await;
    edge.publish(WANT, b"3", false, &[]).await;
    assert_eq!(reader.received().await.payload, b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_sent_than_the_client_has_room_for_and_the_rest_follows() {
    let served = serve(Limits::default()).await;
    let asking = Connect { properties: vec![33, 0, 2], ..Connect::new(V5, "center-c1") };
    let (mut reader, _) = Client::connect_with(served.address, asking).await;
    reader.subscribe(WANT, 1).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    for i in 0..50 {
        edge.publish(WANT, &[i], false, &[]).await;
    }
    let first = reader.received_silently().await;
    let second = reader.received_silently().await;
    assert_eq!(reader.received_so_far().await, [], "the window is full");
    reader.acknowledge(second.pkid).await;
    reader.acknowledge(first.pkid).await;
    for i in 2..50 {
        assert_eq!(reader.received().await.payload, [i]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_too_long_ends_the_session_and_one_too_long_for_a_client_is_left_out() {
    let served = serve(Limits { packet_bytes: 1000, ..Limits::default() }).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    let asking = Connect { properties: vec![33, 0, 1, 39, 0, 0, 0, 100], ..Connect::new(V5, "center-c1") };
    let (mut reader, _) = Client::connect_with(served.address, asking).await;
    reader.subscribe(WANT, 1).await;
    for _ in 0..3 {
        assert_eq!(edge.publish(WANT, &[b'x'; 900], false, &[]).await, Some(0));
    }
    assert_eq!(edge.publish(WANT, b"short", false, &[]).await, Some(0));
    assert_eq!(reader.received().await.payload, b"short");
    let bytes = edge.publish_bytes(WANT, &[b'x'; 1000], 1, false, &[]);
    edge.send(&bytes).await;
    assert_eq!(edge.closed().await, Some(0x95));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_64_kib_arrives_whole() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    edge.subscribe("fleet/v1/blob/+", 1).await;
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    let chunk: Vec<u8> = (0..64 << 10).map(|i| (i % 251) as u8).collect();
    for _ in 0..20 {
        center.publish("fleet/v1/blob/00", &chunk, false, &[]).await;
        assert_eq!(edge.received().await.payload, chunk);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_closed_and_nobody_waits_for_it() {
    let limits = Limits { stall_wait: Duration::from_millis(300), connections: 3, ..Limits::default() };
    let served = serve(limits).await;
    let mut stalled = Client::connect(served.address, V5, "center-stalled").await;
    stalled.subscribe("fleet/v1/edge/e1/#", 0).await;
    let mut unacknowledging = Client::connect(served.address, V5, "center-silent").await;
    unacknowledging.subscribe("fleet/v1/edge/e1/#", 1).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    let payload = [0; 100_000];
    for _ in 0..200 {
        assert_eq!(edge.publish(WANT, &payload, false, &[]).await, Some(0));
    }
    assert_eq!(unacknowledging.closed().await, Some(0x97));
    // Two more fit only when both are gone. The one that reads nothing cannot be told.
    let _third = Client::connect_when_there_is_room(served.address, "x").await;
    let _fourth = Client::connect_when_there_is_room(served.address, "y").await;
    assert_eq!(stalled.closed().await, None);
    assert_eq!(edge.publish(WANT, b"x", false, &[]).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acknowledges_one_after_the_other_is_not_closed_however_long_more_waits() {
    let served = serve(Limits { stall_wait: Duration::from_millis(300), ..Limits::default() }).await;
    let asking = Connect { properties: vec![33, 0, 1], ..Connect::new(V5, "center-c1") };
    let (mut reader, _) = Client::connect_with(served.address, asking).await;
    reader.subscribe(WANT, 1).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    for i in 0..200 {
        edge.publish(WANT, &[i], false, &[]).await;
    }
    for i in 0..200 {
        assert_eq!(reader.received().await.payload, [i]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_at_qos_1_is_closed_when_messages_for_it_are_lost_and_not_left_in_the_dark() {
    let served = serve(Limits { queue_messages: 500, ..Limits::default() }).await;
    let asking = Connect { properties: vec![33, 0, 1], ..Connect::new(V5, "center-c1") };
    let (mut reader, _) = Client::connect_with(served.address, asking).await;
    reader.subscribe("fleet/v1/edge/e1/#", 1).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    for i in 0..2_000_u32 {
        edge.publish(WANT, &i.to_be_bytes().repeat(1_000), false, &[]).await;
    }
    // What it gets before that is complete.
    let mut next = 0_u32;
    while let Some((first, body)) = reader.packet().await {
        if first == 0xe0 {
            assert_eq!(body[0], 0x97);
            return;
        }
        assert!(body.ends_with(&next.to_be_bytes()));
        next += 1;
        let topic_end = 2 + WANT.len();
        reader.acknowledge(u16::from_be_bytes([body[topic_end], body[topic_end + 1]])).await;
    }
    panic!("closed without a reason after {next} messages");
}
