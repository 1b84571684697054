//! Where the demo is played: a folder, free ports, and the processes on them.
//!
//! Everything that is started here is ended here, in order: edges, center, broker. If this process dies, they end by
//! themselves, since each is tied to it.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use flotilla_link::{Broker, BrokerUrl, Entry};
use flotilla_schemas::{EdgeId, FleetId};
use tempfile::TempDir;

use super::error::DemoError;
use super::names::{CENTER, FLEET, is_small};
use super::process::Process;
use super::samples;

/// The parts of the demo and where they are.
#[derive(Debug)]
pub struct Stage {
    /// The folder with all files.
    pub dir: PathBuf,
    /// The fleet.
    pub fleet: FleetId,
    /// The broker.
    pub broker: Broker,
    /// The center's HTTP API, `http://127.0.0.1:PORT`.
    pub api: String,
    /// The edges.
    pub edges: Vec<EdgeId>,
    /// Whom to trust with TLS.
    ca: Option<PathBuf>,
    temp: TempDir,
    processes: Vec<Process>,
}

impl Stage {
    /// Makes the folder with the samples in it; starts nothing.
    pub fn set(edges: u8, entry: Option<Entry>) -> Result<Self, DemoError> {
        let failed = |cause| DemoError::Stage { what: "make a folder for the demo".into(), cause };
        let temp = tempfile::Builder::new().prefix("flotilla-demo-").tempdir().map_err(failed)?;
        let dir = temp.path().to_owned();
        std::fs::create_dir(dir.join("log")).map_err(failed)?;
        samples::write(&dir, edges).map_err(failed)?;
        let entry = match entry {
            Some(entry) => entry,
            None => BrokerUrl { host: "127.0.0.1".into(), port: free_port()?, tls: false }.into(),
        };
        let api = format!("http://127.0.0.1:{}", free_port()?);
        let edges = (1..=edges).filter_map(|n| EdgeId::new(format!("e{n}")).ok()).collect();
        let (fleet, broker) = (FLEET.parse()?, entry.open()?);
        // The parts run in a folder of their own.
        let ca = entry.ca.map(std::path::absolute).transpose().map_err(failed)?;
        Ok(Self { dir, fleet, broker, api, edges, ca, temp, processes: Vec::new() })
    }

    /// Where the center's token will be.
    pub fn token_file(&self) -> PathBuf {
        self.dir.join(CENTER).join("api.token")
    }

    /// Starts the embedded broker.
    pub fn start_broker(&mut self) -> Result<(), DemoError> {
        let url = self.broker.url();
        let tcp = format!("{}:{}", url.host, url.port);
        self.start("broker", &["broker", "--tcp", &tcp, "--data", "broker", "--open"])
    }

    /// Starts the center.
    pub fn start_center(&mut self) -> Result<(), DemoError> {
        let api = self.api.trim_start_matches("http://").to_owned();
        let key = format!("fleet/center-{CENTER}.key");
        let args = ["center", "--id", CENTER, "--fleet", "fleet/fleet.json", "--key", &key];
        self.start_agent("center", &[&args[..], &["--data", CENTER, "--api", &api]].concat())
    }

    /// Starts an edge.
    pub fn start_edge(&mut self, edge: &EdgeId) -> Result<(), DemoError> {
        let (id, equipment) = (edge.as_str(), format!("equipment/{edge}.toml"));
        let args =
            ["edge", "--id", id, "--fleet", "fleet/fleet.json", "--data", id, "--equipment", &equipment];
        let small: &[&str] =
            if is_small(edge) { &["--without", "scripts,disk", "--memory-mib", "3"] } else { &[] };
        self.start_agent(id, &[&args[..], small].concat())
    }

    /// Starts what speaks to the broker.
    fn start_agent(&mut self, name: &str, args: &[&str]) -> Result<(), DemoError> {
        let url = self.broker.url().to_string();
        let ca = self.ca.as_ref().map(|ca| ca.display().to_string());
        let ca: Vec<&str> = ca.iter().flat_map(|ca| ["--broker-ca", ca]).collect();
        self.start(name, &[args, &["--broker", &url], &ca].concat())
    }

    fn start(&mut self, name: &str, args: &[&str]) -> Result<(), DemoError> {
        let failed = |cause| DemoError::Stage { what: format!("start {name}"), cause };
        self.processes.push(Process::start(name, &self.dir, args).map_err(failed)?);
        Ok(())
    }

    /// The first process that has ended although nobody ended it, and how.
    pub fn ended(&mut self) -> Option<(String, String)> {
        self.processes.iter_mut().find_map(|process| Some((process.name.clone(), process.ended()?)))
    }

    /// Where the log of a part goes.
    pub fn log(&self, name: &str) -> Option<&Path> {
        self.processes.iter().find(|process| process.name == name).map(|process| process.log.as_path())
    }

    /// Ends everything, what was started last first.
    pub async fn end(&mut self) {
        while let Some(process) = self.processes.pop() {
            process.end().await;
        }
    }

    /// Leaves the folder where it is, or removes it. Says where it is if it stays.
    pub fn close(self, keep: bool) -> Option<PathBuf> {
        keep.then(|| self.temp.keep())
    }
}

/// A port of the loopback interface that nobody uses at this moment.
fn free_port() -> Result<u16, DemoError> {
    let port = || -> io::Result<u16> { Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port()) };
    port().map_err(|cause| DemoError::Stage { what: "find a free port".into(), cause })
}
