//! An edge that is killed in the middle of its work, as real processes on a real disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A fleet of processes in a folder; all of them end with it.
struct Lab {
    folder: tempfile::TempDir,
    broker: u16,
    api: u16,
    parts: BTreeMap<&'static str, Child>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples")
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Self { folder, broker: free_port(), api: free_port(), parts: BTreeMap::new() };
        lab.run("fleet init fleet");
        lab
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
        command.args(args.split(' ')).current_dir(self.folder.path());
        command.env("FLOTILLA_API", format!("http://127.0.0.1:{}", self.api));
        command.env("FLOTILLA_TOKEN_FILE", "c1/api.token");
        command
    }

    fn try_run(&self, args: &str) -> Result<String, String> {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn run(&self, args: &str) -> String {
        self.try_run(args).unwrap_or_else(|error| panic!("flotilla {args}: {error}"))
    }

    fn start(&mut self, part: &'static str) {
        let (broker, api) = (self.broker, self.api);
        let args = match part {
            "broker" => format!("broker --open --tcp 127.0.0.1:{broker} --data b"),
            "center" => format!(
                "center --id c1 --fleet fleet/fleet.json --key fleet/center-c1.key \
                 --broker mqtt://127.0.0.1:{broker} --data c1 --api 127.0.0.1:{api}"
            ),
            _ => format!(
                "edge --id e1 --fleet fleet/fleet.json --broker mqtt://127.0.0.1:{broker} --data e1 \
                 --equipment {}/equipment/e1.toml",
                samples().display()
            ),
        };
        let log = File::create(self.folder.path().join(format!("{part}.log"))).unwrap();
        let child = self.command(&args).stdin(Stdio::null()).stderr(log).spawn().unwrap();
        self.parts.insert(part, child);
    }

    /// SIGKILL, which no process can prepare for.
    fn kill(&mut self, part: &str) {
        let mut child = self.parts.remove(part).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(40);
        while !holds() {
            assert!(Instant::now() < end, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn publish_and_start(&self) {
        let samples = samples();
        let samples = samples.display();
        let publish = |app: &str| format!("app publish {samples}/apps/{app} --key fleet/publisher.key");
        // A center decides nothing before it has heard what the broker retains.
        self.until("the center decides", || self.try_run(&publish("aircon-south")).is_ok());
        self.run(&publish("aircon-north"));
        self.run(&format!("script publish {samples}/scripts/air-conditioner --key fleet/publisher.key"));
        self.run("service start air-conditioner --on e1 --events aircon-large --every 200ms");
    }

    /// The numbers of the edge's records that the center has, by lane.
    fn at_center(&self) -> BTreeMap<u64, Vec<u64>> {
        numbers(&self.try_run("events e1 --json").unwrap_or_default())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for part in self.parts.values_mut() {
            let _ = part.kill();
            let _ = part.wait();
        }
    }
}

/// Lane and number of each record in lines of JSON, in order.
fn numbers(lines: &str) -> BTreeMap<u64, Vec<u64>> {
    let mut lanes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| value.get(name).or_else(|| value.get("record")?.get(name))?.as_u64();
        if let (Some(lane), Some(seq)) = (number("lane"), number("seq")) {
            lanes.entry(lane).or_default().push(seq);
        }
    }
    lanes.values_mut().for_each(|seqs| seqs.sort_unstable());
    lanes
}

#[test]
fn a_killed_edge_goes_on_without_the_network_and_nothing_that_it_journaled_is_lost() {
    let mut lab = Lab::new();
    for part in ["broker", "center", "edge"] {
        lab.start(part);
    }
    lab.until("the edge is known", || lab.try_run("edges").is_ok_and(|edges| edges.contains("e1")));
    lab.publish_and_start();
    lab.until("it runs", || lab.at_center().get(&2).is_some_and(|readings| readings.len() > 10));

    lab.kill("broker");
    std::thread::sleep(Duration::from_secs(1));
    lab.kill("edge");
    let dead = numbers(&lab.run("journal e1 --json"));
    assert!(dead.values().map(Vec::len).sum::<usize>() > 10, "the dead folder is readable: {dead:?}");

    lab.start("edge");
    std::thread::sleep(Duration::from_secs(2));
    lab.kill("edge");
    let alone = numbers(&lab.run("journal e1 --json"));
    assert!(alone.get(&2).unwrap().last() > dead.get(&2).unwrap().last(), "it went on without the network");

    lab.start("broker");
    lab.start("edge");
    let has_all = || {
        let center = lab.at_center();
        alone.iter().all(|(lane, seqs)| {
            seqs.iter().all(|seq| center.get(lane).is_some_and(|there| there.binary_search(seq).is_ok()))
        })
    };
    lab.until("the center has every record", has_all);
    for (lane, seqs) in lab.at_center() {
        assert!(seqs.windows(2).all(|pair| matches!(pair, [a, b] if b - a == 1)), "lane {lane} is dense");
    }
}
