//! The broker's command line, for its own binary and for `flotilla broker`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Broker, Config, Limits, StartError};

/// Run the MQTT broker until it gets SIGINT or SIGTERM
#[derive(Debug, Clone, ClapArgs)]
#[command(
    after_help = "Example:\n  flotilla broker --tcp 127.0.0.1:1883 --data /var/lib/flotilla/broker --open"
)]
pub struct Args {
    /// Address to listen on, for MQTT 3.1.1 and 5; may be repeated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
    pub tcp: Vec<SocketAddr>,
    /// Folder for retained messages; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Ask for no passwords: the client id says who it is (edge-ID, center-ID, else a dashboard). Loopback only
    #[arg(long)]
    pub open: bool,
}

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operating system gives no signals.
    #[error("wait for signals: {0}")]
    Signal(#[from] io::Error),
}

/// Runs a broker until SIGINT or SIGTERM, then stops it gracefully.
///
/// # Errors
/// It did not start, or there are no signals to stop it by.
pub async fn run(args: Args) -> Result<(), RunError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let config = Config { tcp: args.tcp, data: args.data, open: args.open, limits: Limits::default() };
    let running = Broker::start(config).await?;
    for address in running.local_addrs() {
        tracing::info!(%address, "listening");
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    running.stop().await;
    Ok(())
}
