//! What a center does while its disk is full, over real sockets.

use center_core::{Request, Row};
use flotilla_broker::Broker;
use flotilla_link::{BrokerUrl, Entry, Message};
use flotilla_schemas::app::{Grants, Interface, Limits, Manifest, Residence};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::fault::Answer as FaultAnswer;
use flotilla_schemas::fleet::{Center, Fleet};
use flotilla_schemas::journal::Ack;
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::release::Release;
use flotilla_schemas::sign::{SecretKey, Signed};
use flotilla_schemas::{Artifact, Digest};
use serde_json::{Value, json};

use super::*;
use crate::desk::{Desk, Gone};

fn key(id: &str) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), *Digest::of(id.as_bytes()).bytes())
}

fn config() -> center_core::Config {
    let center = CenterId::new("c1").unwrap();
    let centers = vec![Center { id: center.clone(), key: key("c1").public() }];
    let publishers = vec![Publisher::of(&key("publisher"), Makers::All)];
    let fleet = "f".parse().unwrap();
    let fleet = Fleet { fleet, era: 1, durable: 1, centers, operators: Vec::new(), publishers };
    center_core::Config { center, fleet, session: "s".parse().unwrap(), agent: "0".into(), records: 0 }
}

fn release(wasm: &[u8]) -> Signed<Release> {
    let manifest = Manifest {
        app: "a".parse().unwrap(),
        maker: "maker".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        residence: Residence::Resident,
        alternates: Vec::new(),
        hardware: None,
        soak_s: 0,
        faults: Default::default(),
        run: None,
        grants: Grants::default(),
        limits: Limits::default(),
    };
    let (interface, wasm) = (Interface::default(), Artifact::of(wasm));
    let release = Release { manifest, interface, wasm, machine: BTreeMap::new() };
    Signed::new(&release, &key("publisher")).unwrap()
}

fn status(session: &str) -> Value {
    json!({
        "v": 1, "edge": "e1", "session": session, "seq": 1, "ts": 0, "clock_ok": true, "fleet": "f",
        "key": key("e1").public(), "mode": "operating", "services": 0, "apps_loaded": 0, "faults_open": 0,
        "journal_epoch": "x", "journal_head_0": 0, "journal_head_1": 0, "journal_head_2": 0, "journal_unacked": 0,
        "desired_digest": Digest::of(b""), "n_max": 0, "catalog": 0, "memory_bytes": 0, "disk_free_bytes": 0,
        "runtime": "r", "agent": "0",
    })
}

fn batch() -> Value {
    let body = json!({
        "type": "fault", "fault": "f", "kind": "app.error", "app": "a", "message": "nonsense", "attempt": 1,
        "count": 1, "by": "center", "service": null, "step": null, "backtrace": [], "tried": [], "list_ver": 0,
    });
    let record = json!({ "seq": 1, "ts": 1, "clock_ok": true, "session": "s1", "body": body });
    json!({
        "v": 1, "edge": "e1", "epoch": "x", "lane": 0, "first": 1, "floor": 1, "records": [record],
    })
}

/// Where the edge's faults go; its bucket is a hash of its id.
const JOURNAL: &str = "journal/0/8b";

/// An edge that says what the test wants.
struct Edge {
    link: Link,
    events: mpsc::Receiver<LinkEvent>,
}

impl Edge {
    fn new(url: &BrokerUrl) -> Self {
        let (link, events) = Link::start(LinkConfig {
            broker: Entry::from(url.clone()).open().unwrap(),
            fleet: "f".parse().unwrap(),
            client: "edge-e1".into(),
            will: None,
            filters: vec!["to/e1/+".into(), "blob/+".into()],
            foreign: Vec::new(),
            signer: Some(key("e1")),
        });
        Self { link, events }
    }

    fn says(&self, rest: &str, message: &Value) {
        let topic: Topic = format!("edge/e1/{rest}").parse().unwrap();
        let delivery = if rest == "status" { Delivery::State } else { Delivery::Message };
        self.link.publish(&topic, serde_json::to_vec(message).unwrap(), delivery).unwrap();
    }

