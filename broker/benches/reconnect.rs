//! How long a fleet takes to be back after its broker was started again: `cargo bench -p flotilla-broker --bench
//! reconnect [-- EDGES]`. The broker is a process of its own; each edge has a token, and all connect at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flotilla_broker::access::{AccessFile, NewCredential, Role};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a link waits before it tries again.
const RETRY: Duration = Duration::from_millis(100);
/// Whoever is not in by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

struct Broker(Child, SocketAddr);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path) -> Broker {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(["--tcp", "127.0.0.1:0", "--connections", "20000", "--connections-per-address", "20000"]);
    command.arg("--data").arg(folder).arg("--access").arg(folder.join("access.toml"));
    let mut child = command.env("NO_COLOR", "1").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let address = line.rsplit('=').next().unwrap().trim().parse().unwrap();
    Broker(child, address)
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// An MQTT 5 CONNECT.
fn connect(user: &str, token: &str) -> Vec<u8> {
    let head = [text("MQTT"), vec![5, 0xc2, 0, 60, 0]].concat();
    let body = [head, text(user), text(user), text(token)].concat();
    let mut packet = vec![0x10];
    let mut length = body.len();
    while length >= 128 {
        packet.push(length as u8 | 0x80);
        length /= 128;
    }
    packet.push(length as u8);
    [packet, body].concat()
}

/// Connects until it is let in; how often it had to try.
async fn come(address: SocketAddr, connect: Vec<u8>) -> (TcpStream, u32) {
    for tries in 1.. {
        if let Ok(mut stream) = TcpStream::connect(address).await
            && stream.write_all(&connect).await.is_ok()
        {
            let mut connack = [0; 4];
            if stream.read_exact(&mut connack).await.is_ok() {
                assert_eq!(connack[3], 0, "refused");
                return (stream, tries);
            }
        }
        tokio::time::sleep(RETRY).await;
    }
    unreachable!("it tries for ever")
}

#[tokio::main]
async fn main() {
    let edges: usize = std::env::args().nth(1).and_then(|edges| edges.parse().ok()).unwrap_or(10_000);
    // A socket for each, where most systems allow a thousand files until they are asked.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<String> = (0..edges).map(|n| format!("e{n}")).collect();
    let file = AccessFile::at(&folder.path().join("access.toml"));
    let tokens = file.add(Role::Edge, &ids, &NewCredential::Token, false).unwrap();
    for round in 1..=3 {
        let started = Instant::now();
        let broker = start(folder.path());
        let up = started.elapsed();
        let began = Instant::now();
        let coming: Vec<_> =
            tokens.iter().map(|(user, token)| tokio::spawn(come(broker.1, connect(user, token)))).collect();
        let mut times = Vec::with_capacity(edges);
        let mut held = Vec::with_capacity(edges);
        let mut again = 0;
        for edge in coming {
            let (stream, tries) = timeout(PATIENCE, edge).await.expect("everyone is in by then").unwrap();
            again += u32::from(tries > 1);
            held.push(stream);
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_millis();
        println!(
            "round {round}: broker up in {} ms; {edges} edges in: half {} ms, all {} ms; {again} had to try again",
            up.as_millis(),
            at(50),
            at(100)
        );
    }
}
