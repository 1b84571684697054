//! From a fault to its countermeasure at the edge, against the floor of that path in the same run.
//!
//! A real broker, center and edge on loopback and on this disk. The fault begins when the app's panic is logged, and
//! ends when the edge, with the center's answer journaled, goes to carry the measure out: two commits on the edge and
//! one message each way. The floor is a QoS 1 message there and back between two clients of the same broker, plus two
//! commits of such records into such a store.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use center_agent::Center;
use center_agent::prove::range::{self, Offered};
use center_agent::prove::{File, ScriptFiles};
use edge_agent::Edge;
use flotilla_broker::Broker;
use flotilla_link::{BrokerUrl, Delivery, Entry, Link, LinkConfig, LinkEvent};
use flotilla_machine::redb::{Database, TableDefinition};
use flotilla_sandbox::prove::Settings;
use flotilla_sandbox::{Sandbox, SandboxLimits};
use flotilla_schemas::app::Manifest;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::fleet::{Fleet, NamedKey};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::sign::{SecretKey, Signed};
use flotilla_schemas::{Artifact, EventsId, FleetId, Topic};
use flotilla_script::Definition;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples");

/// How many faults are timed.
const FAULTS: usize = 60;

/// Readings of the room from one fault to the next.
const READINGS: usize = 9;

/// What the edge logged that matters here, and when.
static SEEN: Mutex<Vec<(Mark, Instant)>> = Mutex::new(Vec::new());

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mark {
    /// The app's panic reaches the edge.
    Panicked,
    /// The trap was told apart, and the core has a fault.
    Seen,
    /// Its record is on disk and on its way.
    Sent,
    /// The center's answer is there.
    Answered,
    /// The answer is on disk, and is carried out.
    Done,
}

/// What happens up to each mark but the first.
const STAGES: [(Mark, &str); 4] = [
    (Mark::Seen, "trap, backtrace, kind"),
    (Mark::Sent, "commit of the fault"),
    (Mark::Answered, "there, verified, answered, back, verified"),
    (Mark::Done, "commit of the answer"),
];

/// Takes the time of the edge's own log messages.
struct Stopwatch;

impl<S: tracing::Subscriber> Layer<S> for Stopwatch {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let now = Instant::now();
        let mut text = Text(String::new());
        event.record(&mut text);
        let mark = match text.0 {
            text if text.contains("an app reports an error") => Mark::Panicked,
            text if text.contains("a fault is seen") => Mark::Seen,
            text if text.contains("a countermeasure is taken") => Mark::Answered,
            text if text.contains("a message is sent") && text.contains("/journal/0") => Mark::Sent,
            text if text.contains("a message is sent") && text.contains("/fault/") => Mark::Done,
            _ => return,
        };
        SEEN.lock().unwrap().push((mark, now));
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{value:?} ");
    }
}

/// For each fault, when each mark was reached; marks that come out of turn belong to something else.
fn faults() -> Vec<Vec<Instant>> {
    let (mut faults, mut marks): (Vec<Vec<Instant>>, Vec<Instant>) = (Vec::new(), Vec::new());
    for (mark, at) in SEEN.lock().unwrap().iter() {
        if *mark == Mark::Panicked {
            marks = vec![*at];
        } else if !marks.is_empty() && STAGES.get(marks.len() - 1).is_some_and(|(next, _)| next == mark) {
            marks.push(*at);
            if marks.len() > STAGES.len() {
                faults.push(std::mem::take(&mut marks));
            }
        }
    }
    faults
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn key(id: &str) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), *flotilla_schemas::Digest::of(id.as_bytes()).bytes())
}

fn write_fleet(folder: &Path) {
    let named = |id: &str| NamedKey { id: id.parse().unwrap(), key: key(id).public() };
    let center = flotilla_schemas::fleet::Center { id: "c1".parse().unwrap(), key: key("c1").public() };
    let fleet = Fleet {
        fleet: "bench".parse().unwrap(),
        era: 1,
        durable: 1,
        centers: vec![center],
        operators: vec![named("operator")],
        publishers: vec![Publisher::of(&key("publisher"), Makers::All)],
    };
    let signed = Signed::new(&fleet, &key("operator")).unwrap();
    std::fs::write(folder.join("fleet.json"), serde_json::to_vec(&signed).unwrap()).unwrap();
    std::fs::write(folder.join("c1.key"), key("c1").to_file()).unwrap();
}

