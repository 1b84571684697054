//! `flotilla demo --once` as a stranger runs it: real processes, real sockets, on the own broker and on mosquitto.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails and speaks by it")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

fn flotilla(temp: &Path, args: &[&str]) -> (bool, String) {
    let mut flotilla = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    let output = flotilla.args(args).env("TMPDIR", temp).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn folders(temp: &TempDir) -> Vec<PathBuf> {
    fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_story_happens_and_the_dead_edges_journal_tells_it_too() {
    let temp = tempfile::tempdir().unwrap();
    let (done, told) = flotilla(temp.path(), &["demo", "--once", "--keep"]);
    assert!(done, "{told}");
    let [folder] = folders(&temp).try_into().unwrap();
    let edge = folder.join("e2");
    let (done, journal) = flotilla(temp.path(), &["journal", edge.to_str().unwrap(), "--lane", "0"]);
    assert!(done, "{journal}");
    let told = ["fault", "restart, attempt 1", "replace, attempt 2", "cured by replace"];
    let places = told.map(|what| journal.find(what));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {journal}");
}

#[test]
fn the_story_happens_on_mosquitto_and_leaves_nothing_there() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    for _ in 0..2 {
        let temp = tempfile::tempdir().unwrap();
        let (done, told) = flotilla(temp.path(), &["demo", "--once", "--broker", &mosquitto.url]);
        assert!(done, "{told}");
        assert!(folders(&temp).is_empty());
    }
}

#[test]
fn a_broker_that_is_not_there_is_refused_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let (done, told) = flotilla(temp.path(), &["demo", "--once", "--broker", "mqtt://127.0.0.1:1"]);
    assert!(!done && told.contains("failed to reach the broker at mqtt://127.0.0.1:1"), "{told}");
    assert!(folders(&temp).is_empty());
}

/// A mosquitto of our own, ended with the value.
struct Mosquitto {
    child: Child,
    url: String,
    _config: TempDir,
}

impl Mosquitto {
    /// Nothing where mosquitto is not installed; in CI that is a failure.
    fn start() -> Option<Self> {
        let places = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];
        let Some(program) = places.iter().find(|place| Path::new(place).exists()) else {
            assert!(std::env::var_os("CI").is_none(), "mosquitto is missing: install the package mosquitto");
            eprintln!("skipped: there is no mosquitto here; install the package mosquitto");
            return None;
        };
        let config = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = config.path().join("mosquitto.conf");
        fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"))
            .unwrap();
        let mut mosquitto = Command::new(program);
        let child =
            mosquitto.arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Self { child, url: format!("mqtt://127.0.0.1:{port}"), _config: config };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
