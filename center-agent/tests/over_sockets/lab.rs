//! A broker, a center and an edge's hand, all in this process and over real sockets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use center_agent::api::types::{BlobStored, ErrorBody, Published};
use center_agent::prove::range::{self, Offered};
use center_agent::prove::{File, ScriptFiles};
use center_agent::{Center, Config};
use flotilla_broker::{Broker, Running};
use flotilla_link::{Delivery, Entry, Link, LinkConfig, LinkEvent, Message};
use flotilla_sandbox::prove::Settings;
use flotilla_sandbox::{Sandbox, SandboxLimits};
use flotilla_schemas::app::{Grants, Limits as AppLimits, Manifest, Residence};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::fleet::{Center as Member, Fleet, NamedKey};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::report::{Meta, Mode, Status};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::topic::{EdgeTopic, filter_to};
use flotilla_schemas::{AppId, Artifact, Digest, EdgeId, EventsId, Signed, Topic};
use flotilla_script::Definition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// No wait of a test is shorter than what it waits for; this only ends a test that has failed.
const GIVE_UP: Duration = Duration::from_secs(60);

pub fn key(id: &str, seed: u8) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), [seed; 32])
}

pub fn publisher() -> SecretKey {
    key("publisher", 3)
}

pub struct Lab {
    pub folder: TempDir,
    broker: Running,
    pub center: Option<Center>,
}

impl Lab {
    /// A broker, and a center that has heard what it retains.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("broker");
        let config = flotilla_broker::Config::open("127.0.0.1:0".parse().unwrap(), &data);
        let broker = Broker::start(config).await.unwrap();
        fleet_files(folder.path());
        let mut lab = Self { folder, broker, center: None };
        lab.start().await;
        lab
    }

    pub fn broker_url(&self) -> flotilla_link::BrokerUrl {
        format!("mqtt://{}", self.broker.local_addrs()[0]).parse().unwrap()
    }

    pub async fn start(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let config = Config {
            center: "c1".parse().unwrap(),
            fleet: path("fleet.json"),
            key: path("c1.key"),
            broker: self.broker_url().into(),
            data: path("center"),
            api: "127.0.0.1:0".parse().unwrap(),
            token: None,
        };
        // The store of a center that was stopped is closed a moment later.
        while self.center.is_none() {
            self.center = Center::start(config.clone()).await.ok();
            tokio::task::yield_now().await;
        }
        let api = self.api();
        until(|| api.get::<Value>("status").is_ok_and(|status| status["swept"] == true)).await;
    }

    pub async fn restart(&mut self) {
        self.center.take().unwrap().stop().await;
        self.start().await;
    }

    pub fn api(&self) -> Api {
        let center = self.center.as_ref().unwrap();
        Api { url: format!("http://{}/v1", center.api()), token: center.token().to_owned() }
    }

    pub async fn close(self) {
        self.center.unwrap().stop().await;
        self.broker.stop().await;
    }
}

fn fleet_files(folder: &Path) {
    let operator = key("operator", 2);
    let named = |key: &SecretKey| NamedKey { id: key.id().clone(), key: key.public() };
    let fleet = Fleet {
        fleet: "lab".parse().unwrap(),
        era: 1,
        durable: 1,
        centers: vec![Member { id: "c1".parse().unwrap(), key: key("c1", 1).public() }],
        operators: vec![named(&operator)],
        publishers: vec![Publisher::of(&publisher(), Makers::All)],
    };
    let signed = Signed::new(&fleet, &operator).unwrap();
    std::fs::write(folder.join("fleet.json"), serde_json::to_vec(&signed).unwrap()).unwrap();
    std::fs::write(folder.join("c1.key"), key("c1", 1).to_file()).unwrap();
}

