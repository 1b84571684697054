//! Messages of a next version, read with today's code: nothing beside what is new is harmed.
//!
//! In reports what is new is passed over; in what permits something (a release, its grants and limits, the fleet file,
//! a slot's value, a rule) the one thing that holds it waits for a newer agent, by name.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use flotilla_schemas::app::Manifest;
use flotilla_schemas::command::{Command, Order, Reply};
use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::desired::Desired;
use flotilla_schemas::fault::{Answer, How};
use flotilla_schemas::journal::{Ack, Batch, Body, Record};
use flotilla_schemas::release::Catalog;
use flotilla_schemas::report::{CenterStatus, EventReport, FaultReport, Inventory, Mode, Status, Want};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// The same with a key more in each of its objects.
fn grown(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: serde_json::Map<_, _> =
                fields.iter().map(|(key, value)| (key.clone(), grown(value))).collect();
            fields.insert("next".to_owned(), json!({ "since": 2 }));
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.iter().map(grown).collect()),
        other => other.clone(),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// A key more, and today's part of it says the same.
fn passes_over<T: Serialize + DeserializeOwned>(value: &Value) {
    let mut next = value.clone();
    next["next"] = json!([1]);
    assert_eq!(serde_json::to_value(read::<T>(&next)).unwrap(), *value);
}

#[test]
fn a_key_more_is_passed_over_in_what_reports() {
    passes_over::<Ack>(&fixture("ack"));
    passes_over::<Answer>(&fixture("answer"));
    passes_over::<Batch>(&fixture("batch"));
    passes_over::<Command>(&fixture("command"));
    passes_over::<Desired>(&fixture("desired"));
    passes_over::<FaultReport>(&fixture("fault"));
    passes_over::<Status>(&fixture("status"));
    passes_over::<Want>(&fixture("want"));
    let reply = json!({"v": 1, "edge": "e1", "id": "c-1", "done": true, "message": ""});
    passes_over::<Reply>(&reply);
    let event: EventReport = read(&fixture("event"));
    assert!(!event.fields.is_empty(), "an event's further keys are its own");
    let catalog = json!({"v": 1, "fleet": "f", "version": 1, "releases": {}, "scripts": {}, "next": {}});
    assert_eq!(read::<Catalog>(&catalog).version, 1);
    let meta = fixture("status");
    let inventory = json!({
        "v": 1, "edge": "e1", "session": meta["session"], "seq": 1, "ts": 1, "clock_ok": true, "next": 1,
        "apps": {}, "services": {}, "arch": "x86_64", "runtime": "r", "agent": "2",
        "profile": {"scripts": true, "reliability": true, "disk": true, "gpu": true}
    });
    assert!(read::<Inventory>(&inventory).profile.disk);
    let center = json!({
        "v": 1, "center": "c1", "session": "s", "seq": 1, "ts": 1, "edges": 1, "edges_online": 1, "next": 1,
        "faults_open": 0, "list_ver": 0, "catalog": 0, "records": 0, "repeated": 0, "agent": "2"
    });
    assert!(read::<CenterStatus>(&center).edges == 1);
}

#[test]
fn a_mode_or_a_measure_that_is_new_leaves_the_rest_of_its_report() {
    let mut status = fixture("status");
    status["mode"] = json!("maintaining");
    assert_eq!(read::<Status>(&status).mode, Mode::Unknown);
    let mut answer = fixture("answer");
    answer["measure"] = json!("rewind");
    assert_eq!(read::<Answer>(&answer).measure, Measure::Unknown);
}

#[test]
fn a_batch_holds_what_is_new_as_it_came_and_what_is_known_beside_it() {
    let mut batch = fixture("batch");
    let later =
        json!({"seq": 11, "ts": 1, "clock_ok": true, "session": "s", "body": {"type": "outcome", "run": 3}});
    let other = json!({"seq": 12, "body": {"type": "closed"}, "shape": "another"});
    let mut closed = batch["records"][2].clone();
    (closed["seq"], closed["body"]["how"], closed["body"]["measure"]) =
        (json!(13), json!("outgrown"), json!("rewind"));
    batch["records"].as_array_mut().unwrap().extend([later.clone(), other.clone(), closed]);
    let read_batch: Batch = read(&batch);
    assert_eq!(read_batch.last(), Some(13));
    assert_eq!(read_batch.records[6].text(), later.to_string(), "its bytes are what a center keeps");
    assert_eq!(read_batch.records[7].text(), other.to_string());
    let known: Vec<Record> = read_batch.readable().collect();
    assert_eq!(known.len(), 8, "one is of another shape");
    assert_eq!(known[6].body, Body::Unknown);
    let Body::Closed(closed) = &known[7].body else { panic!("{known:?}") };
    assert_eq!((closed.how, closed.measure), (How::Unknown, Some(Measure::Unknown)));
    // Each record with a key more in all of its objects says what it said.
    for (record, grown) in
        batch["records"].as_array().unwrap().iter().zip(grown(&batch)["records"].as_array().unwrap())
    {
        let (Ok(record), grown) = (serde_json::from_value::<Record>(record.clone()), read::<Value>(grown))
        else {
            continue;
        };
        if !matches!(record.body, Body::Event { .. }) {
            assert_eq!(read::<Record>(&grown), record);
        }
    }
}

#[test]
fn an_order_that_is_new_can_be_answered() {
    let mut command = fixture("command");
    command["order"] = json!({"defragment": {"deep": true}});
    let command: Command = read(&command);
    assert!(command.order.read::<Order>().is_err());
}

#[test]
fn a_slot_that_is_new_harms_no_other_and_a_value_with_a_key_more_waits() {
    let mut desired = fixture("desired");
    let today: Desired = read(&desired);
    let key = desired["items"]["policy"]["key"].clone();
    desired["items"]["environment"] = json!({"key": key, "value": {"environment": {}}});
    desired["items"]["a slot!"] = json!({"key": key, "value": "gone"});
    desired["items"]["service/metering"]["value"]["service"]["only-at-night"] = json!(true);
    let next: Desired = read(&desired);
    assert_eq!(next.items.len(), today.items.len() + 1, "a name that is none is passed over");
    for (slot, item) in &today.items {
        match String::from(slot.clone()).as_str() {
            "service/metering" => {
                let waits = next.items[slot].wanted().unwrap_err().to_string();
                assert!(
                    waits.starts_with("it needs a newer agent: unknown field `only-at-night`"),
                    "{waits}"
                );
            }
            _ => assert_eq!(next.items[slot], *item),
        }
    }
}

#[test]
fn what_permits_is_refused_by_the_name_of_what_is_new() {
    let manifest = json!({
        "app": "a", "maker": "m", "version": "1.0.0", "residence": "resident",
        "grants": {"network": ["*"]}, "limits": {"memory_bytes": 131072, "deadline_ms": 1}
    });
    let error = serde_json::from_value::<Manifest>(manifest).unwrap_err().to_string();
    assert!(error.contains("unknown field `network`"), "{error}");
}
