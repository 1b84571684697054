//! What is measured of a broker, each on one that has just been started.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::broker::Broker;
use crate::client::Client;
use crate::flow::{self, Publisher, Rate};
use crate::wire;

/// Publishers of a fan-in.
const PUBLISHERS: usize = 100;
/// Subscribers of a fan-out, and of what is retained.
const SUBSCRIBERS: usize = 1_000;
/// Payload bytes of all retained messages, of one subscriber's share.
const RETAINED_BYTES: usize = 512 << 10;
/// Retained messages, at most.
const RETAINED_MAX: usize = 500;
/// Round trips that are timed.
const ROUND_TRIPS: usize = 2_000;
/// Clients that connect.
pub const CROWD: usize = 9_500;
/// Connections that are being made at a time.
pub const AT_ONCE: usize = 64;
/// What each client of the crowd sends, and is sent.
const TRAFFIC: usize = 10;
/// Payload of the crowd's messages.
const TRAFFIC_BYTES: usize = 256;
/// Time for a broker to come to rest before its memory is read.
const REST: Duration = Duration::from_secs(1);

/// Edges publish at QoS 1, a center reads it all at QoS 1.
pub async fn fan_in(broker: &Broker, bytes: usize) -> io::Result<Rate> {
    let mut reader = Client::connect(broker.address, "center-c1").await?;
    reader.subscribe("fleet/v1/edge/+/want", 1).await?;
    let mut publishers = Vec::new();
    for i in 0..PUBLISHERS {
        let client = Client::connect(broker.address, &format!("edge-e{i}")).await?;
        let topic = format!("fleet/v1/edge/e{i}/want");
        publishers.push(Publisher { client, topic, payload: vec![b'x'; bytes], qos: 1 });
    }
    flow::measure(broker, publishers, vec![reader]).await
}

/// A center publishes to all edges.
pub async fn fan_out(broker: &Broker, bytes: usize, qos: u8) -> io::Result<Rate> {
    let topic = "fleet/v1/catalog/targets";
    let readers = connect_many(broker, SUBSCRIBERS, Some((topic, qos))).await?;
    let client = Client::connect(broker.address, "center-c1").await?;
    let publisher = Publisher { client, topic: topic.to_owned(), payload: vec![b'x'; bytes], qos };
    flow::measure(broker, vec![publisher], readers).await
}

/// From writing a publish to having it delivered, in microseconds: median and 99th of a hundred.
pub async fn round_trip(broker: &Broker, bytes: usize, qos: u8) -> io::Result<[f64; 2]> {
    let topic = "fleet/v1/to/e1/command";
    let mut writer = Client::connect(broker.address, "center-c1").await?;
    let mut reader = Client::connect(broker.address, "edge-e1").await?;
    reader.subscribe(topic, qos).await?;
    let packet = wire::publish(topic, (qos > 0).then_some(1), false, &vec![b'x'; bytes]);
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        writer.send(&packet).await?;
        while reader.take().await? == 0 {}
        times.push(began.elapsed().as_secs_f64() * 1e6);
        if qos > 0 {
            writer.answer(4).await?;
        }
    }
    times.sort_by(f64::total_cmp);
    Ok([times[times.len() / 2], times[times.len() * 99 / 100]])
}

/// What a crowd costs.
pub struct Crowd {
    /// Seconds until all were in.
    pub connecting_s: f64,
    /// Microseconds of the broker's processor time for each.
    pub connecting_cpu_us: f64,
    /// KiB of the broker's memory for each that has only connected.
    pub idle_kib: f64,
    /// The same after each has subscribed, published and been sent something.
    pub busy_kib: f64,
}

/// As many as fit connect, then talk.
pub async fn crowd(broker: &Broker) -> io::Result<Crowd> {
    let (rss, cpu, began) = (broker.rss_kib(), broker.cpu_us(), Instant::now());
    let clients = connect_many(broker, CROWD, None).await?;
    let connecting_s = began.elapsed().as_secs_f64();
    let connecting_cpu_us = (broker.cpu_us() - cpu) / CROWD as f64;
    let each_kib = || (broker.rss_kib() - rss) / CROWD as f64;
    sleep(REST).await;
    let idle_kib = each_kib();
    let _clients = talk_all(broker, clients).await?;
    sleep(REST).await;
    Ok(Crowd { connecting_s, connecting_cpu_us, idle_kib, busy_kib: each_kib() })
}

