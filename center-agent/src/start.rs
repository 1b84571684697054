//! Starting and stopping a center: everything that can be wrong at the start is said at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_link::{Broker, Entry, EntryError, LinkConfig};
use flotilla_sandbox::{Sandbox, SandboxError, SandboxLimits};
use flotilla_schemas::fleet::{Fleet, FleetError};
use flotilla_schemas::sign::{SecretKey, SignError};
use flotilla_schemas::topic::CenterTopic;
use flotilla_schemas::{CenterId, Topic};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::api;
use crate::desk::Desk;
use crate::driver::Driver;
use crate::identity::{self, IdentityError};
use crate::shelf::{Shelf, ShelfError};
use crate::store::{Store, StoreError};
use crate::sweep;
use crate::views::Views;

/// How long requests under way may take when the center stops.
const HTTP_STOP: Duration = Duration::from_secs(1);

/// What a center is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The center.
    pub center: CenterId,
    /// The fleet file.
    pub fleet: PathBuf,
    /// The center's key file.
    pub key: PathBuf,
    /// The broker, and the right to speak to it.
    pub broker: Entry,
    /// The data folder; made if it is missing.
    pub data: PathBuf,
    /// Where the HTTP API listens; port 0 lets the system choose one.
    pub api: SocketAddr,
    /// The file with the API's token; without one it is `api.token` in the data folder, made if it is missing.
    /// Only with one the API listens on an address that other machines can reach.
    pub token: Option<PathBuf>,
}

