//! Reports: what dashboards and centers see of this edge. Flat, small, and never the truth that is acted on; that is
//! the journal.
//!
//! What is retained is published when it changed, at most once in [`REPORT_MS`], and all of it on each connection.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::desired::{Service, slots_digest};
use flotilla_schemas::fault::{Fault, Kind};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::release::{Release, ReleaseName};
use flotilla_schemas::report::{
    EventReport, FaultReport, InstalledApp, Inventory, Meta, Mode, ReleaseRow, ReleaseState, Status,
};
use flotilla_schemas::time::rfc3339;
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{AppId, Digest, FaultId, ScriptId, Topic, Value};

use crate::app::code;
use crate::core::Core;
use crate::effect::{Act, Send};
use crate::fault::OpenFault;
use crate::service::Opened;

/// The shortest time between two reports of the same thing, in milliseconds.
pub const REPORT_MS: u64 = 500;

/// How often the status is reported though nothing changed, in milliseconds; by up to a tenth sooner.
pub const STATUS_MS: u64 = 30_000;

/// What was reported, and when something may be again.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    seq: u64,
    memory_bytes: u64,
    disk_free_bytes: u64,
    status_wanted: bool,
    status_next: u64,
    status_last: u64,
    inventory_wanted: bool,
    rows: BTreeMap<ReleaseName, Row>,
    rows_next: u64,
}

/// A row as it was published last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    installed: String,
    latest: String,
    state: ReleaseState,
    since: i64,
    waits: String,
    replaced_by: String,
    loads: u64,
    downloads: u64,
}

impl Reports {
    pub fn vitals(&mut self, memory_bytes: u64, disk_free_bytes: u64) {
        (self.memory_bytes, self.disk_free_bytes) = (memory_bytes, disk_free_bytes);
    }

    pub fn status_soon(&mut self) {
        self.status_wanted = true;
    }

    pub fn inventory_soon(&mut self) {
        self.inventory_wanted = true;
        self.status_wanted = true;
    }
}

impl Core {
    /// A new connection: everything is said again, and what waited is sent.
    pub(crate) fn connect(&mut self) {
        self.connected = true;
        self.downloads_connected();
        for lane in Lane::ALL {
            self.lanes.lane_mut(lane).connected();
        }
        self.reports.rows.clear();
        (self.reports.rows_next, self.reports.status_next) = (0, 0);
        self.effect(Act::Publish(self.own(EdgeTopic::Avail), b"online".to_vec(), Send::State));
        self.reports.inventory_soon();
        self.reports_due();
        let open: Vec<FaultId> = self.faults.keys().cloned().collect();
        for id in open {
            self.report_fault(&id);
        }
        self.ask_again();
    }

    fn own(&self, rest: EdgeTopic) -> Topic {
        Topic::Edge(self.config.edge.clone(), rest)
    }

    fn meta(&mut self) -> Meta {
        self.reports.seq += 1;
        let (edge, session) = (self.config.edge.clone(), self.config.session.clone());
        Meta { v: 1, edge, session, seq: self.reports.seq, ts: self.now.wall_ms, clock_ok: self.now.clock_ok }
    }

    pub(crate) fn reports_due(&mut self) {
        let now = self.now.mono_ms;
        if !self.connected {
            return;
        }
        if now >= self.reports.rows_next {
            self.rows_due();
        }
        let regular = now >= self.reports.status_last + self.status_pause();
        if now >= self.reports.status_next && (self.reports.status_wanted || regular) {
            self.report_status();
        }
        if std::mem::take(&mut self.reports.inventory_wanted) {
            self.report_inventory();
        }
    }

    pub(crate) fn reports_wake(&self) -> Option<u64> {
        let regular = self.reports.status_last + self.status_pause();
        let status = if self.reports.status_wanted { self.reports.status_next } else { regular };
        let rows = (self.reports.rows_next > self.now.mono_ms).then_some(self.reports.rows_next);
        if self.connected { Some(rows.map_or(status, |rows| rows.min(status))) } else { None }
    }

    /// Shortened by up to a tenth, differently for each edge and time, so that a fleet does not speak at once.
    fn status_pause(&self) -> u64 {
        let seed = format!("{}/{}", self.config.session, self.reports.status_last);
        STATUS_MS - STATUS_MS * u64::from(Digest::of(seed.as_bytes()).first()) / 2560
    }

    fn report_status(&mut self) {
        let now = self.now.mono_ms;
        self.reports.status_wanted = false;
        (self.reports.status_last, self.reports.status_next) = (now, now + REPORT_MS);
        let meta = self.meta();
        let head = |lane| self.lanes.lane(lane).head;
        let status = Status {
            meta,
            fleet: self.config.fleet.fleet.clone(),
            key: self.config.key.clone(),
            mode: self.mode(),
            services: self.services.len() as u32,
            apps_loaded: self.apps.values().filter(|app| app.loaded.is_some()).count() as u32,
            faults_open: self.faults.len() as u32,
            journal_epoch: self.epoch.clone(),
            journal_head_0: head(Lane::Fault),
            journal_head_1: head(Lane::Event),
            journal_head_2: head(Lane::Reading),
            journal_unacked: Lane::ALL.into_iter().map(|lane| self.lanes.lane(lane).unacked()).sum(),
            desired_digest: slots_digest(&self.slots),
            n_max: self.n_max(),
            catalog: self.catalog.as_ref().map_or(0, |catalog| catalog.version),
            memory_bytes: self.reports.memory_bytes,
            disk_free_bytes: self.reports.disk_free_bytes,
            runtime: self.config.runtime.clone(),
            agent: self.config.agent.clone(),
        };
        self.publish(self.own(EdgeTopic::Status), &status, Send::State);
    }

