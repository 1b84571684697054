//! The broker as a whole: started, listening, stopped.
//!
//! It is a value: any number of them live in one process. Only the router's thread outlives it, idle.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flotilla_machine::DatabaseError;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::broker::Broker;
use crate::config::{Config, StartError};
use crate::entrance::{self, Gate, Listener, Tls};
use crate::limits::Limits;
use crate::meters::Meters;
use crate::metrics;
use crate::registry::Registry;
use crate::retained::{FILE, Retained};
use crate::router::Router;
use crate::subscribers::Subscribers;
use crate::sys;

/// Connections that may wait to be accepted, if the system allows as many: a fleet comes back all at once, and whoever
/// finds no room tries again only after one second, then after two, four and eight.
const BACKLOG: u32 = 16_384;

/// A broker that serves clients until it is stopped. Dropping it stops it, too, but waits for nothing.
pub struct Running {
    broker: Arc<Broker>,
    local_addrs: Vec<SocketAddr>,
    metrics_addr: Option<SocketAddr>,
    /// The tasks that listen, and those that tell.
    tasks: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker: loads what was retained, and listens. Must be called in a multi-threaded or current-thread
    /// tokio runtime with time and I/O.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind but the data folder.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        check(&config)?;
        let access = Access::new(config.access.as_deref(), &config.limits)?;
        let tls = config.tls.map(Tls::new).transpose()?;
        let sockets = listen(&config.listeners)?;
        let metrics = listen_for_metrics(config.metrics).await?;
        let meters = Arc::<Meters>::default();
        let retained = open_retained(config.data, config.limits.clone(), Arc::clone(&meters)).await?;
        let subscribers = Arc::new(Subscribers::new(Arc::clone(&meters)));
        let deliver = {
            let subscribers = Arc::clone(&subscribers);
            move |stamped| subscribers.deliver(&stamped)
        };
        let router = Router::start(Arc::clone(&meters), config.limits.router_messages, deliver).await;
        let broker = Arc::new(Self {
            access,
            tls,
            gate: Gate::new(&config.limits, Arc::clone(&meters)),
            registry: Registry::new(&config.limits, Arc::clone(&meters)),
            limits: config.limits,
            router: router.map_err(|error| StartError::Router(error.to_string()))?,
            subscribers,
            retained,
            meters,
            serial: AtomicU64::new(1),
        });
        let local_addrs = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let accepting = |(socket, listener): (TcpListener, Listener)| {
            tokio::spawn(entrance::accept(socket, listener.transport, Arc::clone(&broker)))
        };
        let mut tasks: Vec<_> = sockets.into_iter().zip(config.listeners).map(accepting).collect();
        tasks.push(tokio::spawn(sys::tell(Arc::clone(&broker))));
        let metrics_addr = metrics.as_ref().and_then(|metrics| metrics.local_addr().ok());
        tasks.extend(metrics.map(|socket| tokio::spawn(metrics::serve(socket, Arc::clone(&broker)))));
        Ok(Running { broker, local_addrs, metrics_addr, tasks })
    }
}

impl Running {
    /// The addresses that it listens on, in the order of [`Config::listeners`].
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// What its sessions share.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Broker> {
        Arc::clone(&self.broker)
    }

    /// Where metrics are served, if they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// What it counts, for as long as anyone wants to know.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.broker.meters
    }

    /// Reads the access file and the certificates again. Whoever is no longer let in is told so and closed; everyone
    /// else stays. What cannot be used stays as it was. Takes a moment: not for a thread that serves connections.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn reload(&self) -> Result<(), StartError> {
        let tls = self.broker.tls.as_ref().map_or(Ok(()), Tls::reload);
        let users = self.broker.access.reload()?;
        let (closed, ended) = self.broker.registry.bar(|user| self.broker.access.holds(user));
        ended.into_iter().for_each(|kept| kept.end(&self.broker));
        tracing::info!(users, closed, "the access file was read again");
        Ok(tls?)
    }

    /// Makes the router's thread panic, to prove that nobody notices but a pause.
    #[doc(hidden)]
    pub fn kill_router(&self) {
        self.broker.router.flow.kill();
    }

    /// Stops: MQTT 5 clients are told that the server is shutting down, no will is published, and what is retained
    /// is on disk when this returns.
    pub async fn stop(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        self.broker.registry.stop().await;
        let broker = Arc::clone(&self.broker);
        let _ = tokio::task::spawn_blocking(move || broker.retained.close()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.broker.registry.begin_to_stop();
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    let find =
        |is: &dyn Fn(&Listener) -> bool| config.listeners.iter().copied().find(|listener| is(listener));
    if config.listeners.is_empty() {
        return Err(StartError::NoAddress);
    }
    if let Some(listener) = find(&|listener| config.tls.is_none() && listener.transport.is_encrypted()) {
        return Err(StartError::NoCertificate(listener));
    }
    let beyond = |listener: &Listener| !listener.address.ip().is_loopback();
    match (&config.access, find(&beyond)) {
        (None, Some(listener)) => Err(StartError::OpenBeyondLoopback(listener)),
        _ => {
            if let Some(plain) = find(&|listener| beyond(listener) && !listener.transport.is_encrypted()) {
                tracing::warn!(listener = %plain, "tokens and passwords pass unencrypted here");
            }
            Ok(())
        }
    }
}

fn listen(listeners: &[Listener]) -> Result<Vec<TcpListener>, StartError> {
    let listen =
        |&listener: &Listener| bind(listener.address).map_err(|cause| StartError::Listen { listener, cause });
    listeners.iter().map(listen).collect()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn listen_for_metrics(address: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let socket = TcpListener::bind(address).await;
    socket.map(Some).map_err(|cause| StartError::Metrics { address, cause })
}

async fn open_retained(folder: PathBuf, limits: Limits, meters: Arc<Meters>) -> Result<Retained, StartError> {
    let file = folder.join(FILE);
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)
            .map_err(|cause| StartError::Folder { folder: folder.clone(), cause })
            .map(|()| Retained::open(&folder, &limits, meters))
    });
    match opened.await {
        Ok(opened) => Ok(opened??),
        Err(ended) => Err(DatabaseError::Disk { path: file, cause: ended.to_string() }.into()),
    }
}
