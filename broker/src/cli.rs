//! The broker's command line, for its own binary and for `flotilla broker`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Broker, ClientCertificate, Config, Limits, Listener, Running, StartError, TlsFiles, Transport};

/// Where it listens when nobody says.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);

/// Files that are open besides the clients' sockets, and more.
const OTHER_FILES: u64 = 128;

/// Run the MQTT broker until it gets SIGINT or SIGTERM; on SIGHUP it reads who may come in, and certificates, again
#[derive(Debug, Clone, ClapArgs)]
#[command(
    group = clap::ArgGroup::new("who").required(true),
    after_help = "\
Examples:
  Everyone on this machine, nobody else; the client id says who it is:
    flotilla broker --data /var/lib/flotilla/broker --open

  A fleet beyond this machine: edges by token over TLS, dashboards by password, also from browsers:
    flotilla access add edge e1 e2 --access access.toml
    flotilla broker --data /var/lib/flotilla/broker --access access.toml \\
      --tls 0.0.0.0:8883 --wss 0.0.0.0:8084 --cert broker.pem --key broker.key

  Edges by the certificates that two authorities gave them; TCP for the center on the same machine:
    flotilla access add edge e1 --certificate gateway-17.example --access access.toml
    flotilla broker --data /var/lib/flotilla/broker --access access.toml --tcp 127.0.0.1:1883 --metrics 127.0.0.1:9090 \\
      --tls '[::]:8883' --cert broker.pem --key broker.key --ca ours.pem --ca theirs.pem --crl ours.crl \\
      --client-cert required"
)]
pub struct Args {
    /// Listen here for MQTT over TCP; this and the next three may be repeated [default: 127.0.0.1:1883]
    #[arg(long, value_name = "ADDRESS")]
    pub tcp: Vec<SocketAddr>,
    /// Listen here for MQTT over TLS
    #[arg(long, value_name = "ADDRESS", requires = "cert")]
    pub tls: Vec<SocketAddr>,
    /// Listen here for MQTT over WebSocket; with --open for pages of this machine alone
    #[arg(long, value_name = "ADDRESS")]
    pub ws: Vec<SocketAddr>,
    /// Listen here for MQTT over WebSocket and TLS
    #[arg(long, value_name = "ADDRESS", requires = "cert")]
    pub wss: Vec<SocketAddr>,
    /// Folder for retained messages; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Let in whom this file names, by token, password or certificate: see flotilla access
    #[arg(long, value_name = "FILE", group = "who")]
    pub access: Option<PathBuf>,
    /// Ask for nothing: the client id says who it is (edge-ID, center-ID, else an operator). Loopback only
    #[arg(long, group = "who")]
    pub open: bool,
    /// The broker's certificate, with those between it and its authority, in PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// An authority whose client certificates are taken, in PEM; may be repeated
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub ca: Vec<PathBuf>,
    /// What an authority has revoked, in PEM; may be repeated. Of an authority without a list all are good. Asked when a
    /// client connects: one that is connected stays until its user is removed, flotilla access remove, SIGHUP
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub crl: Vec<PathBuf>,
    /// Whether clients over TLS must have a certificate
    #[arg(long, value_name = "WHEN", requires = "ca", default_value = "optional")]
    pub client_cert: ClientCertificate,
    /// Serve metrics for Prometheus here, http://ADDRESS/metrics, to everyone who can reach it
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// The most clients that are connected at a time; sessions of 8,000 that are away are kept besides
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    pub connections: usize,
    /// The most connections from one address [default: as many as in all, since a fleet may be behind one]
    #[arg(long, value_name = "N")]
    pub connections_per_address: Option<usize>,
    /// The most connections that are accepted in a second; the next ones wait
    #[arg(long, value_name = "N", default_value_t = Limits::default().connects_per_second, value_parser = clap::value_parser!(u32).range(1..))]
    pub connects_per_second: u32,
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

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let listeners = |addresses: Vec<SocketAddr>, transport| {
            addresses.into_iter().map(move |address| Listener { transport, address })
        };
        let mut all: Vec<Listener> = listeners(args.tcp, Transport::Tcp)
            .chain(listeners(args.tls, Transport::Tls))
            .chain(listeners(args.ws, Transport::WebSocket))
            .chain(listeners(args.wss, Transport::SecureWebSocket))
            .collect();
        if all.is_empty() {
            all.push(Listener { transport: Transport::Tcp, address: ADDRESS });
        }
        let (ca, crl, client_certificate) = (args.ca, args.crl, args.client_cert);
        let files = args.cert.zip(args.key);
        let limits = limits(args.connections, args.connections_per_address, args.connects_per_second);
        Self {
            listeners: all,
            data: args.data,
            access: args.access,
            tls: files.map(|(cert, key)| TlsFiles { cert, key, ca, crl, client_certificate }),
            metrics: args.metrics,
            limits,
        }
    }
}

/// The limits that follow from those that are given.
fn limits(connections: usize, per_address: Option<usize>, connects_per_second: u32) -> Limits {
    let default = Limits::default();
    let away = default.sessions - default.connections;
    Limits {
        connections,
        sessions: connections.saturating_add(away),
        connections_per_address: per_address.unwrap_or(connections),
        connects_per_second,
        ..default
    }
}

/// Runs a broker until SIGINT or SIGTERM, then stops it gracefully.
///
/// # Errors
/// It did not start, or there are no signals to stop it by.
pub async fn run(args: Args) -> Result<(), RunError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let config = Config::from(args);
    make_room_for_sockets(config.limits.connections);
    let listeners = config.listeners.clone();
    let running = Broker::start(config).await?;
    for (listener, &address) in listeners.iter().zip(running.local_addrs()) {
        tracing::info!(transport = listener.transport.scheme(), %address, "listening");
    }
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => reload(&running),
        }
    }
    running.stop().await;
    Ok(())
}

/// Lets this process open a socket for each client. Most systems give a process a thousand until it asks for more.
fn make_room_for_sockets(clients: usize) {
    let wanted = clients as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < allowed)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum })
    {
        tracing::warn!(%error, "more open files were asked for");
    }
    if allowed < wanted {
        tracing::warn!(
            clients,
            files = allowed,
            "fewer files may be open than clients may come: see `ulimit -Hn`"
        );
    }
}

fn reload(running: &Running) {
    if let Err(error) = running.reload() {
        tracing::error!(%error, "what the files said before still holds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_have_room_for_their_sessions_and_may_come_from_one_address() {
        let more = limits(50_000, None, 1);
        assert_eq!((more.connections, more.sessions, more.connections_per_address), (50_000, 58_000, 50_000));
        assert_eq!(limits(50_000, Some(10), 1).connections_per_address, 10);
        let Limits { connections, connects_per_second, .. } = Limits::default();
        assert_eq!(limits(connections, None, connects_per_second), Limits::default());
    }
}