    pub(crate) fn report_stopped(&mut self) {
        if self.connected {
            self.report_status();
            debug_assert_eq!(self.mode(), Mode::Stopped);
            self.effect(Act::Publish(self.own(EdgeTopic::Avail), b"offline".to_vec(), Send::State));
        }
    }

    fn report_inventory(&mut self) {
        let opened = || self.services.values().filter_map(|service| service.opened.as_ref());
        let apps = opened().flat_map(|opened| &opened.apps).map(|(app, (digest, release))| {
            let version = release.manifest.version.to_string();
            (app.clone(), InstalledApp { version, release: *digest })
        });
        let services = self
            .services
            .iter()
            .filter_map(|(id, service)| Some((id.clone(), service.opened.as_ref()?.version())));
        let (apps, services) = (apps.collect(), services.collect());
        let (arch, runtime) = (self.config.arch.clone(), self.config.runtime.clone());
        let (profile, agent) = (self.config.profile, self.config.agent.clone());
        let inventory = Inventory { meta: self.meta(), apps, services, profile, arch, runtime, agent };
        self.publish(self.own(EdgeTopic::Inventory), &inventory, Send::State);
    }

    fn rows_due(&mut self) {
        let mut changed = false;
        for name in self.known_releases() {
            let Some(mut row) = self.row(&name) else { continue };
            let before = self.reports.rows.get(&name);
            row.since = before.filter(|before| before.state == row.state).map_or(row.since, |row| row.since);
            if before != Some(&row) {
                changed = true;
                self.report_row(name.clone(), row.clone());
                self.reports.rows.insert(name, row);
            }
        }
        if changed {
            self.reports.rows_next = self.now.mono_ms + REPORT_MS;
        }
    }

    fn known_releases(&self) -> BTreeSet<ReleaseName> {
        let installed = self.services.values().filter_map(|service| service.opened.as_ref());
        let installed = installed.map(|opened| &opened.service);
        let wanted = self.services.values().filter_map(|service| service.wanted.as_ref());
        let of = |service: &Service| {
            let script = service.work.script().cloned().map(ReleaseName::Script);
            script.into_iter().chain(service.apps.keys().cloned().map(ReleaseName::App)).collect::<Vec<_>>()
        };
        installed.chain(wanted).flat_map(of).chain(self.reports.rows.keys().cloned()).collect()
    }

    /// The row of a release, of which this edge may have apps and scripts.
    fn row(&mut self, name: &ReleaseName) -> Option<Row> {
        match name {
            ReleaseName::App(app) => Some(self.app_row(app)),
            ReleaseName::Script(script) => Some(self.script_row(script)),
            ReleaseName::Environment(_) | ReleaseName::Agent(_) => None,
        }
    }

    fn script_row(&mut self, id: &ScriptId) -> Row {
        let runs = |service: &Service| service.work.script() == Some(id);
        let opened = self.services.values().filter_map(|service| service.opened.as_ref());
        let installed = opened.filter(|opened| runs(&opened.service)).map(Opened::version).next_back();
        let installed = installed.unwrap_or_default();
        let wanted = self.services.values().filter(|service| service.wanted.as_ref().is_some_and(runs));
        let waits: BTreeSet<&str> =
            wanted.clone().map(|service| service.waits.as_str()).filter(|waits| !waits.is_empty()).collect();
        let waits = waits.into_iter().collect::<Vec<_>>().join("; ");
        let digest = wanted.filter_map(|service| service.wanted.as_ref()?.work.script_release()).next_back();
        let latest = digest.and_then(|digest| self.script_release(digest).ok());
        let latest = latest.map(|release| release.version.to_string()).unwrap_or_default();
        let state = match (installed.is_empty(), digest) {
            (false, _) => ReleaseState::Installed,
            (true, Some(_)) => ReleaseState::Downloading,
            (true, None) => ReleaseState::Absent,
        };
        let (since, replaced_by) = (self.now.wall_ms, String::new());
        Row { installed, latest, state, since, waits, replaced_by, loads: 0, downloads: 0 }
    }

