//! What the rooms' tests need: an edge's configuration, a way out, and releases whose code is a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::app::{Grants, Interface, Limits, Manifest, OwnRun, Residence};
use flotilla_schemas::desired::{Service, Trigger, Work};
use flotilla_schemas::fleet::{Center, Fleet};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::release::{Catalog as Listed, Release};
use flotilla_schemas::report::Profile;
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::time::Now;
use flotilla_schemas::{AppId, Artifact, Digest, Signed};

use crate::config::Config;
use crate::journal::Journal;
use crate::out::Out;
use crate::program::{Installed, Opened};
use crate::wanted::{Catalog, Wanted};

const RUNTIME: &str = "simulated";

pub(crate) fn key(id: &str) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), *Digest::of(id.as_bytes()).bytes())
}

pub(crate) fn config() -> Config {
    let fleet = Fleet {
        fleet: "simulated".parse().unwrap(),
        era: 1,
        durable: 1,
        centers: vec![Center { id: "c1".parse().unwrap(), key: key("c1").public() }],
        operators: Vec::new(),
        publishers: vec![Publisher::of(&key("publisher"), Makers::All)],
    };
    Config {
        fleet,
        edge: "e1".parse().unwrap(),
        key: key("e1").public(),
        session: "s1".parse().unwrap(),
        profile: Profile::FULL,
        arch: "x86_64".into(),
        runtime: RUNTIME.into(),
        compiles: false,
        agent: "0".into(),
        journal_bytes_max: 64 << 20,
    }
}

pub(crate) fn out() -> Out {
    let journal = Journal::found("epoch".parse().unwrap(), [(0, 1, 0); 3]);
    Out::new(Arc::new(config()), journal, Now::new(0, 1_800_000_000_000))
}

/// A release, to be changed before it is signed.
pub(crate) struct Sample(Release);

pub(crate) fn app(app: &str) -> Sample {
    let code = Artifact::of(format!("{app} code").as_bytes());
    let manifest = Manifest {
        app: app.parse().unwrap(),
        maker: "maker".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        residence: Residence::Resident,
        alternates: Vec::new(),
        hardware: None,
        soak_s: 0,
        faults: Default::default(),
        run: Some(OwnRun { operation: "run".into(), args: vec![], every_s: 2 }),
        grants: Grants::default(),
        limits: Limits::default(),
    };
    let machine = BTreeMap::from([(RUNTIME.to_owned(), code)]);
    let wasm = Artifact::of(app.as_bytes());
    Sample(Release { manifest, interface: Interface::default(), wasm, machine })
}

impl Sample {
    pub fn transient(mut self) -> Self {
        self.0.manifest.residence = Residence::Transient;
        self
    }

    pub fn alternate(mut self, app: &str) -> Self {
        self.0.manifest.alternates = vec![app.parse().unwrap()];
        self
    }

    pub fn release(&self) -> Release {
        self.0.clone()
    }

    pub fn code(&self) -> Artifact {
        self.0.machine[RUNTIME].clone()
    }

    pub fn signed(&self) -> Signed<Release> {
        self.signed_by("publisher")
    }

    pub fn signed_by(&self, id: &str) -> Signed<Release> {
        Signed::new(&self.0, &key(id)).unwrap()
    }
}

pub(crate) fn catalog(version: u64, releases: impl IntoIterator<Item = Signed<Release>>) -> Catalog {
    let releases = releases.into_iter().map(|signed| (signed.digest(), signed)).collect();
    let fleet = config().fleet.fleet;
    let mut catalog = Catalog::new(config().fleet.publishers());
    catalog.found(Listed { v: 1, fleet, version, releases, scripts: BTreeMap::new() });
    catalog
}

pub(crate) fn wanted() -> Wanted {
    Wanted::new(config().fleet.publishers())
}

/// A service that runs an app by itself, started once; the app's releases are the first one's and its alternates'.
pub(crate) fn service(samples: &[&Sample], trigger: Trigger) -> Service {
    let app = samples[0].0.manifest.app.clone();
    let release = |sample: &&Sample| (sample.0.manifest.app.clone(), sample.signed().digest());
    let apps: BTreeMap<AppId, Digest> = samples.iter().map(release).collect();
    Service { work: Work::App(app), apps, trigger, started: 1 }
}

pub(crate) fn installed(name: &str, trigger: Trigger) -> (Installed, Opened) {
    let sample = app(name);
    let service = service(&[&sample], trigger);
    let signed = BTreeMap::from([(sample.0.manifest.app.clone(), sample.signed())]);
    let installed = Installed { service, script: None, apps: signed };
    let opened = installed.open(&config().fleet.publishers()).unwrap();
    (installed, opened)
}
