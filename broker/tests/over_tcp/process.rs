//! The broker as a process: its exit codes, its signals, and what is left when it is killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client::{Client, V5};

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(["--tcp", "127.0.0.1:0", "--data"]).arg(data).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Starts a broker and waits for the line that says where it listens.
fn start(data: &Path) -> Process {
    let mut child = command(data).arg("--open").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let address = line.rsplit('=').next().unwrap().trim().parse().unwrap();
    Process { child, address }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5_u8 {
        let mut broker = start(folder.path());
        let mut edge = Client::connect(broker.address, V5, "edge-e1").await;
        let topic = format!("fleet/v1/edge/e1/release/app/app-{round}");
        assert_eq!(edge.publish(&topic, &[round], true, &[]).await, Some(0));
        broker.child.kill().unwrap();
    }
    let broker = start(folder.path());
    let mut reader = Client::connect(broker.address, V5, "dashboard").await;
    reader.subscribe("#", 1).await;
    for round in 0..5 {
        assert_eq!(reader.received().await.payload, [round]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_retained_messages_survive_being_killed_and_all_come_to_one_subscriber() {
    const COUNT: usize = 50_000;
    let topic = |i: usize| format!("fleet/v1/distribution/app/app-{}/edge-{i}", i % 7);
    let folder = tempfile::tempdir().unwrap();
    let mut broker = start(folder.path());
    let mut center = Client::connect(broker.address, V5, "center-c1").await;
    center.retain((0..COUNT).map(|i| (topic(i), i.to_string().into_bytes())), &[]).await;
    broker.child.kill().unwrap();
    broker.child.wait().unwrap();
    let broker = start(folder.path());
    for qos in [0, 1] {
        let mut reader = Client::connect(broker.address, V5, "dashboard").await;
        reader.subscribe("fleet/v1/distribution/+/+/#", qos).await;
        let mut missing = vec![true; COUNT];
        for _ in 0..COUNT {
            let received = reader.received().await;
            let i: usize = std::str::from_utf8(&received.payload).unwrap().parse().unwrap();
            assert_eq!((received.topic, received.qos, received.retain), (topic(i), qos, true));
            assert!(std::mem::take(&mut missing[i]), "{i} came twice");
        }
        assert_eq!(reader.received_so_far().await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_sigint_stop_it_with_a_word_to_its_clients() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let mut broker = start(folder.path());
        let mut client = Client::connect(broker.address, V5, "x").await;
        let kill =
            Command::new("kill").args(["-s", signal, &broker.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(client.closed().await, Some(0x8b));
        assert_eq!(broker.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn exit_codes_tell_refusals_from_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let ended = |command: &mut Command| {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    };
    let (code, text) = ended(&mut command(folder.path()));
    assert_eq!(code, Some(2));
    assert!(text.contains("--open") && text.contains("--access"), "{text}");
    let (code, text) = ended(command(folder.path()).args(["--access", "/nowhere/access.toml"]));
    assert_eq!(code, Some(1));
    assert!(text.starts_with("broker: failed to read /nowhere/access.toml: "), "{text}");
    assert_eq!(ended(command(folder.path()).arg("--unknown")).0, Some(2));
    assert_eq!(ended(command(folder.path()).arg("--help")).0, Some(0));
}
