//! Runs an agent as a process: its runtime, its log on standard error, its end.
//!
//! With [`TIE_ENV`] set the process ends when its standard input does, so that whoever started it and holds the
//! other end takes it along, however it dies.

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Set it, and the process ends with its standard input.
pub const TIE_ENV: &str = "FLOTILLA_TIE_TO_STDIN";

/// What is logged when `RUST_LOG` does not say: what matters of rumqttd's affairs we log ourselves.
const LOG: &str = "info,rumqttd=off";

/// How long what is still being written may take when the process ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why an agent does not run any more, or never did.
#[derive(Debug, thiserror::Error)]
#[error("run the {part}:\n{text}")]
pub struct AgentError {
    part: &'static str,
    text: String,
}

/// Runs an agent to its end.
pub fn run<E: Error>(
    part: &'static str,
    agent: impl Future<Output = Result<(), E>>,
) -> Result<(), Box<dyn Error>> {
    log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = agent => done,
            () = stdin_closed() => Ok(()),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    let lines = |error: E| error.to_string().lines().map(|line| format!("  {line}")).collect::<Vec<_>>();
    Ok(done.map_err(|error| AgentError { part, text: lines(error).join("\n") })?)
}

/// Writes the log to standard error.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A log that is set up already is as good.
    let _ = log.try_init();
}

/// Resolves at the end of standard input if the process is tied to it, else never.
async fn stdin_closed() {
    if std::env::var_os(TIE_ENV).is_none() {
        return std::future::pending().await;
    }
    let (closed, wait) = oneshot::channel::<()>();
    // A thread of its own: the runtime would wait for a read of its own to end.
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut stdin = std::io::stdin().lock();
        while stdin.read(&mut buffer).is_ok_and(|count| count > 0) {}
        drop(closed);
    });
    let _ = wait.await;
}