/// What keeps a center from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The fleet file is none.
    #[error("{0}: {1}; make one with: flotilla fleet init DIR")]
    Fleet(PathBuf, FleetError),
    /// The fleet file does not name the center.
    #[error("{path}: it names no center {center}; it names {known}")]
    Stranger {
        /// The fleet file.
        path: PathBuf,
        /// The center.
        center: CenterId,
        /// Those that it names.
        known: String,
    },
    /// The key file is none.
    #[error("{0}: {1}")]
    Key(PathBuf, SignError),
    /// It is a key, but not the center's.
    #[error("{path}: it is not the key that the fleet file names for {center}")]
    OtherKey {
        /// The key file.
        path: PathBuf,
        /// The center.
        center: CenterId,
    },
    /// The broker cannot be reached with what was given.
    #[error(transparent)]
    Broker(#[from] EntryError),
    /// The API would be open to other machines with a token that nobody chose.
    #[error(
        "{0}: other machines can reach this address; name a token of yours with --token-file, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The data folder cannot be made.
    #[error("{0}: {1}; name a folder that can be written with --data")]
    Data(PathBuf, std::io::Error),
    /// The token or a name cannot be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened.
    #[error("failed to {0}")]
    Store(#[from] StoreError),
    /// The shelf cannot be opened.
    #[error("failed to {0}")]
    Shelf(#[from] ShelfError),
    /// The sandbox cannot be set up.
    #[error("failed to {0}")]
    Sandbox(#[from] SandboxError),
    /// The API cannot listen.
    #[error("{0}: {1}; is another program there? Name another address with --api")]
    Listen(SocketAddr, std::io::Error),
}

/// A running center.
pub struct Center {
    api: SocketAddr,
    token: String,
    stop: Vec<oneshot::Sender<()>>,
    driver: JoinHandle<()>,
    server: JoinHandle<()>,
    sweep: JoinHandle<()>,
}

impl Center {
    /// Starts a center on the current tokio runtime. Whether a broker can be reached is no condition.
    ///
    /// # Errors
    /// All that is wrong with the configuration and the files, not the first alone.
    pub async fn start(config: Config) -> Result<Center, Vec<StartError>> {
        let (fleet, key, broker) = read_files(&config)?;
        start(config, fleet, key, broker).await.map_err(|error| vec![error])
    }

    /// Where the HTTP API listens.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// The HTTP API's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Stops it: what was decided is on disk, the broker is told, requests under way have a second.
    pub async fn stop(mut self) {
        self.sweep.abort();
        self.stop.drain(..).for_each(|stop| _ = stop.send(()));
        let _ = (&mut self.driver).await;
        if tokio::time::timeout(HTTP_STOP, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }

    /// Drops it where it stands, as a power cut would.
    pub fn kill(self) {
        self.driver.abort();
        self.server.abort();
        self.sweep.abort();
    }

    /// Comes back when the center has ended by itself.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = &mut self.driver => {}
            _ = &mut self.server => {}
        }
    }
}

fn read_files(config: &Config) -> Result<(Fleet, SecretKey, Broker), Vec<StartError>> {
    let (fleet, key) = (read_fleet(config), read_key(&config.key));
    let open = !config.api.ip().is_loopback() && config.token.is_none();
    let mut errors: Vec<StartError> = open.then_some(StartError::Open(config.api)).into_iter().collect();
    let data = std::fs::create_dir_all(&config.data);
    errors.extend(data.map_err(|error| StartError::Data(config.data.clone(), error)).err());
    match (fleet, key, config.broker.open().map_err(StartError::from)) {
        (Ok(fleet), Ok(key), Ok(broker)) => {
            errors.extend(other_key(config, &fleet, &key));
            if errors.is_empty() { Ok((fleet, key, broker)) } else { Err(errors) }
        }
        (fleet, key, broker) => {
            errors.extend([fleet.err(), key.err(), broker.err()].into_iter().flatten());
            Err(errors)
        }
    }
}

fn read_fleet(config: &Config) -> Result<Fleet, StartError> {
    let path = config.fleet.clone();
    let bytes = std::fs::read(&path).map_err(|error| StartError::File(path.clone(), error))?;
    let fleet = Fleet::parse(&bytes).map_err(|error| StartError::Fleet(path.clone(), error))?;
    if fleet.centers.iter().any(|center| center.id == config.center) {
        return Ok(fleet);
    }
    let known: Vec<&str> = fleet.centers.iter().map(|center| center.id.as_str()).collect();
    Err(StartError::Stranger { path, center: config.center.clone(), known: known.join(", ") })
}

fn read_key(path: &Path) -> Result<SecretKey, StartError> {
    let text = std::fs::read_to_string(path).map_err(|error| StartError::File(path.to_owned(), error))?;
    SecretKey::from_file(&text).map_err(|error| StartError::Key(path.to_owned(), error))
}

fn other_key(config: &Config, fleet: &Fleet, key: &SecretKey) -> Option<StartError> {
    let named = fleet.centers.iter().find(|center| center.id == config.center)?;
    let same = named.key == key.public() && key.id().as_str() == config.center.as_str();
    (!same).then(|| StartError::OtherKey { path: config.key.clone(), center: config.center.clone() })
}

async fn start(config: Config, fleet: Fleet, key: SecretKey, broker: Broker) -> Result<Center, StartError> {
    let (center, folder) = (config.center.clone(), &config.data);
    let store = Store::open(folder)?;
    let shelf = Arc::new(Shelf::open(folder)?);
    let token = identity::token(config.token.as_deref(), folder)?;
    let sandbox = Sandbox::new(SandboxLimits { instances: 1 })?;
    let listen = |error| StartError::Listen(config.api, error);
    let listener = TcpListener::bind(config.api).await.map_err(listen)?;
    let api = listener.local_addr().map_err(listen)?;
    let (desk, asks) = Desk::new();
    let views = Arc::new(Views::default());
    let router = api::router(&token, &fleet, desk, views.clone(), store.clone(), shelf.clone(), sandbox);
    let (stop_driver, stop) = oneshot::channel();
    let sweep = sweep::run(store.clone(), shelf.clone());
    let driver = Driver {
        link: LinkConfig {
            broker,
            fleet: fleet.fleet.clone(),
            client: format!("center-{center}"),
            will: Some((Topic::Center(center.clone(), CenterTopic::Avail), center_core::OFFLINE.to_vec())),
            filters: center_core::filters(),
            foreign: Vec::new(),
            signer: Some(key),
        },
        config: center_core::Config {
            center: center.clone(),
            fleet,
            session: identity::session()?,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            records: store.count()?,
        },
        store,
        shelf,
        views,
        asks,
        stop,
    };
    let driver = driver.begin()?;
    let (stop_server, stopped) = oneshot::channel::<()>();
    let server = api::Door::new().serve(listener, router, async { _ = stopped.await });
    tracing::info!(center_id = %center, %api, "center started");
    let stop = vec![stop_driver, stop_server];
    Ok(Center {
        api,
        token,
        stop,
        driver: tokio::spawn(driver),
        server: tokio::spawn(server),
        sweep: tokio::spawn(sweep),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::Signed;
    use flotilla_schemas::fleet::{Center as Member, NamedKey};

    fn key(id: &str, seed: u8) -> SecretKey {
        SecretKey::from_seed(id.parse().unwrap(), [seed; 32])
    }

    fn config(folder: &Path) -> Config {
        let operator = key("operator", 9);
        let fleet = Fleet {
            fleet: "f".parse().unwrap(),
            era: 1,
            durable: 1,
            centers: vec![Member { id: "c1".parse().unwrap(), key: key("c1", 1).public() }],
            operators: vec![NamedKey { id: operator.id().clone(), key: operator.public() }],
            publishers: vec![],
        };
        let signed = serde_json::to_vec(&Signed::new(&fleet, &operator).unwrap()).unwrap();
        std::fs::write(folder.join("fleet.json"), signed).unwrap();
        std::fs::write(folder.join("c1.key"), key("c1", 1).to_file()).unwrap();
        Config {
            center: "c1".parse().unwrap(),
            fleet: folder.join("fleet.json"),
            key: folder.join("c1.key"),
            broker: "mqtt://127.0.0.1:9".parse::<flotilla_link::BrokerUrl>().unwrap().into(),
            data: folder.join("data"),
            api: "127.0.0.1:0".parse().unwrap(),
            token: None,
        }
    }

    async fn refused(config: Config) -> String {
        match Center::start(config).await {
            Ok(_) => panic!("started"),
            Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        }
    }

    #[tokio::test]
    async fn a_center_starts_without_a_broker_and_stops() {
        let folder = tempfile::tempdir().unwrap();
        let center = Center::start(config(folder.path())).await.unwrap();
        assert_eq!(center.token().len(), 64);
        center.stop().await;
    }

    #[tokio::test]
    async fn every_wrong_file_and_address_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let good = config(folder.path());
        std::fs::write(folder.path().join("file"), "nonsense").unwrap();
        let file = folder.path().join("file");
        let api = "0.0.0.0:0".parse().unwrap();
        let bad =
            Config { fleet: file.clone(), key: file.clone(), data: file.join("data"), api, ..good.clone() };
        let errors = refused(bad).await;
        for part in ["it is not a fleet file", "the key is not 32 bytes", "file/data", "0.0.0.0:0"] {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }

    #[tokio::test]
    async fn a_center_needs_its_own_name_key_folder_and_port() {
        let folder = tempfile::tempdir().unwrap();
        let good = config(folder.path());
        let errors = refused(Config { center: "c2".parse().unwrap(), ..good.clone() }).await;
        assert!(errors.contains("names no center c2; it names c1"), "{errors}");
        std::fs::write(folder.path().join("other.key"), key("c1", 2).to_file()).unwrap();
        let errors = refused(Config { key: folder.path().join("other.key"), ..good.clone() }).await;
        assert!(errors.contains("not the key that the fleet file names for c1"), "{errors}");
        let running = Center::start(good.clone()).await.unwrap();
        let errors = refused(good.clone()).await;
        assert!(errors.contains("a running center uses it"), "{errors}");
        let elsewhere = Config { data: folder.path().join("data2"), api: running.api(), ..good };
        let errors = refused(elsewhere).await;
        assert!(errors.contains("Name another address with --api"), "{errors}");
        running.stop().await;
    }
}
