//! What tests are made of: a fleet, its keys, and small messages of each kind.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::app::{Grants, Interface, Limits, Manifest, Residence};
use flotilla_schemas::countermeasure::{By, Measure};
use flotilla_schemas::fault::{Closed, Fault, How, Kind, kind};
use flotilla_schemas::fleet::{Center, Fleet};
use flotilla_schemas::journal::{Batch, Body as Said, Lane, Record};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::release::{Release, ReleaseName, ScriptRelease};
use flotilla_schemas::report::{Inventory, Meta, Mode, Profile, ReleaseRow, ReleaseState, Status};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::time::Now;
use flotilla_schemas::{AppId, Artifact, Digest, EventsId, Json, Signed};

use crate::catalog::Listing;
use crate::catalog::publication::{Publication, judge_app, judge_script};
use crate::document::{Body, Documents, On, ServiceDocument};
use crate::present::Present;
use crate::registry::Registry;

pub fn key(id: &str, seed: u8) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), [seed; 32])
}

pub fn center_key() -> SecretKey {
    key("c1", 1)
}

pub fn other_center_key() -> SecretKey {
    key("c2", 3)
}

pub fn publisher() -> SecretKey {
    key("publisher", 2)
}

pub fn edge_key(edge: &str) -> SecretKey {
    key(edge, edge.bytes().fold(7, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte)))
}

/// A publisher whose key is good for the maker `north` alone.
pub fn bounded() -> SecretKey {
    key("north", 3)
}

pub fn fleet() -> Fleet {
    let north = Makers::Only(["north".parse().unwrap()].into());
    Fleet {
        fleet: "f".parse().unwrap(),
        era: 1,
        durable: 1,
        centers: vec![
            Center { id: "c1".parse().unwrap(), key: center_key().public() },
            Center { id: "c2".parse().unwrap(), key: other_center_key().public() },
        ],
        operators: vec![],
        publishers: vec![Publisher::of(&publisher(), Makers::All), Publisher::of(&bounded(), north)],
    }
}

pub fn status(edge: &str, seq: u64) -> Status {
    let session = "s1".parse().unwrap();
    Status {
        meta: Meta { v: 1, edge: edge.parse().unwrap(), session, seq, ts: 0, clock_ok: true },
        fleet: "f".parse().unwrap(),
        key: edge_key(edge).public(),
        mode: Mode::Operating,
        services: 0,
        apps_loaded: 0,
        faults_open: 0,
        journal_epoch: "epoch".parse().unwrap(),
        journal_head_0: 0,
        journal_head_1: 0,
        journal_head_2: 0,
        journal_unacked: 0,
        desired_digest: Digest::of(b""),
        n_max: 0,
        catalog: 0,
        memory_bytes: 0,
        disk_free_bytes: 0,
        runtime: "r".into(),
        agent: "0".into(),
    }
}

/// An edge's row of an app.
pub fn row(edge: &str, app: &str, installed: &str) -> ReleaseRow {
    ReleaseRow {
        meta: status(edge, 1).meta,
        release: ReleaseName::App(app.parse().unwrap()),
        installed: installed.into(),
        latest: installed.into(),
        state: ReleaseState::Installed,
        since: 0,
        waits: String::new(),
        replaced_by: String::new(),
        loads: 0,
        downloads: 0,
    }
}

pub fn app(name: &str, version: &str, alternates: &[&str]) -> Signed<Release> {
    app_of("maker", &publisher(), name, version, alternates)
}

/// A release of a maker's app, signed with this key.
pub fn app_of(
    maker: &str,
    key: &SecretKey,
    name: &str,
    version: &str,
    alternates: &[&str],
) -> Signed<Release> {
    let manifest = Manifest {
        app: name.parse().unwrap(),
        maker: maker.parse().unwrap(),
        version: version.parse().unwrap(),
        residence: Residence::Resident,
        alternates: alternates.iter().map(|app| app.parse().unwrap()).collect(),
        hardware: None,
        soak_s: 0,
        faults: Default::default(),
        run: None,
        grants: Grants::default(),
        limits: Limits::default(),
    };
    let wasm = Artifact::of(format!("{name} {version}").as_bytes());
    let release = Release { manifest, interface: Interface::default(), wasm, machine: BTreeMap::new() };
    Signed::new(&release, key).unwrap()
}

/// A script release with its event lists and the apps that each of them names.
pub fn script(
    name: &str,
    version: &str,
    lists: &[(&str, &[&str])],
) -> (Signed<ScriptRelease>, BTreeMap<EventsId, BTreeSet<AppId>>) {
    let events = |list: &str| list.parse::<EventsId>().unwrap();
    let release = ScriptRelease {
        script: name.parse().unwrap(),
        version: version.parse().unwrap(),
        definition: Artifact::of(b"definition"),
        text: Artifact::of(version.as_bytes()),
        events: lists.iter().map(|(list, _)| (events(list), Artifact::of(list.as_bytes()))).collect(),
        equipment: None,
        proof: Artifact::of(b"proof"),
    };
    let apps = |apps: &[&str]| apps.iter().map(|app| app.parse().unwrap()).collect();
    let apps = lists.iter().map(|(list, names)| (events(list), apps(names))).collect();
    (Signed::new(&release, &publisher()).unwrap(), apps)
}

