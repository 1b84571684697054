//! The edge's command line, for its own binary and for `flotilla edge`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use flotilla_link::Entry;
use flotilla_schemas::EdgeId;
use flotilla_schemas::report::Profile;
use tokio::signal::unix::{SignalKind, signal};

use crate::start::{
    BUILT, Config, Edge, JOURNAL_BYTES_MAX, JOURNAL_BYTES_WITHOUT_DISK, MEMORY_BYTES_WITHOUT_DISK, StartError,
};

/// Run the edge agent of one gateway until it gets SIGINT or SIGTERM
#[derive(Debug, Clone, ClapArgs)]
// Where these are optional as a whole they are there if the id is: clap does not look into what is flattened.
#[group(args = ["id"])]
#[command(
    after_help = "Examples:\n  flotilla edge --id e1 --fleet fleet.json --broker mqtt://127.0.0.1:1883 \
--data /var/lib/flotilla/e1 --equipment equipment.toml\n  flotilla edge --id e4 --fleet fleet.json \
--broker mqtt://127.0.0.1:1883 --data /etc/flotilla --without scripts,disk --memory-mib 4\n  flotilla edge --id e1 --fleet fleet.json \
--broker mqtts://broker.example --broker-ca ca.pem --broker-token-file e1.token --data /var/lib/flotilla/e1"
)]
pub struct Args {
    /// The edge's id: 1 to 64 characters of a-z, 0-9 and -
    #[arg(long, value_name = "ID")]
    pub id: EdgeId,
    /// The fleet file: whom the edge trusts
    #[arg(long, value_name = "FILE")]
    pub fleet: PathBuf,
    /// The broker, and the right to speak to it
    #[command(flatten)]
    pub broker: Entry,
    /// Folder for the journal, apps and the edge's key; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The devices behind the apps; without it there are none
    #[arg(long, value_name = "FILE")]
    pub equipment: Option<PathBuf>,
    /// The most MiB of records that the journal holds before it drops the oldest readings; 64, or 1 without a disk
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub journal_mib: Option<u64>,
    /// Parts to leave out, separated by commas: without scripts, apps run by their own operation; without
    /// reliability, what fails is recorded and no more; without a disk, everything but the key is in memory
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub without: Vec<Part>,
    /// The most MiB that apps take together, code and memory; those that do not fit run each in turn. Unbounded, or
    /// 16 without a disk
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub memory_mib: Option<u64>,
}

/// A part that an edge can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Keeping anything over a power cut.
    Disk,
    /// Having faults answered, and being restored.
    Reliability,
    /// Walking scripts.
    Scripts,
}

impl Args {
    /// What the edge can do: what it was built with, less what was left out.
    pub fn profile(&self) -> Profile {
        let has = |part, built| built && !self.without.contains(&part);
        let disk = has(Part::Disk, BUILT.disk);
        let unsaid = if disk { None } else { Some(MEMORY_BYTES_WITHOUT_DISK) };
        Profile {
            scripts: has(Part::Scripts, BUILT.scripts),
            reliability: has(Part::Reliability, BUILT.reliability),
            disk,
            memory_bytes_max: self.memory_mib.map(|mib| mib << 20).or(unsaid),
        }
    }

    fn journal_bytes_max(&self) -> u64 {
        let unsaid = if self.profile().disk { JOURNAL_BYTES_MAX } else { JOURNAL_BYTES_WITHOUT_DISK };
        self.journal_mib.map_or(unsaid, |mib| mib << 20)
    }
}

/// Why the edge does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start; all reasons.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Start(Vec<StartError>),
    /// The operating system gives no signals.
    #[error("the system gives no signals: {0}")]
    Signal(#[from] std::io::Error),
    /// It ended though nobody told it to.
    #[error("the edge ended; the log says why")]
    Ended,
}

/// Runs an edge until SIGINT or SIGTERM, then stops it gracefully.
///
/// # Errors
/// It did not start, or it ended by itself: then its supervisor is to start it again.
pub async fn run(args: Args) -> Result<(), RunError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (profile, journal_bytes_max) = (args.profile(), args.journal_bytes_max());
    let Args { id, fleet, broker, data, equipment, .. } = args;
    let config = Config { edge: id, fleet, broker, data, profile, equipment, journal_bytes_max };
    let mut edge = Edge::start(config).map_err(RunError::Start)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = edge.ended() => return Err(RunError::Ended),
    }
    edge.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(rest: &str) -> Args {
        let line = format!("edge --id e1 --fleet f --data d {rest}");
        Cli::try_parse_from(line.split_whitespace()).unwrap().args
    }

    #[test]
    fn an_edge_is_what_it_was_built_with_less_what_is_left_out() {
        let unsaid = if BUILT.disk { None } else { Some(MEMORY_BYTES_WITHOUT_DISK) };
        assert_eq!(args("").profile(), Profile { memory_bytes_max: unsaid, ..BUILT });
        let small = args("--without scripts,reliability --memory-mib 3").profile();
        let expected =
            Profile { scripts: false, reliability: false, memory_bytes_max: Some(3 << 20), ..BUILT };
        assert_eq!(small, expected);
    }

    #[test]
    fn without_a_disk_memory_is_bounded_though_nobody_says_so() {
        let small = args("--without disk");
        assert_eq!(small.profile().memory_bytes_max, Some(MEMORY_BYTES_WITHOUT_DISK));
        assert_eq!(small.journal_bytes_max(), JOURNAL_BYTES_WITHOUT_DISK);
        assert_eq!(args("--without disk --journal-mib 2").journal_bytes_max(), 2 << 20);
    }

    #[cfg(feature = "disk")]
    #[test]
    fn with_a_disk_apps_take_the_memory_that_there_is() {
        assert_eq!(args("").profile().memory_bytes_max, None);
        assert_eq!(args("").journal_bytes_max(), JOURNAL_BYTES_MAX);
    }
}
