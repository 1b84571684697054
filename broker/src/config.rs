//! What a broker is started with, and why it does not start.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flotilla_machine::DatabaseError;

use crate::access::AccessError;
use crate::entrance::{Listener, TlsError, TlsFiles, Transport};
use crate::limits::Limits;

/// What a broker is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one: see [`Running::local_addrs`](crate::Running::local_addrs).
    pub listeners: Vec<Listener>,
    /// Folder for what must survive; made if it is missing. One broker at a time.
    pub data: PathBuf,
    /// Who may come in. Without it everyone may, as who their client id says they are, on loopback addresses only.
    pub access: Option<PathBuf>,
    /// What listeners with TLS need.
    pub tls: Option<TlsFiles>,
    /// Where metrics are served over HTTP, `GET /metrics`, to everyone who can reach it.
    pub metrics: Option<SocketAddr>,
    /// What it bears.
    pub limits: Limits,
}

impl Config {
    /// A broker that lets everyone on this machine in, over TCP.
    pub fn open(address: SocketAddr, data: &Path) -> Self {
        let listeners = vec![Listener { transport: Transport::Tcp, address }];
        Self {
            listeners,
            data: data.to_owned(),
            access: None,
            tls: None,
            metrics: None,
            limits: Limits::default(),
        }
    }
}

/// Why a broker did not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An open broker on an address that others can reach.
    #[error(
        "listen on {0}: --open lets everyone in, so only loopback addresses (127.0.0.1, [::1]) are allowed; \
         --access says who may come from elsewhere"
    )]
    OpenBeyondLoopback(Listener),
    /// Users that cannot be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Certificates that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS without a certificate.
    #[error("listen on {0}: --cert and --key say what the broker shows its clients")]
    NoCertificate(Listener),
    /// Nothing to listen on.
    #[error("listen: no address was given")]
    NoAddress,
    /// An address that cannot be listened on.
    #[error("listen on {listener}: {cause}; is another broker running there? give another port")]
    Listen {
        /// The listener.
        listener: Listener,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The metrics' address that cannot be listened on.
    #[error("serve metrics on {address}: {cause}; give --metrics another port")]
    Metrics {
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
    #[error("{0}; it must be writable, with room left, and no other broker's")]
    Data(#[from] DatabaseError),
    /// The router's thread did not come up.
    #[error("{0}")]
    Router(String),
}
