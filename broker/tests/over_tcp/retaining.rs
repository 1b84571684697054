//! Retained messages: all of them, to everyone, over restarts.

use flotilla_broker::Limits;

use crate::client::{Client, V4, V5, user_property};
use crate::{serve, serve_in};

fn topic(i: usize) -> String {
    format!("fleet/v1/distribution/app/app-{}/edge-{i}", i % 7)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_subscriber_gets_every_retained_message_at_either_qos_after_a_restart_too() {
    const COUNT: usize = 3_000;
    let served = serve(Limits::default()).await;
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    let messages = (0..COUNT).map(|i| (topic(i), i.to_string().into_bytes()));
    center.retain(messages, &user_property("sig", "k:AA")).await;
    served.running.stop().await;
    let served = serve_in(served.folder, Limits::default()).await;
    for (version, qos) in [(V4, 0), (V4, 1), (V5, 0), (V5, 1)] {
        let mut reader = Client::connect(served.address, version, "dashboard").await;
        reader.subscribe("fleet/v1/distribution/+/+/#", qos).await;
        let mut got = Vec::new();
        for _ in 0..COUNT {
            let received = reader.received().await;
            assert!(received.retain);
            assert_eq!(received.qos, qos);
            assert_eq!(version == V5, !received.properties.is_empty());
            got.push((received.topic, received.payload));
        }
        assert_eq!(reader.received_so_far().await, []);
        let mut expected: Vec<_> = (0..COUNT).map(|i| (topic(i), i.to_string().into_bytes())).collect();
        got.sort();
        expected.sort();
        assert!(got == expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_payload_deletes_only_with_the_retain_flag_and_for_good() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V4, "edge-e1").await;
    let (kept, gone) = ("fleet/v1/edge/e1/status", "fleet/v1/edge/e1/fault/app/app.trap");
    for topic in [kept, gone] {
        edge.publish(topic, b"x", true, &[]).await;
    }
    edge.publish(kept, b"", false, &[]).await;
    edge.publish(gone, b"", true, &[]).await;
    let mut folder = served.folder;
    let mut running = served.running;
    let mut address = served.address;
    for _ in 0..2 {
        let mut reader = Client::connect(address, V5, "dashboard").await;
        reader.subscribe("#", 1).await;
        let got: Vec<String> =
            reader.received_so_far().await.into_iter().map(|received| received.topic).collect();
        assert_eq!(got, [kept]);
        running.stop().await;
        let again = serve_in(folder, Limits::default()).await;
        (folder, running, address) = (again.folder, again.running, again.address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_handling_says_when_retained_messages_come() {
    let served = serve(Limits::default()).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    edge.publish("fleet/v1/edge/e1/status", b"x", true, &[]).await;
    let mut reader = Client::connect(served.address, V5, "dashboard").await;
    let mut count = async |filter: &str, handling: u8| {
        reader.subscribe(filter, handling << 4).await;
        reader.received_so_far().await.len()
    };
    assert_eq!(
        [count("#", 2).await, count("#", 1).await, count("#", 0).await, count("#", 0).await],
        [0, 0, 1, 1]
    );
    assert_eq!([count("+/#", 1).await, count("+/#", 1).await], [1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_in_the_midst_of_updates_ends_with_the_last() {
    let served = serve(Limits::default()).await;
    let status = "fleet/v1/edge/e1/status";
    let address = served.address;
    let writing = tokio::spawn(async move {
        let mut edge = Client::connect(address, V5, "edge-e1").await;
        for i in 0..500_u32 {
            edge.publish(status, &i.to_be_bytes(), true, &[]).await;
        }
    });
    let mut readers = Vec::new();
    for i in 0..40 {
        let mut reader = Client::connect(address, V5, &format!("dashboard-{i}")).await;
        reader.subscribe(status, 1).await;
        readers.push(tokio::spawn(async move {
            while reader.received().await.payload != 499_u32.to_be_bytes() {}
        }));
    }
    writing.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_limit_a_new_retained_message_is_refused_and_the_rest_stands() {
    let served = serve(Limits { retained_count: 2, ..Limits::default() }).await;
    let mut edge = Client::connect(served.address, V5, "edge-e1").await;
    for (name, code) in [("a", 0), ("b", 0), ("c", 0x97), ("a", 0)] {
        let topic = format!("fleet/v1/edge/e1/release/app/{name}");
        assert_eq!(edge.publish(&topic, b"x", true, &[]).await, Some(code), "{name}");
    }
    let mut old = Client::connect(served.address, V4, "edge-e1").await;
    assert_eq!(old.publish("fleet/v1/edge/e1/release/app/c", b"x", true, &[]).await, None, "closed");
    let mut reader = Client::connect(served.address, V4, "dashboard").await;
    reader.subscribe("#", 0).await;
    assert_eq!(reader.received_so_far().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_retains_all_it_can_leaves_the_others_their_room() {
    let served =
        serve(Limits { retained_bytes: 1 << 20, retained_bytes_per_writer: 1 << 19, ..Limits::default() })
            .await;
    let mut greedy = Client::connect(served.address, V5, "edge-greedy").await;
    let mut codes = Vec::new();
    for i in 0..8 {
        let topic = format!("fleet/v1/edge/greedy/release/app/app-{i}");
        codes.push(greedy.publish(&topic, &[0; 100_000], true, &[]).await);
    }
    assert_eq!(codes, [[Some(0); 5].as_slice(), &[Some(0x97); 3]].concat());
    let mut modest = Client::connect(served.address, V5, "edge-modest").await;
    assert_eq!(modest.publish("fleet/v1/edge/modest/status", &[0; 100_000], true, &[]).await, Some(0));
}
