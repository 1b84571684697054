//! Loads MQTT brokers on this machine: ours beside mosquitto in one table, or ours with ten thousand clients for a
//! while.
//!
//! ```text
//! cargo build --release -p flotilla-broker -p fleet-load
//! target/release/fleet-load compare
//! target/release/fleet-load soak
//! ```
//!
//! It speaks MQTT itself, so that a client costs little. The load shares the processors with the broker: a rate is
//! what both reach together, and the broker's own time for each message is beside it. Exit codes: 0 every aim met,
//! 1 not, 2 wrong usage.

mod broker;
mod client;
mod compare;
mod flow;
mod measures;
mod soak;
mod wire;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open beside the clients' sockets.
const FILES_BESIDE: u64 = 100;

/// Load an MQTT broker on this machine
#[derive(Parser)]
struct Command {
    /// Our broker's binary [default: beside this one]
    #[arg(long, value_name = "FILE", global = true)]
    broker: Option<PathBuf>,
    #[command(subcommand)]
    load: Load,
}

#[derive(clap::Subcommand)]
enum Load {
    /// Measure ours beside mosquitto, within three minutes
    Compare {
        /// mosquitto's binary
        #[arg(long, value_name = "FILE", default_value = "/usr/sbin/mosquitto")]
        mosquitto: PathBuf,
        /// Measure only lines that hold this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        only: String,
    },
    /// Have clients publish once a second while some reconnect; nothing may be lost, and memory is to be flat
    Soak(soak::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Command::parse();
    match run(command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fleet-load: failed to {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> io::Result<bool> {
    if cfg!(debug_assertions) {
        eprintln!("fleet-load: this is a debug build, whose figures say nothing; --release makes a real one");
    }
    let broker = command.broker.map_or_else(beside, Ok)?;
    if !broker.exists() {
        let hint = "cargo build --release -p flotilla-broker makes it";
        return Err(io::Error::other(format!("find {}: {hint}", broker.display())));
    }
    match command.load {
        Load::Compare { mosquitto, only } => {
            allow_files(measures::CROWD)?;
            Ok(compare::run(broker, mosquitto, &only).await)
        }
        Load::Soak(args) => {
            allow_files(args.clients)?;
            soak::run(broker, args).await
        }
    }
}

fn beside() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("broker"))
}

/// Raises the number of files that this process, and the brokers that it starts, may have open.
fn allow_files(clients: usize) -> io::Result<()> {
    let needed = clients as u64 + FILES_BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = maximum.map(|maximum| maximum.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|error| {
        let hint = format!("`ulimit -Hn {needed}` as root, or fewer clients");
        io::Error::other(format!("allow {needed} open files: {error}; {hint}"))
    })
}