/// Waits for something that comes by itself.
pub async fn until(mut there: impl FnMut() -> bool) {
    let wait = async {
        while !tokio::task::block_in_place(&mut there) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(GIVE_UP, wait).await.expect("it never came");
}

/// The HTTP API, as a client speaks to it.
#[derive(Clone)]
pub struct Api {
    pub url: String,
    pub token: String,
}

pub type Answer<T> = Result<T, (u16, ErrorBody)>;

impl Api {
    /// Any request; a body that is empty is not sent.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json")
            .body(body.to_vec())
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut answer = tokio::task::block_in_place(|| agent.run(request)).unwrap();
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec().unwrap();
        (answer.status().as_u16(), body)
    }

    pub fn json<T: DeserializeOwned>(&self, method: &str, path: &str, body: &[u8]) -> Answer<T> {
        let (status, body) = self.send(method, path, body);
        let text = String::from_utf8_lossy(&body);
        match status {
            200 => Ok(serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {text}"))),
            _ => Err((
                status,
                serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {status} {text}")),
            )),
        }
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.json("GET", path, b"")
    }

    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Answer<T> {
        self.json("PUT", path, &serde_json::to_vec(body).unwrap())
    }

    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Answer<T> {
        self.json("POST", path, &serde_json::to_vec(body).unwrap())
    }

    pub fn upload(&self, bytes: &[u8]) -> BlobStored {
        self.json("POST", "blobs", bytes).unwrap()
    }

    /// Publishes a sample app as its publisher would.
    pub fn publish_app(&self, name: &str) -> Answer<Published> {
        let App { release, wasm, machine } = app(name);
        self.upload(&wasm);
        self.upload(&machine);
        self.post("apps", &Signed::new(&release, &publisher()).unwrap())
    }

    pub fn publish_script(&self, name: &str) -> Answer<Published> {
        let (release, files) = script(name);
        files.iter().for_each(|bytes| _ = self.upload(bytes));
        self.post("scripts", &Signed::new(&release, &publisher()).unwrap())
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples")
}

pub struct App {
    pub release: Release,
    pub wasm: Vec<u8>,
    pub machine: Vec<u8>,
}

/// The sample meter, under any name.
pub fn app(name: &str) -> App {
    app_of("meter", name)
}

/// Any sample's component with the grants of the meter, under any name.
pub fn app_of(sample: &str, name: &str) -> App {
    let wasm = std::fs::read(samples().join(format!("apps/{sample}/app.wasm"))).unwrap();
    let sandbox = Sandbox::new(SandboxLimits { instances: 1 }).unwrap();
    let interface = sandbox.inspect(&wasm).unwrap();
    // What machine code holds, only an edge can try.
    let machine = format!("machine code of {name}").into_bytes();
    let device_read = vec![serde_json::from_str(r#"{"device": "meter", "points": ["energy"]}"#).unwrap()];
    let grants = Grants { device_read, events: ["energy".to_owned()].into(), ..Grants::default() };
    let manifest = Manifest {
        app: name.parse().unwrap(),
        maker: "west".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        residence: Residence::Transient,
        alternates: vec![],
        hardware: None,
        soak_s: 0,
        faults: Default::default(),
        run: None,
        grants,
        limits: AppLimits::default(),
    };
    let machines = BTreeMap::from([(sandbox.runtime(), Artifact::of(&machine))]);
    let release = Release { manifest, interface, wasm: Artifact::of(&wasm), machine: machines };
    App { release, wasm, machine }
}

/// The sample meter's script, which needs the app `meter`, and its files.
pub fn script(name: &str) -> (ScriptRelease, Vec<Vec<u8>>) {
    script_proven(name, &Settings::default())
}

/// The same, proven in another way.
pub fn script_proven(name: &str, settings: &Settings) -> (ScriptRelease, Vec<Vec<u8>>) {
    let read = |file: &str| std::fs::read(samples().join("scripts/meter").join(file)).unwrap();
    let mut files = ["definition.dtd", "script.xml", "events.json", "equipment.toml"].map(read).to_vec();
    let file = |at: usize| File { name: "meter", bytes: &files[at] };
    let definition = Definition::parse("meter", &files[0]).unwrap();
    let events = "meter".parse::<EventsId>().unwrap();
    let equipment = Some(file(3));
    let parts = ScriptFiles {
        definition: &definition,
        text: file(1),
        events: [(events.clone(), file(2))].into(),
        equipment,
    };
    let App { release, wasm, .. } = app("meter");
    let meter = Offered { manifest: release.manifest, wasm };
    // A proof drives a runtime of its own, and the test is driven by one.
    let prove =
        || range::prove(&parts, &[meter], &Countermeasures::standard(), settings, None, &mut |_, _| {});
    let proof = std::thread::scope(|scope| scope.spawn(prove).join().unwrap().unwrap());
    files.push(serde_json::to_vec(&proof).unwrap());
    let artifact = |at: usize| Artifact::of(&files[at]);
    let release = ScriptRelease {
        script: name.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        definition: artifact(0),
        text: artifact(1),
        events: BTreeMap::from([(events, artifact(2))]),
        equipment: Some(artifact(3)),
        proof: artifact(4),
    };
    (release, files)
}

/// An edge, as far as a center sees it.
pub struct Edge {
    pub id: EdgeId,
    pub key: SecretKey,
    link: Link,
    events: mpsc::Receiver<LinkEvent>,
}

impl Edge {
    pub async fn join(lab: &Lab, id: &str) -> Self {
        let (key, id) = (key(id, 77), id.parse::<EdgeId>().unwrap());
        let (link, events) = Link::start(LinkConfig {
            broker: Entry::from(lab.broker_url()).open().unwrap(),
            fleet: "lab".parse().unwrap(),
            client: format!("edge-{id}"),
            will: None,
            filters: vec![filter_to(&id), "catalog/#".into(), "blob/#".into()],
            foreign: Vec::new(),
            signer: Some(key.clone()),
        });
        let mut edge = Self { id, key, link, events };
        while !matches!(edge.events.recv().await, Some(LinkEvent::Connected)) {}
        edge.says(EdgeTopic::Status, &edge.status(1), Delivery::State);
        edge
    }

    pub fn status(&self, seq: u64) -> Status {
        let (edge, session) = (self.id.clone(), "s1".parse().unwrap());
        Status {
            meta: Meta { v: 1, edge, session, seq, ts: 0, clock_ok: true },
            fleet: "lab".parse().unwrap(),
            key: self.key.public(),
            mode: Mode::Operating,
            services: 0,
            apps_loaded: 0,
            faults_open: 0,
            journal_epoch: "epoch".parse().unwrap(),
            journal_head_0: 0,
            journal_head_1: 0,
            journal_head_2: 0,
            journal_unacked: 0,
            desired_digest: Digest::of(b""),
            n_max: 0,
            catalog: 0,
            memory_bytes: 0,
            disk_free_bytes: 0,
            runtime: "r".into(),
            agent: "0".into(),
        }
    }

    pub fn says<T: Serialize>(&self, rest: EdgeTopic, message: &T, delivery: Delivery) {
        let topic = Topic::Edge(self.id.clone(), rest);
        self.link.publish(&topic, serde_json::to_vec(message).unwrap(), delivery).unwrap();
    }

    pub fn says_plain(&self, rest: &str, text: &str) {
        let topic = format!("edge/{}/{rest}", self.id).parse().unwrap();
        self.link.publish(&topic, text.as_bytes().to_vec(), Delivery::State).unwrap();
    }

    /// The next message of this topic, whatever comes before it.
    pub async fn hears(&mut self, topic: &Topic) -> Message {
        let hear = async {
            loop {
                match self.events.recv().await {
                    Some(LinkEvent::Message(message)) if message.topic == *topic => return message,
                    Some(_) => {}
                    None => panic!("the link ended"),
                }
            }
        };
        tokio::time::timeout(GIVE_UP, hear).await.unwrap_or_else(|_| panic!("nothing on {topic}"))
    }

    pub async fn hears_json<T: DeserializeOwned>(&mut self, topic: &Topic) -> T {
        serde_json::from_slice(&self.hears(topic).await.payload).unwrap()
    }

    pub async fn leave(self) {
        self.link.stop().await;
    }
}

pub fn names(apps: &[Value]) -> Vec<AppId> {
    apps.iter().map(|app| app["app"].as_str().unwrap().parse().unwrap()).collect()
}
