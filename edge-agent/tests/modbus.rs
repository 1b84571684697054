//! The Modbus driver against pymodbus's server: what it costs, and what each answer of a device is to an app.

#![cfg(feature = "modbus")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

#[path = "../../tests/modbus/server.rs"]
mod server;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_agent::answer::Answer;
use edge_agent::equipment::{Devices, Equipment};
use edge_core::{EffectId, Input, Outcome};
use flotilla_schemas::{AppId, FleetId, Value};
use server::Server;
use tokio::sync::mpsc;

const ROUNDS: usize = 200;

/// The sample's devices at this port, with a point beyond what they have.
fn equipment(port: u16) -> (Arc<Equipment>, mpsc::Receiver<Input>) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples/equipment/modbus.toml");
    let text =
        std::fs::read_to_string(sample).unwrap().replace("192.0.2.10:502", &format!("127.0.0.1:{port}"));
    let text = text + "[device.meter.point.absent]\ntype = \"integer\"\nregister = \"input\"\naddress = 99\n";
    let (inputs, told) = mpsc::channel(64);
    let devices = Devices::parse("modbus.toml", &text).unwrap();
    (Arc::new(Equipment::start(devices, &FleetId::default(), &"e1".parse().unwrap(), inputs)), told)
}

fn app(app: &str) -> AppId {
    app.parse().unwrap()
}

/// Sets a point as the core has it done, but for the journal.
async fn set(
    equipment: &Arc<Equipment>,
    told: &mut mpsc::Receiver<Input>,
    point: &str,
    value: Value,
) -> Option<String> {
    let (asked, point) = (equipment.clone(), point.to_owned());
    let answer =
        tokio::spawn(async move { asked.write(&app("aircon-north"), "aircon", &point, value).await });
    let Some(Input::Write { write, .. }) = told.recv().await else { panic!("no write") };
    let (inputs, mut done) = mpsc::channel(1);
    equipment.carry_out(Answer::new(EffectId(1), inputs), write);
    let Some(Input::Done { outcome, .. }) = done.recv().await else { panic!("no outcome") };
    assert_eq!(outcome == Outcome::Done, answer.await.unwrap().is_ok());
    match outcome {
        Outcome::Failed(failure) => Some(failure.kind.to_string()),
        _ => None,
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_is_read_back_and_an_answer_that_holds_is_not_asked_for_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(server) = Server::start(port) else { return };
    let (equipment, mut told) = equipment(port);
    let read = async |device: &str, point: &str| equipment.read(&app("meter"), device, point).await;
    for (point, value) in [
        ("power", Value::Bool(true)),
        ("setpoint", Value::Number(21.5)),
        ("setpoint", Value::Number(16.0)),
        ("wind", Value::from("high")),
    ] {
        assert_eq!(set(&equipment, &mut told, point, value.clone()).await, None, "{point}");
        assert_eq!(read("aircon", point).await, Ok(value), "{point}");
    }
    assert_eq!(read("aircon", "room").await, Ok(Value::Number(22.5)));
    assert_eq!(read("meter", "energy").await, Ok(Value::Number(1042.3)));

    let (mut reads, mut writes, mut cached) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..ROUNDS {
        let began = Instant::now();
        read("aircon", "room").await.unwrap();
        reads.push(began.elapsed());
        let began = Instant::now();
        set(&equipment, &mut told, "setpoint", Value::Number(16.0 + (n % 10) as f64)).await;
        writes.push(began.elapsed());
        let began = Instant::now();
        read("meter", "energy").await.unwrap();
        cached.push(began.elapsed());
    }
    let (reads, writes, cached) = (median(reads), median(writes), median(cached));
    eprintln!(
        "median of {ROUNDS}: read {reads:.1?}, write {writes:.1?} and its commit, cached read {cached:.1?}"
    );
    drop(server);
    assert_eq!(read("meter", "energy").await, Ok(Value::Number(1042.3)), "the answer still holds");
    assert_eq!(read("aircon", "room").await.unwrap_err().kind(), Some("equipment.unreachable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_word_and_a_devices_answer_are_told_apart() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(_server) = Server::start(port) else { return };
    let (equipment, mut told) = equipment(port);
    let error = equipment.read(&app("other"), "meter", "energy").await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("refused", None));
    let error = equipment.write(&app("other"), "aircon", "power", true.into()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("refused", None));
    let hot = Value::Number(99.0);
    let error = equipment.write(&app("aircon-north"), "aircon", "setpoint", hot).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("invalid", None));
    assert!(told.try_recv().is_err(), "the core is told of none of that");

    let error = equipment.read(&app("meter"), "meter", "absent").await.unwrap_err();
    assert_eq!(error.kind(), Some("equipment.range"), "{error}");
    let Some(Input::Ill { failure, point, .. }) = told.recv().await else { panic!("the core is not told") };
    assert_eq!((failure.kind.as_str(), point.to_string().as_str()), ("equipment.range", "meter/absent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_connections_and_says_nothing_is_slow_and_never_a_hang() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (equipment, mut told) = equipment(silent.local_addr().unwrap().port());
    let began = Instant::now();
    let many = (0..20).map(|_| {
        let equipment = equipment.clone();
        tokio::spawn(async move { equipment.read(&app("x"), "aircon", "room").await.unwrap_err().kind() })
    });
    for read in many.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap(), Some("equipment.slow"));
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(matches!(told.recv().await, Some(Input::Ill { .. })));
}