    fn app_row(&mut self, id: &AppId) -> Row {
        let opened = self.services.values().filter_map(|service| service.opened.as_ref());
        let release =
            opened.filter_map(|opened| opened.apps.get(id)).next().map(|(_, release)| release.clone());
        let on_disk = release.as_ref().is_some_and(|release| self.is_on_disk(release));
        let version =
            release.as_ref().map(|release| release.manifest.version.to_string()).unwrap_or_default();
        let wanted: Vec<Digest> =
            self.services.values().filter_map(|s| s.wanted.as_ref()?.apps.get(id).copied()).collect();
        let latest = wanted.into_iter().filter_map(|digest| self.release(digest).ok()).next_back();
        let users = self.services.values().filter(|service| {
            service.uses(id) || service.wanted.as_ref().is_some_and(|wanted| wanted.apps.contains_key(id))
        });
        let waits: Vec<&str> =
            users.map(|service| service.waits.as_str()).filter(|waits| !waits.is_empty()).collect();
        let waits = waits.join("; ");
        let app = self.apps.get(id);
        let loaded = app.is_some_and(|app| app.loaded.is_some());
        let state = match app {
            Some(app) if app.kept.quarantined => ReleaseState::Quarantined,
            Some(app) if app.calling.is_some() => ReleaseState::Running,
            Some(_) if loaded => ReleaseState::Loaded,
            _ if on_disk => ReleaseState::Installed,
            _ if release.is_none() && latest.is_some() => ReleaseState::Downloading,
            Some(app) if app.fetching => ReleaseState::Downloading,
            _ => ReleaseState::Absent,
        };
        Row {
            installed: if on_disk || loaded { version } else { String::new() },
            latest: latest.map(|release| release.manifest.version.to_string()).unwrap_or_default(),
            state,
            since: self.now.wall_ms,
            waits,
            replaced_by: app
                .and_then(|app| app.kept.replaced_by.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default(),
            loads: app.map_or(0, |app| app.loads),
            downloads: app.map_or(0, |app| app.downloads),
        }
    }

    fn is_on_disk(&self, release: &Release) -> bool {
        code(&self.config, release).is_ok_and(|code| self.downloads.has(code.artifact()))
    }

    fn report_row(&mut self, release: ReleaseName, row: Row) {
        let Row { installed, latest, state, since, waits, replaced_by, loads, downloads } = row;
        let meta = self.meta();
        let topic = self.own(EdgeTopic::Release(release.clone()));
        let row = ReleaseRow {
            meta,
            release,
            installed,
            latest,
            state,
            since,
            waits,
            replaced_by,
            loads,
            downloads,
        };
        self.publish(topic, &row, Send::State);
    }

    pub(crate) fn report_event(&mut self, source: &AppId, name: &str, fields: &BTreeMap<String, Value>) {
        if !self.connected {
            return;
        }
        const TAKEN: [&str; 9] = ["v", "edge", "session", "seq", "ts", "clock_ok", "time", "event", "source"];
        let free = |name: &String| match TAKEN.contains(&name.as_str()) {
            true => format!("field_{name}"),
            false => name.clone(),
        };
        let fields = fields.iter().map(|(name, value)| (free(name), value.clone())).collect();
        let (event, time) = (name.to_owned(), rfc3339(self.now.wall_ms));
        let report = EventReport { meta: self.meta(), time, event, source: source.clone(), fields };
        self.publish(self.own(EdgeTopic::Event(source.clone())), &report, Send::Reading);
    }

    pub(crate) fn report_fault(&mut self, id: &FaultId) {
        if let Some(open) = self.faults.get(id).cloned().filter(|_| self.connected) {
            self.report_open(&open, 1);
        }
    }

    fn report_open(&mut self, open: &OpenFault, is_open: u8) {
        let Fault { fault, kind, app, point, message, attempt, count, tried, .. } = open.fault.clone();
        let (device, point) = point.map(|at| (at.device, at.point)).unwrap_or_default();
        let cause = open.cause.as_ref().map_or("pending".to_owned(), Kind::to_string);
        let measure = tried.last().map(ToString::to_string).unwrap_or_default();
        let (meta, time, topic) =
            (self.meta(), rfc3339(self.now.wall_ms), EdgeTopic::Fault(app.clone(), kind.clone()));
        let report = FaultReport {
            meta,
            time,
            fault,
            kind,
            app,
            device,
            point,
            open: is_open,
            cause,
            message,
            attempt,
            count,
            measure,
        };
        // A cure that the edge made alone is told once and not kept.
        let send = if is_open == 1 { Send::State } else { Send::Message };
        self.publish(self.own(topic), &report, send);
    }

    /// The fault is over: its retained report is emptied, unless another of its kind is still open there.
    pub(crate) fn report_closed(&mut self, open: &OpenFault) {
        if !self.connected {
            return;
        }
        if !open.was_reported() {
            return self.report_open(open, 0);
        }
        let (app, kind) = (&open.fault.app, &open.fault.kind);
        let other = self.faults.values().find(|other| other.fault.app == *app && other.fault.kind == *kind);
        match other.map(|other| other.fault.fault.clone()) {
            Some(id) => self.report_fault(&id),
            None => {
                let topic = self.own(EdgeTopic::Fault(app.clone(), kind.clone()));
                self.effect(Act::Publish(topic, Vec::new(), Send::State));
            }
        }
    }
}
