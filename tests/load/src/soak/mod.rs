//! Ten thousand edges for some minutes: each publishes once a second and is answered now and then by a center, some come
//! and go at random, half of these with sessions that go on. Nothing may be lost in either direction for those that
//! stay, and the broker's memory is to be flat.
//!
//! What is published carries a number that rises by one, and so do the answers: the center notices a gap of an edge
//! that stays, the edge notices one in its answers, and both must have come to the last at the end.

mod center;
mod edge;
mod tally;
mod traffic;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clap::Args as ClapArgs;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::broker::{Broker, Kind};
use crate::client::Client;
use crate::measures::connect_many;
use tally::Tally;
use traffic::{LANES, roams};

/// How often the broker is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// When memory has to have come to its height.
const FLAT_AFTER: Duration = Duration::from_secs(60);
/// What it may grow by after that: what an allocator holds now and then.
const GROWTH_MAX: f64 = 1.05;
/// What the broker may have resident: this much, and this much for each client.
const RSS_BASE_KIB: f64 = 64.0 * 1024.0;
const RSS_CLIENT_KIB: f64 = 16.0;
/// Connections of the center.
const CENTERS: usize = 2 * LANES;

/// How many clients, for how long
#[derive(ClapArgs)]
pub struct Args {
    /// Connections: six of a center, the rest edges, of which one in ten comes and goes
    #[arg(long, default_value_t = 10_000)]
    pub clients: usize,
    /// Seconds that they publish
    #[arg(long, default_value_t = 180)]
    pub seconds: u64,
}

/// Loads a broker of ours; true if nothing was lost and its memory was flat and within bounds.
///
/// # Errors
/// The broker does not start, or a client that stays loses its connection.
pub async fn run(ours: PathBuf, args: Args) -> io::Result<bool> {
    let broker = Broker::start(&Kind::Ours(ours)).await?;
    println!(
        "{:>6} {:>10} {:>10} {:>10} {:>12} {:>6} {:>9} {:>7}",
        "s", "published", "collected", "answered", "reconnected", "lost", "RSS MiB", "CPU %"
    );
    let tally = Arc::new(Tally::default());
    let mut tasks = JoinSet::new();
    center::start(&mut tasks, &broker, &tally).await?;
    let mut clients = connect_many(&broker, args.clients.saturating_sub(CENTERS), None).await?;
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe(&edge::filter(number), 1).await?;
    }
    let mut edges = JoinSet::new();
    start_edges(&mut edges, clients, &broker, &tally);
    let watching = watch(&broker, &tally, Duration::from_secs(args.seconds));
    let memory = tokio::select! {
        memory = watching => memory,
        Some(ended) = tasks.join_next() => return Err(ended?.expect_err("a center goes on")),
        Some(ended) = edges.join_next() => return Err(ended?.err().unwrap_or(io::ErrorKind::Other.into())),
    };
    tally.over.store(true, Relaxed);
    while let Some(ended) = edges.join_next().await {
        ended??;
    }
    tally.settle().await;
    Ok(verdict(&tally, &memory, args.clients))
}

fn start_edges(
    edges: &mut JoinSet<io::Result<()>>,
    clients: Vec<Client>,
    broker: &Broker,
    tally: &Arc<Tally>,
) {
    let count = clients.len();
    for (number, client) in clients.into_iter().enumerate() {
        let delay = Duration::from_secs(1).mul_f64(number as f64 / count as f64);
        let edge = edge::Edge::new(number, delay, Arc::clone(tally));
        match roams(number) {
            true => edges.spawn(edge.roam(client, broker.address)),
            false => edges.spawn(edge.stay(client)),
        };
    }
}

/// The broker's memory over time, in KiB.
#[derive(Default)]
struct Memory {
    /// When it was to have come to its height.
    settled: Option<f64>,
    highest: f64,
}

async fn watch(broker: &Broker, tally: &Tally, duration: Duration) -> Memory {
    let began = Instant::now();
    let mut memory = Memory::default();
    let mut cpu = broker.cpu_us();
    while began.elapsed() < duration {
        sleep(LOOK_EVERY.min(duration - began.elapsed())).await;
        let rss = broker.rss_kib();
        if began.elapsed() >= FLAT_AFTER {
            memory.settled.get_or_insert(rss);
        }
        memory.highest = memory.highest.max(rss);
        let used = broker.cpu_us() - cpu;
        cpu += used;
        let [published, collected, answered, reconnected, lost] =
            [&tally.published, &tally.collected, &tally.answered, &tally.reconnected, &tally.lost]
                .map(|count| count.load(Relaxed));
        println!(
            "{:>6.0} {published:>10} {collected:>10} {answered:>10} {reconnected:>12} {lost:>6} {:>9.1} {:>7.0}",
            began.elapsed().as_secs_f64(),
            rss / 1024.0,
            used / LOOK_EVERY.as_micros() as f64 * 100.0,
        );
    }
    memory
}

fn verdict(tally: &Tally, memory: &Memory, clients: usize) -> bool {
    let lost = tally.lost.load(Relaxed);
    println!("lost for those that stay: {lost}");
    let bound = RSS_BASE_KIB + RSS_CLIENT_KIB * clients as f64;
    let within = memory.highest <= bound;
    println!("highest RSS: {:.1} MiB of at most {:.1} MiB", memory.highest / 1024.0, bound / 1024.0);
    let growth = memory.settled.map(|settled| memory.highest / settled);
    match growth {
        Some(growth) => println!("highest to that after a minute: {growth:.3}, at most {GROWTH_MAX}"),
        None => println!("too short to say whether memory is flat"),
    }
    lost == 0 && within && growth.is_none_or(|growth| growth <= GROWTH_MAX)
}