    /// The next message of this topic; none of `never` may come before it.
    async fn hears(&mut self, wanted: &str, never: Option<&str>) -> Vec<u8> {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await;
            if let LinkEvent::Message(Message { topic, payload, .. }) = event.expect("in a minute").unwrap() {
                let topic = topic.to_string();
                assert!(never.is_none_or(|never| !topic.contains(never)), "{topic}");
                if topic.contains(wanted) {
                    return payload;
                }
            }
        }
    }
}

/// Asks until the center has heard its broker.
async fn set_list(desk: &Desk) -> Result<Answer, Gone> {
    loop {
        match desk.request(Request::SetCountermeasures(Countermeasures::default())).await? {
            Err(Refusal::Unswept) => tokio::time::sleep(Duration::from_millis(10)).await,
            answer => return Ok(answer.unwrap()),
        }
    }
}

fn has_session(store: &Store, session: &str) -> bool {
    let rows = store.rows().unwrap();
    rows.iter().any(|row| matches!(row, Row::Edge(edge) if edge.status.meta.session.as_str() == session))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_what_was_asked_for_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let open = flotilla_broker::Config::open;
    let broker = open("127.0.0.1:0".parse().unwrap(), &folder.path().join("broker"));
    let broker = Broker::start(broker).await.unwrap();
    let url: BrokerUrl = format!("mqtt://{}", broker.local_addrs()[0]).parse().unwrap();
    let link = LinkConfig {
        broker: Entry::from(url.clone()).open().unwrap(),
        fleet: "f".parse().unwrap(),
        client: "center-c1".into(),
        will: None,
        filters: center_core::filters(),
        foreign: Vec::new(),
        signer: Some(key("c1")),
    };
    let disk = flotilla_machine::testing::Disk::default();
    let store = Store::on_disk(folder.path(), &disk).unwrap();
    let shelf = Arc::new(Shelf::open(folder.path()).unwrap());
    let digest = shelf.put(b"code").unwrap();
    let (desk, asks) = Desk::new();
    let (stop, stopped) = oneshot::channel();
    let driver = Driver {
        config: config(),
        link,
        store: store.clone(),
        shelf,
        views: Arc::default(),
        asks,
        stop: stopped,
    };
    let driver = tokio::spawn(driver.begin().unwrap());
    let mut edge = Edge::new(&url);
    edge.says("status", &status("s1"));
    let Answer::Countermeasures(held) = set_list(&desk).await.unwrap() else { panic!("no list") };
    desk.request(Request::PublishApp(release(b"code"))).await.unwrap().unwrap();
    while !has_session(&store, "s1") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    disk.fill();
    assert_eq!(set_list(&desk).await, Err(Gone), "whoever asked is told");
    edge.says("status", &status("s2"));
    edge.says(JOURNAL, &batch());
    let answer: FaultAnswer = serde_json::from_slice(&edge.hears("answer", Some("ack")).await).unwrap();
    assert_eq!((answer.fault.as_str(), answer.list_ver), ("f", held.version), "by the list that holds");
    edge.says("want", &json!({ "v": 1, "edge": "e1", "asked": 1, "chunks": [digest] }));
    assert!(!edge.hears("blob", Some("ack")).await.is_empty());
    assert_eq!(set_list(&desk).await, Err(Gone));

    disk.empty();
    assert_eq!(store.count(), Ok(0));
    edge.says(JOURNAL, &batch());
    let ack: Ack = serde_json::from_slice(&edge.hears("ack", None).await).unwrap();
    assert_eq!((ack.from, ack.upto, store.count()), (1, 1, Ok(1)));
    while !has_session(&store, "s2") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    set_list(&desk).await.unwrap();
    stop.send(()).unwrap();
    driver.await.unwrap();
    let lists = store.rows().unwrap().into_iter().filter(|row| row.key().contains("countermeasures"));
    assert_eq!(lists.count(), 1);
    edge.link.stop().await;
    broker.stop().await;
}
