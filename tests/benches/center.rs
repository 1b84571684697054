//! What a center takes to hold a large fleet, and how fast it commits journals, against the raw fan-in of the same
//! broker in the same run.
//!
//! The first half feeds a core in this process with what 10,000 edges say of themselves, and asks it; the second has
//! edges send their journals to a center over a real broker on loopback and onto this disk. The floor of that are the
//! same messages to a client that does nothing but count them.

use std::time::{Duration, Instant};

use center_agent::Center;
use center_core::{Config, Core, Input, QUIET_MS};
use flotilla_broker::Broker;
use flotilla_link::{BrokerUrl, Delivery, Entry, Link, LinkConfig, LinkEvent};
use flotilla_schemas::fleet::{Center as Member, Fleet, NamedKey};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::sign::{SecretKey, Signed};
use flotilla_schemas::time::Now;
use flotilla_schemas::{Digest, EdgeId, FleetId, Topic};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

/// How many edges the core holds.
const EDGES: usize = 10_000;

/// Apps of which each says what it has.
const APPS: usize = 3;

/// How many edges send journals, batches of each, and records of a batch.
const SENDERS: usize = 16;
const BATCHES: u64 = 64;
const RECORDS: u64 = 100;

fn key(id: &str) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), *Digest::of(id.as_bytes()).bytes())
}

fn fleet() -> Fleet {
    let named = |id: &str| NamedKey { id: id.parse().unwrap(), key: key(id).public() };
    Fleet {
        fleet: FleetId::default(),
        era: 1,
        durable: 1,
        centers: vec![Member { id: "c1".parse().unwrap(), key: key("c1").public() }],
        operators: vec![named("operator")],
        publishers: vec![Publisher::of(&key("publisher"), Makers::All)],
    }
}

fn meta(edge: &str) -> Value {
    json!({ "v": 1, "edge": edge, "session": "s1", "seq": 1, "ts": 0, "clock_ok": true })
}

