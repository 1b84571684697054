//! Starting and stopping an edge: everything that can be wrong at the start is said at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_core::Core;
use flotilla_link::{Broker, Entry, EntryError, Link, LinkConfig};
use flotilla_machine::Clock;
use flotilla_sandbox::{EquipmentError, Sandbox, SandboxError, SandboxLimits};
use flotilla_schemas::fleet::{Fleet, FleetError};
use flotilla_schemas::report::Profile;
use flotilla_schemas::topic::{EdgeTopic, filter_catalog, filter_to};
use flotilla_schemas::{EdgeId, Topic};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::apps::Apps;
use crate::driver::Driver;
use crate::equipment::{Devices, Equipment};
use crate::identity::{self, IdentityError};
#[cfg(feature = "disk")]
use crate::shelf::Folder;
use crate::shelf::{Memory, Shelf, ShelfError};
#[cfg(feature = "disk")]
use crate::store::Disk;
use crate::store::{Store, StoreError};

/// The most bytes of records that an edge holds where nothing else was said: 64 MiB.
pub const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The same for an edge without a disk, which holds them in memory: 1 MiB.
pub const JOURNAL_BYTES_WITHOUT_DISK: u64 = 1024 * 1024;

/// The most bytes that apps take on an edge without a disk where nothing else was said: 16 MiB.
pub const MEMORY_BYTES_WITHOUT_DISK: u64 = 16 * 1024 * 1024;

/// What this program can do at most: every part that it was built with.
pub const BUILT: Profile = Profile {
    scripts: cfg!(feature = "scripts"),
    reliability: cfg!(feature = "reliability"),
    disk: cfg!(feature = "disk"),
    memory_bytes_max: None,
};

/// Inputs that wait for the driver.
const INPUTS_MAX: usize = 4096;

/// What an edge is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The edge.
    pub edge: EdgeId,
    /// The fleet file.
    pub fleet: PathBuf,
    /// The broker, and the right to speak to it.
    pub broker: Entry,
    /// The data folder; made if it is missing. Without a disk it holds the edge's key and nothing else.
    pub data: PathBuf,
    /// What it can do, within what it was [`BUILT`] with.
    pub profile: Profile,
    /// The equipment file; without one the edge has no devices.
    pub equipment: Option<PathBuf>,
    /// The most bytes of records that the journal holds.
    pub journal_bytes_max: u64,
}

