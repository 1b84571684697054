//! What the center does when all is as it should be.

use std::collections::BTreeMap;

use center_agent::api::types::{
    EdgeDetail, EdgeDocument, FaultView, RecordsPage, ScriptRow, ServiceStart, ServiceView, Standing,
};
use flotilla_link::Delivery;
use flotilla_sandbox::prove::Settings;
use flotilla_schemas::command::{Command, Order, Reply};
use flotilla_schemas::countermeasure::{By, Countermeasures, Measure};
use flotilla_schemas::desired::{Desired, Item, Slot, Trigger, Wanted};
use flotilla_schemas::fault::{Answer, Fault};
use flotilla_schemas::journal::{Ack, Batch, Body, Lane, Record};
use flotilla_schemas::release::Catalog;
use flotilla_schemas::report::{Inventory, Profile, Want};
use flotilla_schemas::topic::{EdgeTopic, ToTopic};
use flotilla_schemas::{Digest, Json, Signed, Topic};
use serde_json::{Value, json};

use crate::lab::{Edge, Lab, app, names, publisher, script_proven, until};

fn start(edges: &[&str]) -> ServiceStart {
    let edges = edges.iter().map(|edge| edge.parse().unwrap()).collect();
    ServiceStart { script: None, app: None, edges, events: None, trigger: Some(Trigger::EveryMs(5000)) }
}

fn to(edge: &Edge, rest: ToTopic) -> Topic {
    Topic::To(edge.id.clone(), rest)
}

fn inventory(edge: &Edge) -> Inventory {
    let (meta, profile) = (edge.status(2).meta, Profile { disk: false, ..Profile::FULL });
    let (apps, services) = (BTreeMap::new(), BTreeMap::new());
    Inventory { meta, apps, services, profile, arch: "a".into(), runtime: "r".into(), agent: "0".into() }
}