fn with(mut message: Value, more: Value) -> Value {
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn status(edge: &str) -> Value {
    let more = json!({
        "fleet": FleetId::default(), "key": key(edge).public(), "mode": "operating", "services": 2,
        "apps_loaded": APPS, "faults_open": 0, "journal_epoch": "x", "journal_head_0": 0, "journal_head_1": 0,
        "journal_head_2": 0, "journal_unacked": 0, "desired_digest": Digest::of(b""), "n_max": 0, "catalog": 0,
        "memory_bytes": 1 << 24, "disk_free_bytes": 1u64 << 33, "runtime": "wasmtime-48-x86_64", "agent": "0.1.0",
    });
    with(meta(edge), more)
}

fn row(edge: &str, app: usize) -> Value {
    let more = json!({
        "kind": "app", "name": format!("app-{app}"), "installed": "1.0.0", "latest": "1.0.0", "state": "installed", "since": 0,
        "waits": "", "replaced_by": "", "loads": 1, "downloads": 1,
    });
    with(meta(edge), more)
}

fn said(edge: &str, rest: &str, message: &Value) -> Input {
    let topic: Topic = format!("edge/{edge}/{rest}").parse().unwrap();
    let payload = serde_json::to_vec(message).unwrap();
    let sig = Some(key(edge).sign(&fleet().tree().text(&topic), &payload));
    Input::Message { topic, payload, sig, retained: true }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs it and keeps the longest time.
fn timed<T>(longest: &mut Duration, act: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = act();
    *longest = (*longest).max(began.elapsed());
    done
}

fn hold() {
    let now = |mono_ms| Now::new(mono_ms, 1_800_000_000_000 + mono_ms as i64);
    let (center, session) = ("c1".parse().unwrap(), "s".parse().unwrap());
    let config = Config { center, fleet: fleet(), session, agent: "0".into(), records: 0 };
    let mut core = Core::from_records(config, [], now(0));
    core.handle(Input::Connected, now(0));
    let before = resident_bytes();
    let mut longest = Duration::ZERO;
    for n in 0..EDGES {
        let edge = format!("edge-{n:05}");
        let rows = (0..APPS).map(|app| (format!("release/app/app-{app}"), row(&edge, app)));
        for (rest, message) in std::iter::once(("status".to_owned(), status(&edge))).chain(rows) {
            let input = said(&edge, &rest, &message);
            timed(&mut longest, || core.handle(input, now(0)));
        }
    }
    let mut at = QUIET_MS;
    let mut calm = Duration::ZERO;
    for _ in 0..600 {
        timed(&mut calm, || core.handle(Input::Tick, now(at)));
        at += 100;
    }
    let bytes = resident_bytes() - before;
    let mut look = Duration::ZERO;
    let answer = timed(&mut look, || serde_json::to_vec(&core.edges()).unwrap());
    assert_eq!(core.edges().len(), EDGES);
    println!("{EDGES} edges, {APPS} apps each");
    println!("all edges as JSON ({} KiB)      {look:>10.1?}   (aim 50 ms)", answer.len() / 1024);
    println!("longest step, as they come      {longest:>10.1?}   (aim 5 ms)");
    println!("longest step, a minute after    {calm:>10.1?}   (aim 5 ms)");
    println!("memory of an edge               {:>7} B     (aim 10,240)", bytes / EDGES as u64);
}

fn client(
    url: &BrokerUrl,
    id: &str,
    filters: &[&str],
    signer: Option<SecretKey>,
) -> (Link, Receiver<LinkEvent>) {
    Link::start(LinkConfig {
        broker: Entry::from(url.clone()).open().unwrap(),
        fleet: FleetId::default(),
        client: id.into(),
        will: None,
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        foreign: Vec::new(),
        signer,
    })
}

fn batch(edge: &EdgeId, epoch: &str, number: u64) -> Vec<u8> {
    let first = number * RECORDS + 1;
    let record = |seq| {
        json!({
            "seq": seq, "ts": 1_800_000_000_000u64, "clock_ok": true, "session": "s1",
            "body": { "type": "event", "source": "meter", "name": "reading", "fields": { "power_w": seq, "ok": true } },
        })
    };
    let records: Vec<Value> = (first..first + RECORDS).map(record).collect();
    let batch = json!({
        "v": 1, "edge": edge, "epoch": epoch, "lane": 2, "first": first, "floor": 1, "records": records,
    });
    serde_json::to_vec(&batch).unwrap()
}

/// Has every sender queue all its batches.
fn send(senders: &[(EdgeId, Link)], epoch: &str) {
    for number in 0..BATCHES {
        for (edge, link) in senders {
            let topic: Topic = format!("edge/{edge}/journal/2/{:02x}", edge.bucket()).parse().unwrap();
            link.publish(&topic, batch(edge, epoch, number), Delivery::Message).unwrap();
        }
    }
}

async fn messages(events: &mut Receiver<LinkEvent>, mut count: u64) {
    while count > 0 {
        count -= u64::from(matches!(events.recv().await.expect("a link"), LinkEvent::Message(_)));
    }
}

fn records(center: &Center) -> u64 {
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let request = agent.get(format!("http://{}/v1/status", center.api()));
    let token = format!("Bearer {}", center.token());
    let text = request.header("Authorization", token).call().unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["records"].as_u64().unwrap()
}

async fn commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(
        path.join("fleet.json"),
        serde_json::to_vec(&Signed::new(&fleet(), &key("operator")).unwrap()).unwrap(),
    )
    .unwrap();
    std::fs::write(path.join("c1.key"), key("c1").to_file()).unwrap();
    let config = flotilla_broker::Config::open("127.0.0.1:0".parse().unwrap(), &path.join("broker"));
    let broker = Broker::start(config).await.unwrap();
    let url: BrokerUrl = format!("mqtt://{}", broker.local_addrs()[0]).parse().unwrap();
    let mut senders = Vec::new();
    for n in 0..SENDERS {
        let edge = format!("sender-{n}");
        let (link, mut events) = client(&url, &format!("edge-{edge}"), &[], Some(key(&edge)));
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let topic: Topic = format!("edge/{edge}/status").parse().unwrap();
        link.publish(&topic, serde_json::to_vec(&status(&edge)).unwrap(), Delivery::State).unwrap();
        senders.push((edge.parse().unwrap(), link));
    }
    let (floor, mut events) = client(&url, "center-floor", &["edge/+/journal/+/+"], None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let total = SENDERS as u64 * BATCHES * RECORDS;
    let began = Instant::now();
    send(&senders, "floor");
    messages(&mut events, SENDERS as u64 * BATCHES).await;
    let raw = total as f64 / began.elapsed().as_secs_f64();
    floor.stop().await;

    let center = Center::start(center_agent::Config {
        center: "c1".parse().unwrap(),
        fleet: path.join("fleet.json"),
        key: path.join("c1.key"),
        broker: url.clone().into(),
        data: path.join("center"),
        api: "127.0.0.1:0".parse().unwrap(),
        token: None,
    });
    let center = center.await.unwrap_or_else(|errors| panic!("{errors:?}"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    send(&senders, "center");
    while tokio::task::block_in_place(|| records(&center)) < total {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let committed = total as f64 / began.elapsed().as_secs_f64();
    println!("{SENDERS} edges, batches of {RECORDS} records, in one run");
    println!("records a second, only counted  {raw:>10.0}      1.00");
    println!("records a second, committed     {committed:>10.0}      {:.2}   (aim 0.50)", committed / raw);
    center.stop().await;
    for (_, link) in senders {
        link.stop().await;
    }
    broker.stop().await;
}

#[tokio::main]
async fn main() {
    hold();
    commit().await;
}
