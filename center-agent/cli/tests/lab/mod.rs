//! A small fleet of real processes on a real disk, for tests.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A fleet of processes in a folder; all of them end with it.
pub struct Lab {
    pub folder: tempfile::TempDir,
    equipment: PathBuf,
    /// What else the edge is started with.
    pub options: &'static str,
    /// Who is let in by the broker; all, without.
    access: Option<PathBuf>,
    broker: u16,
    api: u16,
    parts: BTreeMap<&'static str, Child>,
}

/// A port of loopback that nobody has now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The folder of the samples.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples")
}

impl Lab {
    /// A fleet whose edge e1 has this equipment.
    pub fn new(equipment: PathBuf) -> Self {
        Self::of("fleet", equipment, free_port())
    }

    /// Another fleet, with this name, at the broker of this one.
    pub fn beside(&self, name: &str) -> Self {
        Self::of(name, self.equipment.clone(), self.broker)
    }

    fn of(name: &str, equipment: PathBuf, broker: u16) -> Self {
        let (folder, api, parts) = (tempfile::tempdir().unwrap(), free_port(), BTreeMap::new());
        let lab = Self { folder, equipment, options: "", access: None, broker, api, parts };
        lab.run(&format!("fleet init fleet --name {name}"));
        lab
    }

    /// Has the broker that is started with this access file let this fleet's center and edge in.
    pub fn let_in(&mut self, name: &str, access: &Path) {
        for (part, user) in [("center", "center c1"), ("edge", "edge e1")] {
            let added =
                self.run(&format!("access add {user} --fleet {name} --json --access {}", access.display()));
            let added: Value = serde_json::from_str(&added).unwrap();
            let token = text(&added, "/token");
            std::fs::write(self.folder.path().join(format!("{part}.token")), token).unwrap();
        }
        self.access = Some(access.to_owned());
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
        command.args(args.split(' ')).current_dir(self.folder.path());
        command.env("FLOTILLA_API", format!("http://127.0.0.1:{}", self.api));
        command.env("FLOTILLA_TOKEN_FILE", "c1/api.token");
        command
    }

    /// What a command prints, or says when it fails.
    pub fn try_run(&self, args: &str) -> Result<String, String> {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// What a command prints that has to succeed.
    pub fn run(&self, args: &str) -> String {
        self.try_run(args).unwrap_or_else(|error| panic!("flotilla {args}: {error}"))
    }

    /// Starts the broker, the center or the edge.
    pub fn start(&mut self, part: &'static str) {
        let (broker, api) = (self.broker, self.api);
        let mut args = match part {
            "broker" => format!("broker --tcp 127.0.0.1:{broker} --data b"),
            "center" => format!(
                "center --id c1 --fleet fleet/fleet.json --key fleet/center-c1.key \
                 --broker mqtt://127.0.0.1:{broker} --data c1 --api 127.0.0.1:{api}"
            ),
            _ => format!(
                "edge --id e1 --fleet fleet/fleet.json --broker mqtt://127.0.0.1:{broker} --data e1 \
                 --equipment {}{}",
                self.equipment.display(),
                self.options
            ),
        };
        args += &match (&self.access, part) {
            (None, "broker") => " --open".to_owned(),
            (Some(access), "broker") => format!(" --access {}", access.display()),
            (None, _) => String::new(),
            (Some(_), part) => format!(" --broker-token-file {part}.token"),
        };
        let log = File::create(self.folder.path().join(format!("{part}.log"))).unwrap();
        let child = self.command(&args).stdin(Stdio::null()).stderr(log).spawn().unwrap();
        self.parts.insert(part, child);
    }

    /// The bodies of this type among the records that the center has of the edge, with their times.
    pub fn bodies(&self, ty: &str) -> Vec<(i64, Value)> {
        let lines = self.try_run("events e1 --json").unwrap_or_default();
        let record = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let record = line.get("record").unwrap_or(&line);
            let (ts, body) = (record.get("ts")?.as_i64()?, record.get("body")?.clone());
            (body.get("type")?.as_str()? == ty).then_some((ts, body))
        };
        lines.lines().filter_map(record).collect()
    }

    /// SIGKILL, which no process can prepare for.
    pub fn kill(&mut self, part: &str) {
        let mut child = self.parts.remove(part).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until something holds, but not for ever.
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(40);
        while !holds() {
            assert!(Instant::now() < end, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Publishes the apps of the air conditioner.
    pub fn publish_apps(&self) {
        let samples = samples();
        let publish =
            |app: &str| format!("app publish {}/apps/{app} --key fleet/publisher.key", samples.display());
        // A center decides nothing before it has heard what the broker retains.
        self.until("the center decides", || self.try_run(&publish("aircon-south")).is_ok());
        self.run(&publish("aircon-north"));
    }

    /// Publishes the air conditioner and starts its service.
    pub fn publish_and_start(&self) {
        self.publish_apps();
        let script = samples().join("scripts/air-conditioner");
        self.run(&format!("script publish {} --key fleet/publisher.key", script.display()));
        self.run("service start air-conditioner --on e1 --events aircon-large --every 200ms");
    }
}

/// A member of a record's body that is a text.
pub fn text<'a>(body: &'a Value, path: &str) -> &'a str {
    body.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

impl Drop for Lab {
    fn drop(&mut self) {
        for part in self.parts.values_mut() {
            let _ = part.kill();
            let _ = part.wait();
        }
    }
}
