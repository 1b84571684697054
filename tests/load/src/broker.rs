//! A broker under load: its process, started in a folder of its own, and what the kernel says of it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;

/// Time that a broker has to come up.
const START_WAIT: Duration = Duration::from_secs(10);
/// What the kernel counts a process' time in.
const TICK_US: f64 = 10_000.0;

/// As lenient and quick as mosquitto can be told to be: no queue is cut, nothing goes to disk, no packet is delayed.
const MOSQUITTO: &str = "allow_anonymous true
persistence false
log_type error
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 100
set_tcp_nodelay true
";

/// The two that are compared.
#[derive(Clone)]
pub enum Kind {
    /// Ours: the path of its binary.
    Ours(PathBuf),
    /// Debian's: the path of its binary.
    Mosquitto(PathBuf),
}

/// A broker that runs until this is dropped.
pub struct Broker {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    /// Starts one, and waits until it lets clients in.
    ///
    /// # Errors
    /// It does not start, or lets nobody in within [`START_WAIT`].
    pub async fn start(kind: &Kind) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = command(kind, folder.path(), address)?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| named(&command, &error.to_string()))?;
        let broker = Self { child, address, _folder: folder };
        let began = Instant::now();
        while let Err(error) = Client::connect(address, "dashboard").await {
            if began.elapsed() > START_WAIT {
                return Err(named(&command, &error.to_string()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(broker)
    }

    /// Microseconds of processor time that it has taken so far, in its own code and in the kernel.
    pub fn cpu_us(&self) -> f64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok());
        (ticks(11).expect("utime") + ticks(12).expect("stime")) * TICK_US
    }

    /// KiB of memory that it has resident.
    pub fn rss_kib(&self) -> f64 {
        let status = self.proc("status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        rss.and_then(|rss| rss.trim().trim_end_matches(" kB").parse().ok()).expect("a resident size")
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the broker runs")
    }
}

fn command(kind: &Kind, folder: &Path, address: SocketAddr) -> io::Result<Command> {
    Ok(match kind {
        Kind::Ours(binary) => {
            let mut command = Command::new(binary);
            command.args(["--open", "--tcp", &address.to_string(), "--data"]).arg(folder);
            command
        }
        Kind::Mosquitto(binary) => {
            let config = folder.join("mosquitto.conf");
            std::fs::write(&config, format!("listener {} {}\n{MOSQUITTO}", address.port(), address.ip()))?;
            let mut command = Command::new(binary);
            command.arg("-c").arg(config);
            command
        }
    })
}

fn named(command: &Command, error: &str) -> io::Error {
    io::Error::other(format!("start {}: {error}", command.get_program().to_string_lossy()))
}
