//! What a center answers to those who only look.

use std::collections::BTreeMap;

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::release::{Release, ReleaseName, ScriptRelease};
use flotilla_schemas::{AppId, EdgeId, ScriptId, ServiceId};

use super::Core;
use crate::catalog::Listed;
use crate::desk::FaultRow;
use crate::document::Work;
use crate::registry::Edge;
use crate::retained::Sweep;
use crate::view::{
    AppDetail, AppSummary, Distribution, EdgeDetail, EdgeSummary, FaultView, ScriptDetail, ScriptSummary,
    ServiceView, StatusView,
};

impl Core {
    /// The newest release of each app, by name.
    pub fn apps(&self) -> Vec<AppSummary> {
        self.catalog.apps().filter_map(|(app, listed)| self.app_summary(app, listed)).collect()
    }

    /// An app; none if it was not published.
    pub fn app(&self, app: &AppId) -> Option<AppDetail> {
        let listed = self.catalog.app(app)?;
        let edges = self.distributions(&ReleaseName::App(app.clone()));
        let document = listed.release.clone();
        Some(AppDetail { summary: self.app_summary(app, listed)?, document, edges })
    }

    /// The newest release of each app.
    pub fn releases(&self) -> BTreeMap<AppId, Release> {
        self.catalog.apps().map(|(app, listed)| (app.clone(), listed.release.clone())).collect()
    }

    fn app_summary(&self, app: &AppId, listed: &Listed<Release>) -> Option<AppSummary> {
        let Release { manifest, wasm, machine, .. } = &listed.release;
        let version = manifest.version.to_string();
        let name = ReleaseName::App(app.clone());
        let installed = |edge: &Edge| edge.releases.get(&name).is_some_and(|row| row.installed == version);
        Some(AppSummary {
            app: app.clone(),
            maker: manifest.maker.clone(),
            version: manifest.version,
            residence: manifest.residence,
            alternates: manifest.alternates.clone(),
            release: listed.digest,
            wasm_bytes: wasm.size,
            runtimes: machine.keys().cloned().collect(),
            publisher: self.documents.app(app)?.1.release.sig.key.clone(),
            edges_installed: self.registry.all().filter(|(_, edge)| installed(edge)).count() as u32,
        })
    }

    /// A row of the distribution table; none if the catalog does not list the release, or the edge said nothing of it.
    pub fn distribution(&self, release: &ReleaseName, edge: &EdgeId) -> Option<Distribution> {
        let row = self.registry.get(edge)?.releases.get(release)?;
        let (latest, size_bytes) = self.catalog.newest(release)?;
        Some(Distribution {
            v: 1,
            release: release.clone(),
            edge: edge.clone(),
            latest: latest.to_string(),
            size_bytes,
            installed: row.installed.clone(),
            state: row.state,
            waits: row.waits.clone(),
            replaced_by: row.replaced_by.clone(),
            since: row.since,
        })
    }

    fn distributions(&self, release: &ReleaseName) -> BTreeMap<EdgeId, Distribution> {
        let row = |(id, _): (&EdgeId, &Edge)| Some((id.clone(), self.distribution(release, id)?));
        self.registry.all().filter_map(row).collect()
    }

    /// The newest release of each script, by name.
    pub fn scripts(&self) -> Vec<ScriptSummary> {
        self.catalog.scripts().filter_map(|(script, listed)| self.script_summary(script, listed)).collect()
    }

    /// The newest release of each script.
    pub fn script_releases(&self) -> BTreeMap<ScriptId, ScriptRelease> {
        self.catalog.scripts().map(|(script, listed)| (script.clone(), listed.release.clone())).collect()
    }

    /// A script; none if it was not published.
    pub fn script(&self, script: &ScriptId) -> Option<ScriptDetail> {
        let listed = self.catalog.script(script)?;
        let runs = Work::Script(script.clone());
        let services =
            self.documents.services().filter(|service| self.documents.work(service) == Some(&runs));
        let services = services.cloned().collect();
        let document = listed.release.clone();
        let edges = self.distributions(&ReleaseName::Script(script.clone()));
        Some(ScriptDetail { summary: self.script_summary(script, listed)?, document, services, edges })
    }