async fn talk_all(broker: &Broker, clients: Vec<Client>) -> io::Result<Vec<Client>> {
    let mut tasks = JoinSet::new();
    let mut clients = clients.into_iter().enumerate();
    for worker in 0..AT_ONCE {
        let share: Vec<_> = clients.by_ref().take(CROWD.div_ceil(AT_ONCE)).collect();
        let center = Client::connect(broker.address, &format!("center-c{worker}")).await?;
        tasks.spawn(talk(center, share));
    }
    let mut done = Vec::new();
    while let Some(talked) = tasks.join_next().await {
        done.extend(talked??);
    }
    Ok(done)
}

/// Each subscribes to what is for it, publishes, and is sent something.
async fn talk(mut center: Client, clients: Vec<(usize, Client)>) -> io::Result<Vec<Client>> {
    let mut done = Vec::new();
    for (i, mut client) in clients {
        client.subscribe(&format!("fleet/v1/to/e{i}/#"), 1).await?;
        let (up, down) = (format!("fleet/v1/edge/e{i}/want"), format!("fleet/v1/to/e{i}/command"));
        for _ in 0..TRAFFIC {
            client.send(&wire::publish(&up, Some(1), false, &[b'x'; TRAFFIC_BYTES])).await?;
            client.answer(4).await?;
            center.send(&wire::publish(&down, Some(1), false, &[b'x'; TRAFFIC_BYTES])).await?;
            center.answer(4).await?;
            while client.take().await? == 0 {}
        }
        done.push(client);
    }
    Ok(done)
}

/// What a center has retained goes to everyone who comes: all subscribe at once.
pub async fn retained(broker: &Broker, bytes: usize, qos: u8) -> io::Result<Rate> {
    let count = (RETAINED_BYTES / bytes).clamp(1, RETAINED_MAX);
    let mut center = Client::connect(broker.address, "center-c1").await?;
    for i in 0..count {
        let topic = format!("fleet/v1/gate/r{i}");
        center.send(&wire::publish(&topic, Some(1), true, &vec![b'x'; bytes])).await?;
        center.answer(4).await?;
    }
    let readers = connect_many(broker, SUBSCRIBERS, None).await?;
    let (cpu, began) = (broker.cpu_us(), Instant::now());
    let mut tasks = JoinSet::new();
    for mut reader in readers {
        tasks.spawn(async move {
            reader.send(&wire::subscribe(1, "fleet/v1/gate/+", qos)).await?;
            let mut taken = 0;
            while taken < count {
                taken += reader.take().await?;
            }
            Ok::<_, io::Error>(reader)
        });
    }
    while let Some(got) = tasks.join_next().await {
        got??;
    }
    let deliveries = (count * SUBSCRIBERS) as f64;
    let per_s = deliveries / began.elapsed().as_secs_f64();
    Ok(Rate { per_s, cpu_us: (broker.cpu_us() - cpu) / deliveries })
}

/// Connects clients, [`AT_ONCE`] at a time, in the order of their numbers, and has them subscribe.
pub async fn connect_many(
    broker: &Broker,
    count: usize,
    filter: Option<(&str, u8)>,
) -> io::Result<Vec<Client>> {
    let mut tasks = JoinSet::new();
    let (address, filter) = (broker.address, filter.map(|(filter, qos)| (Arc::<str>::from(filter), qos)));
    for worker in 0..AT_ONCE {
        let filter = filter.clone();
        tasks.spawn(async move {
            let mut clients = Vec::new();
            for i in (worker..count).step_by(AT_ONCE) {
                let mut client = Client::connect(address, &format!("edge-e{i}")).await?;
                if let Some((filter, qos)) = &filter {
                    client.subscribe(filter, *qos).await?;
                }
                clients.push((i, client));
            }
            Ok::<_, io::Error>(clients)
        });
    }
    let mut clients = Vec::with_capacity(count);
    while let Some(connected) = tasks.join_next().await {
        clients.extend(connected??);
    }
    clients.sort_by_key(|(i, _)| *i);
    Ok(clients.into_iter().map(|(_, client)| client).collect())
}