/// What keeps an edge from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The fleet file is none.
    #[error("{0}: {1}; make one with: flotilla fleet init DIR")]
    Fleet(PathBuf, FleetError),
    /// The broker cannot be reached with what was given.
    #[error(transparent)]
    Broker(#[from] EntryError),
    /// The equipment file is wrong.
    #[error(transparent)]
    Equipment(#[from] EquipmentError),
    /// The data folder cannot be made.
    #[error("{0}: {1}; name a folder that can be written with --data")]
    Data(PathBuf, std::io::Error),
    /// The key or a name cannot be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shelf cannot be opened.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The sandbox cannot be set up.
    #[error("failed to {0}")]
    Sandbox(#[from] SandboxError),
}

/// A running edge.
pub struct Edge {
    stop: mpsc::Sender<edge_core::Input>,
    driver: JoinHandle<()>,
}

impl Edge {
    /// Starts an edge on the current tokio runtime. Whether a broker can be reached is no condition.
    ///
    /// # Errors
    /// All that is wrong with the configuration and the folder, not the first alone.
    pub fn start(config: Config) -> Result<Edge, Vec<StartError>> {
        let (fleet, devices, broker) = read_files(&config)?;
        start(config, fleet, devices, broker).map_err(|error| vec![error])
    }

    /// Stops it: the apps end, what is journaled stays, the broker is told.
    pub async fn stop(self) {
        if self.stop.send(edge_core::Input::Stop).await.is_ok() {
            let _ = self.driver.await;
        }
    }

    /// Drops it where it stands, as a power cut would.
    pub fn kill(self) {
        self.driver.abort();
    }

    /// Comes back when the edge has ended by itself.
    pub async fn ended(&mut self) {
        let _ = (&mut self.driver).await;
    }
}

fn read_files(config: &Config) -> Result<(Fleet, Devices, Broker), Vec<StartError>> {
    let fleet =
        std::fs::read(&config.fleet).map_err(|error| StartError::File(config.fleet.clone(), error)).and_then(
            |bytes| Fleet::parse(&bytes).map_err(|error| StartError::Fleet(config.fleet.clone(), error)),
        );
    let equipment = match &config.equipment {
        None => Devices::parse("no equipment file", "").map_err(StartError::from),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| StartError::File(path.clone(), error))
            .and_then(|text| Ok(Devices::parse(&path.display().to_string(), &text)?)),
    };
    let data =
        std::fs::create_dir_all(&config.data).map_err(|error| StartError::Data(config.data.clone(), error));
    let broker = config.broker.open().map_err(StartError::from);
    match (fleet, equipment, data, broker) {
        (Ok(fleet), Ok(devices), Ok(()), Ok(broker)) => Ok((fleet, devices, broker)),
        (fleet, equipment, data, broker) => {
            let errors = [fleet.err(), equipment.err(), data.err(), broker.err()];
            Err(errors.into_iter().flatten().collect())
        }
    }
}

fn start(config: Config, fleet: Fleet, devices: Devices, broker: Broker) -> Result<Edge, StartError> {
    let (edge, folder) = (config.edge.clone(), &config.data);
    let (store, shelf) = open(folder, config.profile.disk)?;
    let store = Arc::new(store);
    let key = identity::key(folder, &edge)?;
    let sandbox = Sandbox::new(SandboxLimits::default())?;
    let name = fleet.fleet.clone();
    let core_config = edge_core::Config {
        fleet,
        edge: edge.clone(),
        key: key.public(),
        session: identity::session()?,
        profile: config.profile,
        arch: std::env::consts::ARCH.to_owned(),
        runtime: sandbox.runtime(),
        compiles: cfg!(feature = "compiler"),
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        journal_bytes_max: config.journal_bytes_max,
    };
    let clock = Clock::start();
    let core = Core::from_records(core_config, store.found()?, clock.now());
    let (inputs, received) = mpsc::channel(INPUTS_MAX);
    let equipment = Equipment::start(devices, &name, &edge, inputs.clone());
    let apps = Apps::new(sandbox, shelf.clone());
    let own = |rest| Topic::Edge(edge.clone(), rest);
    let (link, events) = Link::start(LinkConfig {
        broker,
        fleet: name,
        client: format!("edge-{edge}"),
        will: Some((own(EdgeTopic::Avail), b"offline".to_vec())),
        filters: vec![filter_to(&edge), filter_catalog(), format!("edge/{edge}/fault/#")],
        foreign: Vec::new(),
        signer: Some(key),
    });
    let folder = folder.clone();
    let driver = Driver::new(core, clock, store, shelf, apps, equipment, link, inputs.clone(), folder);
    tracing::info!(edge_id = %edge, profile = %config.profile, "edge started");
    Ok(Edge { stop: inputs, driver: tokio::spawn(driver.run(received, events)) })
}

#[cfg(feature = "disk")]
fn open(folder: &Path, disk: bool) -> Result<(Store, Shelf), StartError> {
    let epoch = identity::epoch()?;
    if disk {
        return Ok((Store::Disk(Disk::open(folder, &epoch)?), Shelf::Folder(Folder::open(folder)?)));
    }
    Ok((Store::in_memory(epoch), Shelf::Memory(Memory::default())))
}

#[cfg(not(feature = "disk"))]
fn open(_: &Path, _: bool) -> Result<(Store, Shelf), StartError> {
    Ok((Store::in_memory(identity::epoch()?), Shelf::Memory(Memory::default())))
}