/// A room whose sensor answers nonsense for a moment, again and again.
fn write_equipment(folder: &Path) {
    let good = std::fs::read_to_string(format!("{SAMPLES}/equipment/e1.toml")).unwrap();
    let glitch = |n: usize| {
        format!(
            "\n[[device.aircon.fault]]\npoint = \"room\"\nafter_reads = {}\nfor = \"1ms\"\nbehaviour = \"nonsense\"\n",
            n * READINGS
        )
    };
    let glitches: String = (1..=FAULTS + 20).map(glitch).collect();
    std::fs::write(folder.join("equipment.toml"), good + &glitches).unwrap();
}

/// The center's HTTP API, as an operator's command line uses it.
struct Api {
    url: String,
    token: String,
}

impl Api {
    fn send(&self, method: &str, path: &str, body: &[u8]) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json")
            .body(body.to_vec())
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        assert!(response.status().is_success(), "{method} {path}: {text}");
    }

    fn put<T: Serialize>(&self, method: &str, path: &str, body: &T) {
        self.send(method, path, &serde_json::to_vec(body).unwrap());
    }

    fn upload(&self, bytes: &[u8]) -> Artifact {
        self.send("POST", "blobs", bytes);
        Artifact::of(bytes)
    }

    fn publish_app(&self, sandbox: &Sandbox, app: &str) {
        let read = |file: &str| std::fs::read(format!("{SAMPLES}/apps/{app}/{file}")).unwrap();
        let wasm = read("app.wasm");
        let machine = [(sandbox.runtime(), self.upload(&sandbox.compile(&wasm).unwrap()))];
        let manifest: Manifest = toml::from_str(&String::from_utf8(read("app.toml")).unwrap()).unwrap();
        let interface = sandbox.inspect(&wasm).unwrap();
        let release = Release { manifest, interface, wasm: self.upload(&wasm), machine: machine.into() };
        self.put("POST", "apps", &Signed::new(&release, &key("publisher")).unwrap());
    }

    fn publish_script(&self) {
        let folder = format!("{SAMPLES}/scripts/air-conditioner");
        let read = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
        let [definition, text, list, equipment] =
            ["definition.dtd", "script.xml", "events-large.json", "equipment.toml"].map(read);
        let file = |bytes| File { name: "air-conditioner", bytes };
        let events: EventsId = "aircon-large".parse().unwrap();
        let files = ScriptFiles {
            definition: &Definition::parse("air-conditioner", &definition).unwrap(),
            text: file(&text),
            events: [(events.clone(), file(&list))].into(),
            equipment: Some(file(&equipment)),
        };
        let apps = ["aircon-north", "aircon-south"].map(|app| {
            let read = |name: &str| std::fs::read(format!("{SAMPLES}/apps/{app}/{name}")).unwrap();
            let manifest = toml::from_str(&String::from_utf8(read("app.toml")).unwrap()).unwrap();
            Offered { manifest, wasm: read("app.wasm") }
        });
        let countermeasures = Countermeasures::standard();
        let proof = range::prove(&files, &apps, &countermeasures, &Settings::default(), None, &mut |_, _| {})
            .unwrap();
        let release = ScriptRelease {
            script: "air-conditioner".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            definition: self.upload(&definition),
            text: self.upload(&text),
            events: [(events, self.upload(&list))].into(),
            equipment: Some(self.upload(&equipment)),
            proof: self.upload(&serde_json::to_vec(&proof).unwrap()),
        };
        self.put("POST", "scripts", &Signed::new(&release, &key("publisher")).unwrap());
    }
}

fn client(url: &BrokerUrl, id: &str, filters: &[&str]) -> (Link, Receiver<LinkEvent>) {
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    Link::start(LinkConfig {
        broker: Entry::from(url.clone()).open().unwrap(),
        fleet: FleetId::default(),
        client: id.into(),
        will: None,
        filters,
        foreign: Vec::new(),
        signer: None,
    })
}

async fn message(events: &mut Receiver<LinkEvent>) {
    while !matches!(events.recv().await.expect("a link"), LinkEvent::Message(_)) {}
}

