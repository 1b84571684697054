//! The center's command line, for its own binary and for `flotilla center`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use flotilla_link::Entry;
use flotilla_schemas::CenterId;
use tokio::signal::unix::{SignalKind, signal};

use crate::start::{Center, Config, StartError};

/// Run a center agent until it gets SIGINT or SIGTERM
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "Example:\n  flotilla center --id c1 --fleet fleet.json --key center-c1.key \
--broker mqtt://127.0.0.1:1883 --data /var/lib/flotilla/c1 --api 127.0.0.1:8080")]
pub struct Args {
    /// The center's id, as the fleet file names it
    #[arg(long, value_name = "ID")]
    pub id: CenterId,
    /// The fleet file: whom the center trusts
    #[arg(long, value_name = "FILE")]
    pub fleet: PathBuf,
    /// The center's key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The broker, and the right to speak to it
    #[command(flatten)]
    pub broker: Entry,
    /// Folder for decisions, records and artifacts; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where the HTTP API listens; an address that other machines can reach needs --token-file
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub api: SocketAddr,
    /// File with the HTTP API's token [default: api.token in the data folder, made if it is missing]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Why the center does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start; all reasons.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Start(Vec<StartError>),
    /// The operating system gives no signals.
    #[error("the system gives no signals: {0}")]
    Signal(#[from] std::io::Error),
    /// It ended though nobody told it to.
    #[error("the center ended; the log says why")]
    Ended,
}

/// Runs a center until SIGINT or SIGTERM, then stops it gracefully.
///
/// # Errors
/// It did not start, or it ended by itself: then its supervisor is to start it again.
pub async fn run(args: Args) -> Result<(), RunError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let Args { id: center, fleet, key, broker, data, api, token_file: token } = args;
    let config = Config { center, fleet, key, broker, data, api, token };
    let mut center = Center::start(config).await.map_err(RunError::Start)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = center.ended() => return Err(RunError::Ended),
    }
    center.stop().await;
    Ok(())
}