pub fn fault(id: &str, attempt: u32, count: u32) -> Said {
    Said::Fault(Fault {
        fault: id.parse().unwrap(),
        kind: Kind::of(kind::TRAP_UNREACHABLE),
        app: "a".parse().unwrap(),
        service: None,
        step: None,
        point: None,
        message: "nonsense".into(),
        backtrace: vec![],
        attempt,
        count,
        tried: vec![],
        list_ver: 0,
        by: By::Center,
    })
}

pub fn restoration(id: &str, attempt: u32) -> Said {
    let (fault, cause) = (id.parse().unwrap(), "unidentified".into());
    let measure = if attempt == 1 { Measure::Restart } else { Measure::Replace };
    Said::Restoration { fault, attempt, measure, cause, center: None }
}

pub fn closed(id: &str, attempts: u32) -> Said {
    Said::Closed(Closed {
        fault: id.parse().unwrap(),
        kind: Kind::of(kind::TRAP_UNREACHABLE),
        app: "a".parse().unwrap(),
        how: How::Cured,
        measure: Some(Measure::Restart),
        attempts,
        open_ms: 5,
    })
}

/// A batch of lane 0 whose records are numbered from `first`; the number is also the time of each.
pub fn batch(edge: &str, first: u64, bodies: &[Said]) -> Batch {
    let session = "s1".parse().unwrap();
    let record = |(n, body): (usize, &Said)| Record {
        seq: first + n as u64,
        ts: 100,
        clock_ok: true,
        session: Clone::clone(&session),
        body: body.clone(),
    };
    Batch {
        v: 1,
        edge: edge.parse().unwrap(),
        epoch: "epoch".parse().unwrap(),
        lane: Lane::Fault,
        first,
        floor: 1,
        records: bodies.iter().enumerate().map(|body| Json::of(&record(body)).unwrap()).collect(),
    }
}

/// What was decided, published and heard so far.
pub struct World {
    documents: Documents,
    catalog: Listing,
    registry: Registry,
}

impl Default for World {
    fn default() -> Self {
        let documents = Documents::new("c1".parse().unwrap(), 1);
        let catalog = Listing::of(&fleet().fleet, &documents);
        Self { documents, catalog, registry: Registry::default() }
    }
}

impl World {
    pub fn present(&self) -> Present<'_> {
        Present { documents: &self.documents, catalog: &self.catalog, registry: &self.registry }
    }

    pub fn edges(&mut self, edges: &[&str]) -> &mut Self {
        for edge in edges {
            self.registry.status(status(edge, 1), true, Now::new(0, 0)).unwrap();
        }
        self
    }

    /// An edge says what it can do.
    pub fn profile(&mut self, edge: &str, profile: Profile) {
        self.registry
            .inventory(Inventory {
                meta: status(edge, 2).meta,
                apps: BTreeMap::new(),
                services: BTreeMap::new(),
                profile,
                arch: "x86_64".into(),
                runtime: "r".into(),
                agent: "0".into(),
            })
            .unwrap();
    }

    pub fn apps(&mut self, apps: &[&str]) -> &mut Self {
        apps.iter().for_each(|name| _ = self.publish(app(name, "1.0.0", &[])));
        self
    }

    pub fn publish(&mut self, release: Signed<Release>) -> &mut Self {
        let publication = judge_app(&self.documents, &fleet().publishers(), release).unwrap();
        self.take(publication)
    }

    pub fn script(&mut self, name: &str, version: &str, lists: &[(&str, &[&str])]) -> &mut Self {
        let (signed, apps) = script(name, version, lists);
        let publication = judge_script(&self.documents, &fleet().publishers(), signed, apps).unwrap();
        self.take(publication)
    }

    fn take(&mut self, publication: Publication) -> &mut Self {
        match publication {
            Publication::New(_, body) => self.decide(*body),
            Publication::Known(digest) => panic!("{digest} is known"),
        }
    }

    /// What was decided of a service, as one decision.
    pub fn serve(&mut self, parts: Vec<ServiceDocument>) -> &mut Self {
        let ver = self.documents.next();
        for part in parts {
            self.documents.decide_as(ver.clone(), Body::Service(part), 0);
        }
        self
    }

    /// A service on an edge.
    pub fn on(&self, service: &str, edge: &str) -> On {
        self.documents.on(&service.parse().unwrap(), &edge.parse().unwrap()).unwrap().clone()
    }

    pub fn decide(&mut self, body: Body) -> &mut Self {
        self.documents.decide(body, 0);
        self.catalog = Listing::of(&fleet().fleet, &self.documents);
        self
    }
}
