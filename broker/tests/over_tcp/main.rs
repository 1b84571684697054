//! The broker over real sockets: what the protocol promises, what strangers do, what survives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails and speaks by it"
)]

mod bystander;
mod client;
mod connecting;
mod delivering;
mod fleets;
mod hostile;
mod lasting;
mod libraries;
mod process;
mod retaining;
mod router;
mod starting;
mod tls;
mod websocket;
mod who;

use std::net::SocketAddr;
use std::time::Duration;

use flotilla_broker::{Broker, Config, Limits, Running};
use tempfile::TempDir;
use tokio::time::timeout;

/// What takes longer than this will not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A broker in a folder of its own, on a port of its own.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
}

pub(crate) async fn serve(limits: Limits) -> Served {
    serve_in(tempfile::tempdir().unwrap(), limits).await
}

pub(crate) async fn serve_in(folder: TempDir, limits: Limits) -> Served {
    let running = Broker::start(config(&folder, limits)).await.unwrap();
    let address = running.local_addrs()[0];
    Served { running, address, folder }
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("in time");
}

pub(crate) fn config(folder: &TempDir, limits: Limits) -> Config {
    let address = "127.0.0.1:0".parse().unwrap();
    Config { limits, ..Config::open(address, &folder.path().join("broker")) }
}
