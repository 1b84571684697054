//! A router that dies, or is spent, while many publish: nobody is disconnected, nothing is lost, what is retained stands.

use std::time::{Duration, Instant};

use flotilla_broker::Limits;

use crate::client::{Client, V4, V5};
use crate::{serve, until};

const EDGES: u8 = 20;
const MESSAGES: u32 = 300;
/// How often the router is killed, and how many messages one carries at most.
const DEATHS: u64 = 20;
const ROUTER_MESSAGES: u64 = 150;
/// The longest that a message may take, on a machine that does other things, too.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Publishes numbers one after the other and returns the longest time that one took to be acknowledged.
async fn publish(mut edge: Client, topic: String) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 0..MESSAGES {
        let began = Instant::now();
        assert_eq!(edge.publish(&topic, &number.to_be_bytes(), false, &[]).await, Some(0));
        longest = longest.max(began.elapsed());
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_dies_or_is_spent_under_load_costs_a_pause_and_nothing_else() {
    let served = serve(Limits { router_messages: ROUTER_MESSAGES, ..Limits::default() }).await;
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    center.retain((0..100).map(|i| (format!("fleet/v1/gate/r{i}"), vec![i])), &[]).await;
    let mut reader = Client::connect(served.address, V4, "center-c2").await;
    reader.subscribe("fleet/v1/edge/+/want", 1).await;
    let mut publishing = Vec::new();
    for i in 0..EDGES {
        let edge = Client::connect(served.address, V5, &format!("edge-e{i}")).await;
        publishing.push(tokio::spawn(publish(edge, format!("fleet/v1/edge/e{i}/want"))));
    }
    let meters = served.running.meters();
    let replaced = || meters.router_deaths.get() + meters.router_renewals.get();
    let all = u32::from(EDGES) * MESSAGES;
    let mut next = [0_u32; EDGES as usize];
    for count in 0..all {
        if u64::from(count) % (u64::from(all) / DEATHS) == 0 {
            let before = replaced();
            served.running.kill_router();
            until(|| replaced() != before).await;
        }
        let received = reader.received().await;
        let edge = received.topic.split('/').nth(3).and_then(|edge| edge[1..].parse::<usize>().ok()).unwrap();
        assert_eq!(received.payload, next[edge].to_be_bytes(), "edge {edge}");
        next[edge] += 1;
    }
    for edge in publishing {
        assert!(edge.await.unwrap() < PAUSE_MAX);
    }
    assert!(meters.router_deaths.get() > 0 && meters.router_renewals.get() > 0 && replaced() >= DEATHS);
    let mut late = Client::connect(served.address, V5, "dashboard").await;
    late.subscribe("fleet/v1/gate/+", 0).await;
    assert_eq!(late.received_so_far().await.len(), 100);
}
