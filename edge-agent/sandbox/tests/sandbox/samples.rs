//! The sample apps on the sample equipment do what the story of the demonstration needs of them.

use std::sync::Arc;

use flotilla_sandbox::{Host, Instance, Wanted, check};
use flotilla_schemas::fault::kind;
use flotilla_schemas::{Type, Value};

use crate::edge::{Edge, SANDBOX, equipment, manifest, sample, text, wasm};

const APPS: [&str; 4] = ["aircon-north", "aircon-south", "meter", "faulty"];

async fn on(edge: &str, app: &str) -> (Instance, Arc<Edge>) {
    let edge = Edge::new(equipment(edge));
    (sample(app).start(edge.clone()).await.unwrap(), edge)
}

/// Initialization and the first good readings of a room.
async fn run(instance: &mut Instance) {
    instance.call("start", &[]).await.unwrap();
    instance.call("set-temperature", &[Value::Number(25.0)]).await.unwrap();
    instance.call("set-wind", &[text("medium")]).await.unwrap();
    for _ in 0..6 {
        instance.call("hold", &[Value::Number(25.0), Value::Number(0.5)]).await.unwrap();
    }
}

/// Reads the room as often as the sensor at e2 answers well, as its file says; [`run`] is part of it.
async fn run_until_the_sensor_fails(instance: &mut Instance) {
    run(instance).await;
    for _ in 6..16 {
        instance.call("read-room", &[]).await.unwrap();
    }
}

#[test]
fn each_manifest_is_within_its_bounds_and_grants_what_the_app_imports() {
    for app in APPS {
        let manifest = manifest(app);
        assert_eq!((manifest.app.as_str(), manifest.check()), (app, vec![]));
        assert_eq!(check(&SANDBOX.inspect(&wasm(app)).unwrap(), &manifest.grants, &[]), Ok(()), "{app}");
    }
}

#[test]
fn both_makers_do_the_same_operations() {
    let of = |app| SANDBOX.inspect(&wasm(app)).unwrap().operations;
    assert_eq!(of("aircon-north"), of("aircon-south"));
}

#[test]
fn an_event_list_is_checked_against_what_the_component_exports() {
    let interface = SANDBOX.inspect(&wasm("aircon-north")).unwrap();
    let wanted = |operation: &str, args| Wanted { operation: operation.to_owned(), args };
    let degrees = Type::Number { min: Some(16.0), max: Some(30.0) };
    let good = [wanted("set-temperature", vec![degrees]), wanted("start", vec![])];
    let grants = manifest("aircon-north").grants;
    assert_eq!(check(&interface, &grants, &good), Ok(()));
    let fast = Type::Choice { of: vec!["fast".to_owned()] };
    assert_eq!(check(&interface, &grants, &[wanted("set-wind", vec![fast])]).unwrap_err().len(), 1);
}

#[tokio::test]
async fn both_makers_control_a_room_whose_sensor_is_well() {
    for app in ["aircon-north", "aircon-south"] {
        let (mut instance, edge) = on("e1", app).await;
        run(&mut instance).await;
        let room = instance.call("read-room", &[]).await.unwrap().as_f64().unwrap();
        assert!((28.0..29.0).contains(&room), "{app}: {room}");
        instance.call("stop", &[]).await.unwrap();
        assert_eq!(edge.event_names(), ["room"; 7]);
        assert_eq!(edge.read("aircon", "wind").await, Ok(text("medium")));
    }
}

#[tokio::test]
async fn north_traps_on_nonsense_and_says_why() {
    let (mut instance, _) = on("e2", "aircon-north").await;
    run_until_the_sensor_fails(&mut instance).await;
    let failure = instance.call("read-room", &[]).await.unwrap_err();
    assert_eq!(failure.kind.as_str(), kind::TRAP_UNREACHABLE);
    assert!(failure.message.contains("no room has 6553.5"), "{failure:?}");
    assert!(failure.backtrace.iter().any(|frame| frame.contains("aircon_north")), "{failure:?}");
}

#[tokio::test]
async fn south_falls_back_on_the_last_good_reading_and_says_so() {
    let (mut instance, edge) = on("e2", "aircon-south").await;
    run_until_the_sensor_fails(&mut instance).await;
    let room = instance.call("read-room", &[]).await.unwrap().as_f64().unwrap();
    assert!((26.0..28.0).contains(&room), "{room}");
    let events = edge.events.lock().unwrap();
    let (name, fields) = events.last().unwrap();
    assert_eq!((name.as_str(), &fields["celsius"]), ("fallback", &Value::Number(room)));
    assert!(fields["reason"].to_string().contains("6553.5"), "{fields:?}");
}

#[tokio::test]
async fn the_meter_reads_in_the_unit_that_it_is_asked_for() {
    let (mut instance, edge) = on("e1", "meter").await;
    let mut read = async |unit| instance.call("read-energy", &[text(unit)]).await.unwrap();
    assert_eq!(read("kwh").await, Value::Number(1042.3));
    assert_eq!(read("wh").await, Value::Number(1_042_300.0));
    assert_eq!(edge.event_names(), ["energy", "energy"]);
}
