//! The JSON Schemas in `json/` are those of the Rust types, and the messages in `fixtures/` are read as they are
//! written.
//!
//! After a change of a type: `UPDATE_SCHEMAS=1 cargo test -p flotilla-schemas --test json`, and look at the diff.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::fmt::Debug;
use std::path::PathBuf;

use flotilla_schemas::app::Manifest;
use flotilla_schemas::command::{Command, Reply, Shown};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::Desired;
use flotilla_schemas::fault::Answer;
use flotilla_schemas::fleet::Fleet;
use flotilla_schemas::journal::{Ack, Batch, Record};
use flotilla_schemas::proof::Proof;
use flotilla_schemas::release::{Catalog, Release, ScriptRelease};
use flotilla_schemas::report::{CenterStatus, EventReport, FaultReport, Inventory, ReleaseRow, Status, Want};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn schema<T: JsonSchema>(name: &str) {
    let schema = serde_json::to_string_pretty(&schema_for!(T)).unwrap() + "\n";
    let path = folder("json").join(format!("{name}.json"));
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        return std::fs::write(path, schema).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == schema, "{} is not the schema of the type; see the head of this test", path.display());
}

#[test]
fn the_schemas_are_current() {
    schema::<Ack>("ack");
    schema::<Answer>("answer");
    schema::<ReleaseRow>("release-row");
    schema::<Batch>("batch");
    schema::<Catalog>("catalog");
    schema::<CenterStatus>("center-status");
    schema::<Command>("command");
    schema::<Countermeasures>("countermeasures");
    schema::<Desired>("desired");
    schema::<EventReport>("event");
    schema::<FaultReport>("fault");
    schema::<Fleet>("fleet");
    schema::<Inventory>("inventory");
    schema::<Manifest>("manifest");
    schema::<Proof>("proof");
    schema::<Record>("record");
    schema::<Release>("release");
    schema::<Reply>("reply");
    schema::<ScriptRelease>("script-release");
    schema::<Shown>("shown");
    schema::<Status>("status");
    schema::<Want>("want");
}

/// Reads the fixture and writes it again: nothing is lost, nothing is added.
fn both_ways<T: Serialize + DeserializeOwned + Debug>(name: &str) {
    let path = folder("fixtures").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let message: T =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&message).unwrap(), read, "{name}");
}

#[test]
fn the_fixtures_are_read_as_they_are_written() {
    both_ways::<Ack>("ack");
    both_ways::<Answer>("answer");
    both_ways::<Batch>("batch");
    both_ways::<Command>("command");
    both_ways::<Desired>("desired");
    both_ways::<EventReport>("event");
    both_ways::<FaultReport>("fault");
    both_ways::<Proof>("proof");
    both_ways::<Status>("status");
    both_ways::<Want>("want");
    let batch: Batch =
        serde_json::from_str(&std::fs::read_to_string(folder("fixtures").join("batch.json")).unwrap())
            .unwrap();
    for text in &batch.records {
        let record: Record = text.read().unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), text.read::<serde_json::Value>().unwrap());
    }
}

#[test]
fn what_a_dashboard_plots_is_flat_and_keeps_its_types() {
    for name in ["event", "fault", "status"] {
        let text = std::fs::read_to_string(folder("fixtures").join(format!("{name}.json"))).unwrap();
        let message: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        assert!(message.values().all(|value| !value.is_object() && !value.is_array()), "{name}");
        for key in ["v", "edge", "session", "seq", "ts", "clock_ok"] {
            assert!(message.contains_key(key), "{name}: {key}");
        }
    }
}
