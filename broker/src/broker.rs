//! The broker as a whole: started, listening, stopped.
//!
//! It is a value: any number of them live in one process. Only the router's thread outlives it, idle.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::limits::Limits;
use crate::message::Message;
use crate::meters::Meters;
use crate::registry::Registry;
use crate::retained::{DiskError, FILE, Full, Retained, Ticket};
use crate::router::Router;
use crate::session;
use crate::subscribers::Subscribers;

/// After an accept that failed, mostly for want of file descriptors, the next is tried this much later.
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(100);

/// What a broker is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on, MQTT 3.1.1 and 5 on each. Port 0 takes a free one: see [`Running::local_addrs`].
    pub tcp: Vec<SocketAddr>,
    /// Folder for what must survive; made if it is missing. One broker at a time.
    pub data: PathBuf,
    /// Let everyone in, as who their client id says they are. On loopback addresses only.
    pub open: bool,
    /// What it bears.
    pub limits: Limits,
}

/// Why a broker did not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no way yet to tell clients apart but their word.
    #[error("start without passwords: this broker keeps none; --open lets everyone on this machine in")]
    NotOpen,
    /// An open broker on an address that others can reach.
    #[error(
        "listen on {0}: --open lets everyone in, so only loopback addresses (127.0.0.1, [::1]) are allowed"
    )]
    OpenBeyondLoopback(SocketAddr),
    /// Nothing to listen on.
    #[error("listen: no address was given")]
    NoAddress,
    /// An address that cannot be listened on.
    #[error("listen on {address}: {cause}; is another broker running there? --tcp takes another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A data folder that cannot be made.
    #[error("make the data folder {}: {cause}; --data takes another", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Retained messages that cannot be read or written: no permission, no room, another broker in that folder.
    #[error("open {}: {cause}; it must be writable, with room left, and no other broker's", file.display())]
    Data {
        /// The file.
        file: PathBuf,
        /// What the store says.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The router's thread did not come up.
    #[error("{0}")]
    Router(String),
}

/// What all sessions share.
pub struct Broker {
    pub(crate) limits: Limits,
    pub(crate) registry: Arc<Registry>,
    pub(crate) router: Router,
    pub(crate) subscribers: Arc<Subscribers>,
    pub(crate) retained: Retained,
    pub(crate) meters: Arc<Meters>,
    serial: AtomicU64,
}

/// A broker that serves clients until it is stopped. Dropping it stops it, too, but waits for nothing.
pub struct Running {
    broker: Arc<Broker>,
    local_addrs: Vec<SocketAddr>,
    listeners: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker: loads what was retained, and listens. Must be called in a multi-threaded or current-thread
    /// tokio runtime with time and I/O.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind but the data folder.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        check(&config)?;
        let sockets = listen(&config.tcp).await?;
        let meters = Arc::<Meters>::default();
        let retained = open_retained(config.data, config.limits.clone(), Arc::clone(&meters)).await?;
        let subscribers = Arc::new(Subscribers::new(Arc::clone(&meters)));
        let deliver = {
            let subscribers = Arc::clone(&subscribers);
            move |stamped| subscribers.deliver(&stamped)
        };
        let router = Router::start(Arc::clone(&meters), config.limits.router_messages, deliver).await;
        let broker = Arc::new(Self {
            registry: Registry::new(&config.limits, Arc::clone(&meters)),
            limits: config.limits,
            router: router.map_err(|error| StartError::Router(error.to_string()))?,
            subscribers,
            retained,
            meters,
            serial: AtomicU64::new(1),
        });
        let local_addrs = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        // Sockets that are not yet sessions, whichever listener they came in by.
        let admitting = Arc::new(Semaphore::new(broker.limits.handshakes));
        let accepting = |socket| tokio::spawn(accept(socket, Arc::clone(&broker), Arc::clone(&admitting)));
        let listeners = sockets.into_iter().map(accepting).collect();
        Ok(Running { broker, local_addrs, listeners })
    }

    /// Keeps a message if it is to be retained, and hands it to the router, in this order: see [`crate::retained`].
    /// With QoS 1 the ticket says when it is on disk.
    pub(crate) fn publish(&self, message: Message) -> Result<Option<Ticket>, Full> {
        let ticket = if message.retain() { self.retained.put(&message)? } else { None };
        self.router.flow.publish(message);
        Ok(ticket)
    }

    /// A number that was not given before; never 0.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}

impl Running {
    /// The addresses that it listens on, in the order of [`Config::tcp`].
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// What its sessions share.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Broker> {
        Arc::clone(&self.broker)
    }

    /// What it counts, for as long as anyone wants to know.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.broker.meters
    }

    /// Makes the router's thread panic, to prove that nobody notices but a pause.
    #[doc(hidden)]
    pub fn kill_router(&self) {
        self.broker.router.flow.kill();
    }

    /// Stops: MQTT 5 clients are told that the server is shutting down, no will is published, and what is retained
    /// is on disk when this returns.
    pub async fn stop(mut self) {
        for listener in self.listeners.drain(..) {
            listener.abort();
            let _ = listener.await;
        }
        self.broker.registry.stop().await;
        let broker = Arc::clone(&self.broker);
        let _ = tokio::task::spawn_blocking(move || broker.retained.close()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
        self.broker.registry.begin_to_stop();
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    if !config.open {
        return Err(StartError::NotOpen);
    }
    if config.tcp.is_empty() {
        return Err(StartError::NoAddress);
    }
    match config.tcp.iter().find(|address| !address.ip().is_loopback()) {
        Some(address) => Err(StartError::OpenBeyondLoopback(*address)),
        None => Ok(()),
    }
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let socket = TcpListener::bind(address).await;
        sockets.push(socket.map_err(|cause| StartError::Listen { address, cause })?);
    }
    Ok(sockets)
}

async fn open_retained(folder: PathBuf, limits: Limits, meters: Arc<Meters>) -> Result<Retained, StartError> {
    let file = folder.join(FILE);
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)
            .map_err(|cause| StartError::Folder { folder: folder.clone(), cause })
            .map(|()| Retained::open(&folder, &limits, meters))
    });
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| StartError::Data { file, cause };
    match opened.await {
        Ok(opened) => opened?.map_err(|cause: DiskError| failed(cause.into())),
        Err(cause) => Err(failed(cause.into())),
    }
}

async fn accept(listener: TcpListener, broker: Arc<Broker>, admitting: Arc<Semaphore>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY_WAIT).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&admitting).try_acquire_owned() else {
            tracing::warn!(%peer, "a connection was closed at once: too many wait to be admitted");
            continue;
        };
        tokio::spawn(serve(Arc::clone(&broker), stream, peer, permit));
    }
}

async fn serve(
    broker: Arc<Broker>,
    stream: TcpStream,
    peer: SocketAddr,
    admitting: tokio::sync::OwnedSemaphorePermit,
) {
    if stream.set_nodelay(true).is_ok() {
        session::serve(broker, stream, peer, admitting).await;
    }
}