fn fault_batch(edge: &Edge) -> Batch {
    let fault = Fault {
        fault: "f1".parse().unwrap(),
        kind: "app.trap.unreachable".parse().unwrap(),
        app: "meter".parse().unwrap(),
        service: None,
        step: None,
        point: None,
        message: "nonsense".into(),
        backtrace: vec![],
        attempt: 1,
        count: 1,
        tried: vec![],
        list_ver: 0,
        by: By::Center,
    };
    let session = "s1".parse().unwrap();
    let record = Record { seq: 1, ts: 5, clock_ok: true, session, body: Body::Fault(fault) };
    let (edge, epoch, lane) = (edge.id.clone(), "epoch".parse().unwrap(), Lane::Fault);
    Batch { v: 1, edge, epoch, lane, first: 1, floor: 1, records: vec![Json::of(&record).unwrap()] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_and_started_reaches_the_edge() {
    let lab = Lab::open().await;
    let api = lab.api();
    let mut edge = Edge::join(&lab, "e1").await;
    until(|| api.get::<EdgeDetail>("edges/e1").is_ok_and(|edge| edge.summary.online)).await;
    let published = api.publish_app("meter").unwrap();
    assert!(published.new && !api.publish_app("meter").unwrap().new);
    api.publish_script("meter").unwrap();
    let view: ServiceView = api.put("services/meter", &start(&["e1"])).unwrap();
    assert!(view.on.contains_key(&edge.id));
    let desired: Desired = edge.hears_json(&to(&edge, ToTopic::Desired)).await;
    let Some(Ok(Wanted::Service(service))) =
        desired.items.get(&Slot::Service("meter".parse().unwrap())).map(Item::wanted)
    else {
        panic!("{desired:?}");
    };
    assert_eq!(service.apps, BTreeMap::from([("meter".parse().unwrap(), published.release)]));
    edge.leave().await;
    // What is retained waits for the edge.
    let mut edge = Edge::join(&lab, "e1").await;
    let catalog = loop {
        let catalog: Catalog = edge.hears_json(&Topic::Catalog("targets".into())).await;
        if catalog.version >= desired.min_catalog {
            break catalog;
        }
    };
    assert!(catalog.releases.contains_key(&published.release));
    let chunk = app("meter").release.wasm.chunks[0];
    let want = Want { v: 1, edge: edge.id.clone(), chunks: vec![chunk] };
    edge.says(EdgeTopic::Want, &want, Delivery::Message);
    let bytes = edge.hears(&Topic::Blob(chunk.first())).await.payload;
    assert_eq!(Digest::of(&bytes), chunk);
    edge.leave().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_scripts_says_how_far_each_was_proven() {
    let lab = Lab::open().await;
    let api = lab.api();
    api.publish_app("meter").unwrap();
    let publish = |name: &str, scripts: usize| {
        let mut settings = Settings::default();
        settings.budget.size.scripts = scripts;
        let (release, files) = script_proven(name, &settings);
        files.iter().for_each(|bytes| _ = api.upload(bytes));
        api.post::<Value>("scripts", &Signed::new(&release, &publisher()).unwrap()).unwrap();
    };
    publish("whole", 4096);
    publish("hasty", 1);
    let rows: Vec<ScriptRow> = api.get("scripts").unwrap();
    let covered: BTreeMap<&str, f64> =
        rows.iter().map(|row| (row.summary.script.as_str(), row.covered_percent.unwrap())).collect();
    assert!(covered["whole"] == 100.0 && covered["hasty"] < 100.0 && covered["hasty"] > 0.0, "{covered:?}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_answered_stored_and_shown() {
    let lab = Lab::open().await;
    let api = lab.api();
    let mut edge = Edge::join(&lab, "e1").await;
    let list = json!({ "rule": [{ "kind": "app.*", "measures": ["restart", "replace"] }] });
    let held: Countermeasures = api.put("countermeasures", &list).unwrap();
    assert_eq!(api.get::<Countermeasures>("countermeasures").unwrap(), held);
    until(|| api.get::<EdgeDetail>("edges/e1").is_ok()).await;
    let waiting = std::thread::spawn({
        let api = api.clone();
        move || api.get::<RecordsPage>("records?edge=e1&lane=0&after=0&wait_ms=30000")
    });
    edge.says(EdgeTopic::Journal(0), &fault_batch(&edge), Delivery::Message);
    let answer: Answer = edge.hears_json(&to(&edge, ToTopic::Answer)).await;
    assert_eq!((answer.measure, answer.list_ver), (Measure::Restart, held.version));
    let ack: Ack = edge.hears_json(&to(&edge, ToTopic::Ack)).await;
    assert_eq!((ack.from, ack.upto), (1, 1));
    let page = tokio::task::block_in_place(|| waiting.join().unwrap()).unwrap();
    assert_eq!((page.records.len(), page.more), (1, false));
    until(|| api.get::<Vec<FaultView>>("faults?edge=e1&open=true").unwrap().len() == 1).await;
    assert!(api.get::<Vec<FaultView>>("faults?open=false").unwrap().is_empty());
    let after: RecordsPage = api.get(&format!("records?edge=e1&after={}", page.next)).unwrap();
    assert_eq!((after.records.len(), after.next), (0, page.next));
    edge.leave().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_the_edges_reply() {
    let lab = Lab::open().await;
    let api = lab.api();
    let mut edge = Edge::join(&lab, "e1").await;
    until(|| api.get::<EdgeDetail>("edges/e1").is_ok_and(|edge| edge.summary.online)).await;
    let waiting = std::thread::spawn({
        let (api, order) = (api.clone(), Order::RestartApp("meter".parse().unwrap()));
        move || api.post::<Reply>("edges/e1/commands", &order)
    });
    let command: Command = edge.hears_json(&to(&edge, ToTopic::Command)).await;
    let reply =
        Reply { v: 1, edge: edge.id.clone(), id: command.id, done: true, message: "restarted".into() };
    edge.says(EdgeTopic::Reply("command".into()), &reply, Delivery::Message);
    assert_eq!(tokio::task::block_in_place(|| waiting.join().unwrap()), Ok(reply));
    edge.leave().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_edge_is_told_and_known_no_more_until_another_gateway_takes_over() {
    let lab = Lab::open().await;
    let api = lab.api();
    let mut edge = Edge::join(&lab, "e1").await;
    until(|| api.get::<EdgeDetail>("edges/e1").is_ok()).await;
    let document: EdgeDocument = api.post("edges/e1/retire", &()).unwrap();
    assert_eq!(document.standing, Standing::Retired);
    let desired: Desired = edge.hears_json(&to(&edge, ToTopic::Desired)).await;
    assert!(desired.retired);
    assert!(api.get::<EdgeDetail>("edges/e1").is_err());
    let document: EdgeDocument = api.post("edges/e1/replace", &()).unwrap();
    assert_eq!(document.standing, Standing::Replaced);
    assert!(api.post::<EdgeDocument>("edges/e9/retire", &()).is_err());
    edge.leave().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_center_knows_what_it_knew() {
    let mut lab = Lab::open().await;
    let edge = Edge::join(&lab, "e1").await;
    until(|| lab.api().get::<EdgeDetail>("edges/e1").is_ok()).await;
    lab.api().publish_app("meter").unwrap();
    lab.api().publish_script("meter").unwrap();
    lab.api().put::<ServiceView>("services/meter", &start(&["e1"])).unwrap();
    edge.says(EdgeTopic::Journal(0), &fault_batch(&edge), Delivery::Message);
    until(|| lab.api().get::<Vec<FaultView>>("faults").unwrap().len() == 1).await;
    let looks = ["apps", "apps/meter", "scripts/meter", "services", "faults", "records?edge=e1"];
    let look = |lab: &Lab| looks.map(|path| lab.api().get::<Value>(path).unwrap());
    let before = look(&lab);
    lab.restart().await;
    assert_eq!(look(&lab), before);
    assert_eq!(names(before[0].as_array().unwrap()), ["meter".parse().unwrap()]);
    edge.leave().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_center_that_knows_nobody_believes_all_that_an_edge_had_retained() {
    let mut lab = Lab::open().await;
    let edge = Edge::join(&lab, "e1").await;
    edge.says(EdgeTopic::Inventory, &inventory(&edge), Delivery::State);
    let profile = |lab: &Lab| lab.api().get::<EdgeDetail>("edges/e1").ok().and_then(|e1| e1.inventory);
    until(|| profile(&lab).is_some()).await;
    lab.center.take().unwrap().stop().await;
    std::fs::remove_dir_all(lab.folder.path().join("center")).unwrap();
    lab.start().await;
    assert_eq!(profile(&lab), Some(inventory(&edge)));
    edge.leave().await;
    lab.close().await;
}