    fn script_summary(&self, script: &ScriptId, listed: &Listed<ScriptRelease>) -> Option<ScriptSummary> {
        let (_, document) = self.documents.script(script)?;
        Some(ScriptSummary {
            script: script.clone(),
            version: listed.release.version,
            release: listed.digest,
            events: document.apps.clone(),
            publisher: document.release.sig.key.clone(),
        })
    }

    /// All services, by name.
    pub fn services(&self) -> Vec<ServiceView> {
        self.documents.services().filter_map(|service| self.service(service)).collect()
    }

    /// A service; none if it was never started.
    pub fn service(&self, service: &ServiceId) -> Option<ServiceView> {
        ServiceView::of(&self.documents, service)
    }

    /// The list of countermeasures; version 0 and empty while there is none.
    pub fn countermeasures(&self) -> Countermeasures {
        self.documents.countermeasures().map(|(_, list)| list.clone()).unwrap_or_default()
    }

    /// The rows of all edges, by name.
    pub fn edges(&self) -> Vec<EdgeSummary> {
        self.registry.all().map(|(id, edge)| self.edge_summary(id, edge)).collect()
    }

    /// All edges, by name.
    pub fn edge_ids(&self) -> impl Iterator<Item = &EdgeId> {
        self.registry.all().map(|(id, _)| id)
    }

    /// An edge, in a row; none if it never showed itself.
    pub fn summary(&self, id: &EdgeId) -> Option<EdgeSummary> {
        Some(self.edge_summary(id, self.registry.get(id)?))
    }

    /// An edge; none if it never showed itself.
    pub fn edge(&self, id: &EdgeId) -> Option<EdgeDetail> {
        let edge = self.registry.get(id)?;
        Some(EdgeDetail {
            summary: self.edge_summary(id, edge),
            key: edge.key.clone(),
            status: edge.status.clone(),
            inventory: edge.inventory.clone(),
            releases: edge.releases.values().cloned().collect(),
            desired: self.desired(id).map(|desired| desired.items).unwrap_or_default(),
            faults: self.faults(Some(id), Some(true)),
        })
    }

    fn edge_summary(&self, id: &EdgeId, edge: &Edge) -> EdgeSummary {
        let status = &edge.status;
        EdgeSummary {
            edge: id.clone(),
            online: edge.online,
            heard_ts: edge.heard_ts,
            mode: status.mode,
            profile: edge.inventory.as_ref().map(|inventory| inventory.profile),
            session: status.meta.session.clone(),
            services: status.services,
            apps_loaded: status.apps_loaded,
            faults_open: open(self.faults.of(id)),
            journal_unacked: status.journal_unacked,
            memory_bytes: status.memory_bytes,
            disk_free_bytes: status.disk_free_bytes,
            agent: status.agent.clone(),
        }
    }

    /// Faults, of one edge or of all, open or closed or both; the oldest first.
    pub fn faults(&self, edge: Option<&EdgeId>, open: Option<bool>) -> Vec<FaultView> {
        match edge {
            Some(edge) => views(self.faults.of(edge), open),
            None => views(self.faults.all(), open),
        }
    }

    /// What the center is at; `ts` is the present in Unix milliseconds.
    pub fn status_view(&self, ts: i64) -> StatusView {
        let connected = self.sweep != Sweep::Idle;
        StatusView { status: self.center_status(ts), connected, swept: self.swept }
    }
}

fn views<'a>(rows: impl Iterator<Item = &'a FaultRow>, open: Option<bool>) -> Vec<FaultView> {
    let views = rows.filter_map(FaultView::of);
    let mut views: Vec<FaultView> = views.filter(|view| open.is_none_or(|open| open == view.open)).collect();
    views.sort_by_key(|view| view.opened_ts);
    views
}

/// How many are open.
pub(super) fn open<'a>(rows: impl Iterator<Item = &'a FaultRow>) -> u32 {
    rows.filter(|row| row.is_open()).count() as u32
}
