//! The edge's command line, for its own binary and for `flotilla edge`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use flotilla_link::BrokerUrl;
use flotilla_schemas::EdgeId;
use tokio::signal::unix::{SignalKind, signal};

use crate::start::{Config, Edge, JOURNAL_BYTES_MAX, StartError};

/// Run the edge agent of one gateway until it gets SIGINT or SIGTERM
#[derive(Debug, Clone, ClapArgs)]
#[command(
    after_help = "Example:\n  flotilla edge --id e1 --fleet fleet.json --broker mqtt://127.0.0.1:1883 \
--data /var/lib/flotilla/e1 --equipment equipment.toml"
)]
pub struct Args {
    /// The edge's id: 1 to 64 characters of a-z, 0-9 and -
    #[arg(long, value_name = "ID")]
    pub id: EdgeId,
    /// The fleet file: whom the edge trusts
    #[arg(long, value_name = "FILE")]
    pub fleet: PathBuf,
    /// The MQTT broker
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    pub broker: BrokerUrl,
    /// Folder for the journal, apps and the edge's key; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The devices behind the apps; without it there are none
    #[arg(long, value_name = "FILE")]
    pub equipment: Option<PathBuf>,
    /// The most MiB of records that the journal holds before it drops the oldest readings
    #[arg(long, value_name = "MIB", default_value_t = JOURNAL_BYTES_MAX >> 20, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub journal_mib: u64,
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
    let Args { id, fleet, broker, data, equipment, journal_mib } = args;
    let journal_bytes_max = journal_mib << 20;
    let config = Config { edge: id, fleet, broker, data, equipment, journal_bytes_max };
    let mut edge = Edge::start(config).map_err(RunError::Start)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = edge.ended() => return Err(RunError::Ended),
    }
    edge.stop().await;
    Ok(())
}
