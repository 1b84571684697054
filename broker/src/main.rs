//! The broker as a process of its own. Exit codes: 0 stopped, 1 refused or failed, 2 wrong usage.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use flotilla_broker::cli;
use tracing_subscriber::EnvFilter;

/// rumqttd logs about its own affairs at every level; what matters of them we log ourselves.
const LOG: &str = "info,rumqttd=off";

/// The MQTT broker of a fleet
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    args: cli::Args,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Command::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match cli::run(command.args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "broker: failed to {error}");
            ExitCode::FAILURE
        }
    }
}
