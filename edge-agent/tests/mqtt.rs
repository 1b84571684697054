//! The MQTT driver over mosquitto, against a device that is a link of its own.
//!
//! Needs mosquitto. Without it the test fails where `CI` is set, and says elsewhere that it was skipped.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by it")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_agent::answer::Answer;
use edge_agent::equipment::{Devices, Equipment};
use edge_core::{EffectId, Input};
use flotilla_link::{BrokerUrl, Delivery, Entry, Link, LinkConfig, LinkEvent};
use flotilla_schemas::{AppId, FleetId, Value};
use tokio::sync::mpsc::{self, Receiver};

const FILE: &str = r#"
    [device.lamp]
    driver = "mqtt"
    broker = "BROKER"
    user = "edge"
    password_file = "PASSWORD"
    timeout = "700ms"

    [device.lamp.point.on]
    type = "bool"
    access = "rw"
    state = "home/lamp"
    set = "home/lamp/set"
    pointer = "/state"
    on = "ON"
    off = "OFF"

    [device.lamp.point.power]
    type = "number"
    min = 0
    max = 100
    state = "home/lamp"
    pointer = "/power"

    [device.lamp.point.stubborn]
    type = "number"
    access = "rw"
    state = "home/lamp/level"
    set = "home/lamp/level/set"

    [device.lamp.point.barred]
    type = "bool"
    access = "rw"
    state = "home/lamp/barred"
    set = "lamp"

    [device.lamp.point.short]
    type = "text"
    state = "home/lamp/level"
    fresh = "1ms"
"#;

const USER: &str = "edge";
const PASSWORD: &str = "open-sesame";

struct Mosquitto(Child);

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Mosquitto on a port of loopback, once it takes connections: of a user with a password, below `home/` alone.
fn mosquitto(folder: &Path, port: u16) -> Option<Mosquitto> {
    let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find(|program| {
        Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    let Some(program) = program else {
        assert!(std::env::var_os("CI").is_none(), "needs mosquitto: apt-get install mosquitto");
        eprintln!("skipped: needs mosquitto: apt-get install mosquitto");
        return None;
    };
    let config = folder.join("mosquitto.conf");
    let (users, rights) = (folder.join("users"), folder.join("rights"));
    let made =
        Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&users).args([USER, PASSWORD]).status();
    assert!(made.unwrap().success());
    std::fs::write(&rights, format!("user {USER}\ntopic readwrite home/#\n")).unwrap();
    let (users, rights) = (users.display(), rights.display());
    let text = format!("listener {port} 127.0.0.1\npassword_file {users}\nacl_file {rights}\nuser root\n");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program);
    let child = command.arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "mosquitto does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Mosquitto(child))
}

/// A lamp: does as it is told and says so, but for its level, which it keeps.
async fn lamp(device: Link, mut events: Receiver<LinkEvent>) {
    let say = |topic: &str, payload: &str| {
        device.publish_foreign(topic, payload.as_bytes().to_vec(), Delivery::State).unwrap();
    };
    say("home/lamp", r#"{"state": "OFF", "power": 0.0}"#);
    say("home/lamp/level", "7");
    while let Some(event) = events.recv().await {
        match event {
            LinkEvent::Foreign { topic, payload } if topic == "home/lamp/set" => {
                let on = payload == br#"{"state":"ON"}"#;
                say(
                    "home/lamp",
                    if on { r#"{"state": "ON", "power": 6553.5}"# } else { r#"{"state": "OFF"}"# },
                );
            }
            LinkEvent::Foreign { topic, .. } if topic == "home/lamp/level/set" => say("home/lamp/level", "7"),
            _ => {}
        }
    }
}

struct Lab {
    equipment: Arc<Equipment>,
    told: Receiver<Input>,
}

impl Lab {
    async fn read(&self, point: &str) -> Result<Value, &'static str> {
        let app: AppId = "a".parse().unwrap();
        self.equipment.read(&app, "lamp", point).await.map_err(|error| error.kind().unwrap())
    }

    /// Sets a point as the core has it done, but for the journal.
    async fn set(&mut self, point: &'static str, value: Value) -> Result<(), &'static str> {
        let equipment = self.equipment.clone();
        let app: AppId = "a".parse().unwrap();
        let answer = tokio::spawn(async move { equipment.write(&app, "lamp", point, value).await });
        loop {
            if let Some(Input::Write { write, .. }) = self.told.recv().await {
                let (inputs, _done) = tokio::sync::mpsc::channel(1);
                self.equipment.carry_out(Answer::new(EffectId(1), inputs), write);
                return answer.await.unwrap().map_err(|error| error.kind().unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_speaks_to_a_broker_is_read_set_and_confirmed_by_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(broker) = mosquitto(folder.path(), port) else { return };
    let url = format!("mqtt://127.0.0.1:{port}");
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, PASSWORD).unwrap();
    let entry = Entry {
        user: Some(USER.to_owned()),
        token_file: Some(password_file.clone()),
        ..Entry::from(url.parse::<BrokerUrl>().unwrap())
    };
    let foreign = vec!["home/lamp/set".to_owned(), "home/lamp/level/set".to_owned()];
    let (device, events) = Link::start(LinkConfig {
        broker: entry.open().unwrap(),
        fleet: FleetId::default(),
        client: "lamp".to_owned(),
        will: None,
        filters: Vec::new(),
        foreign,
        signer: None,
    });
    tokio::spawn(lamp(device, events));
    let (inputs, told) = mpsc::channel(64);
    let text = FILE.replace("BROKER", &url).replace("PASSWORD", &password_file.display().to_string());
    let devices = Devices::parse("equipment.toml", &text).unwrap();
    let mut lab = Lab {
        equipment: Arc::new(Equipment::start(devices, &FleetId::default(), &"e1".parse().unwrap(), inputs)),
        told,
    };

    let end = Instant::now() + Duration::from_secs(20);
    while lab.read("on").await != Ok(Value::Bool(false)) {
        assert!(Instant::now() < end, "the lamp says nothing");
    }
    assert_eq!(lab.read("power").await, Ok(Value::Number(0.0)));
    let fresh = async |lab: &Lab| lab.read("short").await != Err("equipment.unreachable");
    while fresh(&lab).await {
        assert!(Instant::now() < end, "what it said stays fresh for ever");
    }
    assert_eq!(lab.set("on", Value::Bool(true)).await, Ok(()));
    assert_eq!(lab.read("on").await, Ok(Value::Bool(true)));
    assert_eq!(lab.read("power").await, Err("equipment.range"));
    assert_eq!(lab.set("stubborn", Value::Number(9.0)).await, Err("equipment.slow"), "it says another value");
    assert_eq!(lab.set("stubborn", Value::Number(7.0)).await, Ok(()));
    assert_eq!(lab.set("barred", Value::Bool(true)).await, Err("equipment.refused"), "by the broker");

    drop(broker);
    let end = Instant::now() + Duration::from_secs(20);
    while lab.read("on").await != Err("equipment.unreachable") {
        assert!(Instant::now() < end, "the broker's end is not noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Some(_broker) = mosquitto(folder.path(), port) else { return };
    let end = Instant::now() + Duration::from_secs(30);
    while lab.set("on", Value::Bool(false)).await != Ok(()) {
        assert!(Instant::now() < end, "the lamp does not come back");
    }
}