/// A QoS 1 message to a center that answers it, and back.
async fn ping_pong(url: &BrokerUrl, rounds: usize, pause: Duration) -> Vec<Duration> {
    let (ping, pong): (Topic, Topic) = ("edge/floor/want".parse().unwrap(), "to/floor/ack".parse().unwrap());
    let (edge, mut answers) = client(url, "edge-floor", &["to/floor/#"]);
    let (center, mut asked) = client(url, "center-floor", &["edge/floor/want"]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let back = pong.clone();
    let echo = tokio::spawn(async move {
        for _ in 0..rounds {
            message(&mut asked).await;
            center.publish(&back, vec![0; 400], Delivery::Message).unwrap();
        }
        center.stop().await;
    });
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        edge.publish(&ping, vec![0; 900], Delivery::Message).unwrap();
        message(&mut answers).await;
        times.push(began.elapsed());
        tokio::time::sleep(pause).await;
    }
    echo.await.unwrap();
    edge.stop().await;
    times
}

/// A commit of a record of a fault's size into a table like the journal's.
fn commit(database: &Database, number: u64) -> Duration {
    const TABLE: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("journal");
    let began = Instant::now();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TABLE).unwrap().insert((0, number), [7; 800].as_slice()).unwrap();
    transaction.commit().unwrap();
    began.elapsed()
}

#[tokio::main]
async fn main() {
    let filter = tracing_subscriber::filter::Targets::new().with_target("edge_agent", tracing::Level::TRACE);
    tracing_subscriber::registry().with(Stopwatch.with_filter(filter)).init();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_fleet(path);
    write_equipment(path);
    let config = flotilla_broker::Config::open("127.0.0.1:0".parse().unwrap(), &path.join("broker"));
    let broker = Broker::start(config).await.unwrap();
    let url: BrokerUrl = format!("mqtt://{}", broker.local_addrs()[0]).parse().unwrap();
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
    let edge = Edge::start(edge_agent::Config {
        edge: "e1".parse().unwrap(),
        fleet: path.join("fleet.json"),
        broker: url.clone().into(),
        data: path.join("edge"),
        profile: edge_agent::BUILT,
        equipment: Some(path.join("equipment.toml")),
        journal_bytes_max: 64 << 20,
    });
    let edge = edge.unwrap_or_else(|errors| panic!("{errors:?}"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let api = Api { url: format!("http://{}", center.api()), token: center.token().to_owned() };
    tokio::task::spawn_blocking(move || publish(&api)).await.unwrap();

    let database = Database::create(path.join("floor.redb")).unwrap();
    let (mut pings, mut commits) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs(90);
    while faults().len() < FAULTS && Instant::now() < end {
        pings.extend(ping_pong(&url, 10, Duration::from_millis(20)).await);
        commits.extend((0..5).map(|_| commit(&database, commits.len() as u64)).collect::<Vec<_>>());
    }
    let faults = faults();
    assert!(faults.len() > FAULTS / 2, "{} faults in time: {:?}", faults.len(), SEEN.lock().unwrap());
    let between = |from: usize, to: usize| {
        let mut times: Vec<Duration> =
            faults.iter().map(|marks| marks[to].duration_since(marks[from])).collect();
        median(&mut times)
    };
    let (fault, ping, commit) = (between(0, STAGES.len()), median(&mut pings), median(&mut commits));
    let floor = ping + 2 * commit;
    println!("median of {} faults, in one run", faults.len());
    println!("QoS 1 there and back            {ping:>10.1?}");
    println!("commit of a record              {commit:>10.1?}");
    println!("floor: there, back, two commits {floor:>10.1?}      1.00");
    let ratio = fault.as_secs_f64() / floor.as_secs_f64();
    println!("fault to countermeasure         {fault:>10.1?}      {ratio:.2}   (aim 1.30)");
    for (stage, (_, what)) in STAGES.iter().enumerate() {
        println!("  {:>10.1?}  {what}", between(stage, stage + 1));
    }
    edge.stop().await;
    center.stop().await;
    broker.stop().await;
}

fn publish(api: &Api) {
    let sandbox = Sandbox::new(SandboxLimits::default()).unwrap();
    for app in ["aircon-south", "aircon-north"] {
        api.publish_app(&sandbox, app);
    }
    api.publish_script();
    let rule = serde_json::json!({ "kind": "app.*", "window_s": 0, "measures": ["restart"] });
    api.put("PUT", "countermeasures", &serde_json::json!({ "rule": [rule] }));
    let trigger = serde_json::json!({ "every-ms": 100 });
    let start = serde_json::json!({ "edges": ["e1"], "events": "aircon-large", "trigger": trigger });
    api.put("PUT", "services/air-conditioner", &start);
}
