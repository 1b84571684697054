//! What a center has the broker retain: documents, the catalog, what each edge should be, and views for people.

use std::collections::BTreeMap;

use flotilla_schemas::desired::Desired;
use flotilla_schemas::release::ReleaseName;
use flotilla_schemas::report::CenterStatus;
use flotilla_schemas::time::Now;
use flotilla_schemas::topic::{CenterTopic, ToTopic};
use flotilla_schemas::{Digest, EdgeId, EpochId, ScriptId, Topic};
use serde::Serialize;

use super::looks::open;
use super::{Core, ONLINE};
use crate::catalog::Listing;
use crate::desired::{join, join_heard};
use crate::document::{Body, Document, DocumentId};
use crate::retained::Cause;
use crate::step::Step;

impl Core {
    /// All of it, from what is on disk.
    pub(super) fn retain_all(&mut self) {
        let avail = Topic::Center(self.config.center.clone(), CenterTopic::Avail);
        self.retained.want(avail, ONLINE.to_vec(), Cause::Here);
        for (id, document) in self.documents.clone().all() {
            self.retain(id.topic(), document, Cause::Here);
            if let DocumentId::Edge(edge) = id {
                self.retain_desired(edge, Cause::Here);
            }
        }
        self.retain_catalog(Cause::Here);
        self.retain_desired_of_all(Cause::Here);
    }

    /// A document that is new, and all that follows from it.
    pub(super) fn follow(&mut self, document: &Document, cause: Cause, step: &mut Step) {
        self.retain(document.body.id().topic(), document, cause);
        match &document.body {
            Body::App(_) | Body::Script(_) => {
                self.catalog = Listing::of(&self.config.fleet.fleet, &self.documents);
                self.retain_catalog(cause);
                self.retain_desired_of_all(cause);
            }
            Body::Service(part) => part.on.keys().for_each(|edge| self.retain_desired(edge, cause)),
            Body::Edge(edge) => {
                step.touched.insert(edge.edge.clone());
                self.settle(edge, cause, step);
            }
            Body::Countermeasures(_) => self.retain_desired_of_all(cause),
        }
    }

    fn retain_catalog(&mut self, cause: Cause) {
        let catalog = self.catalog.message().clone();
        if catalog.version > 0 {
            self.retain(Topic::Catalog("targets".into()), &catalog, cause);
        }
        let scripts: Vec<ScriptId> = self.catalog.scripts().map(|(script, _)| script.clone()).collect();
        for script in scripts {
            if let Some(detail) = self.script(&script) {
                self.retain(Topic::Script(script), &detail.summary, Cause::Here);
            }
        }
        self.retain_app_views();
        let rows: Vec<(ReleaseName, EdgeId)> = self
            .registry
            .all()
            .flat_map(|(edge, known)| known.releases.keys().map(|release| (release.clone(), edge.clone())))
            .collect();
        rows.iter().for_each(|(release, edge)| self.retain_distribution(release, edge));
    }

    pub(super) fn retain_app_views(&mut self) {
        for summary in self.apps() {
            self.retain(Topic::App(summary.app.clone()), &summary, Cause::Here);
        }
    }

    /// A row of the distribution table.
    pub(super) fn retain_distribution(&mut self, release: &ReleaseName, edge: &EdgeId) {
        if let Some(row) = self.distribution(release, edge) {
            self.retain(Topic::Distribution(release.clone(), edge.clone()), &row, Cause::Here);
        }
    }

    fn retain_desired_of_all(&mut self, cause: Cause) {
        let edges: Vec<EdgeId> = self.registry.all().map(|(edge, _)| edge.clone()).collect();
        edges.iter().for_each(|edge| self.retain_desired(edge, cause));
    }

    /// What an edge should be.
    pub(super) fn retain_desired(&mut self, edge: &EdgeId, cause: Cause) {
        if let Some(desired) = self.desired(edge) {
            self.retain(Topic::To(edge.clone(), ToTopic::Desired), &desired, cause);
        }
    }

    /// What an edge should be, with what was heard of it joined in; none for an edge that has not shown its journal
    /// yet, or for which nothing was decided. What was meant for a former journal of the edge is void.
    pub(super) fn desired(&self, edge: &EdgeId) -> Option<Desired> {
        if self.is_retired(edge) {
            return Some(self.tombstone(edge));
        }
        let edge_epoch = self.registry.get(edge)?.status.journal_epoch.clone();
        let (mut items, mut min_catalog) = (join(self.present(), edge), self.catalog.message().version);
        if let Some(heard) = self.heard.get(edge).filter(|heard| heard.edge_epoch == edge_epoch) {
            join_heard(&mut items, heard, self.config.fleet.era);
            min_catalog = min_catalog.max(heard.min_catalog);
        }
        let (fleet, edge) = (self.config.fleet.fleet.clone(), edge.clone());
        (!items.is_empty()).then_some(Desired {
            v: 1,
            fleet,
            edge,
            edge_epoch,
            min_catalog,
            retired: false,
            items,
        })
    }

    /// What is said to an edge that has left, in whatever state it is.
    fn tombstone(&self, edge: &EdgeId) -> Desired {
        let (fleet, edge_epoch) = (self.config.fleet.fleet.clone(), EpochId::of(&Digest::of(b"")));
        let (edge, items) = (edge.clone(), BTreeMap::new());
        Desired { v: 1, fleet, edge, edge_epoch, min_catalog: 0, retired: true, items }
    }

    /// The center's own state.
    pub(super) fn retain_status(&mut self, now: Now) {
        self.seq += 1;
        let status = self.center_status(now.wall_ms);
        self.retain(Topic::Center(self.config.center.clone(), CenterTopic::Status), &status, Cause::Here);
    }

    /// The center's own state at this time.
    pub(super) fn center_status(&self, ts: i64) -> CenterStatus {
        let (edges, edges_online) = self.registry.count();
        CenterStatus {
            v: 1,
            center: self.config.center.clone(),
            session: self.config.session.clone(),
            seq: self.seq,
            ts,
            edges,
            edges_online,
            faults_open: open(self.faults.all()),
            list_ver: self.documents.countermeasures().map_or(0, |(_, list)| list.version),
            catalog: self.catalog.message().version,
            records: self.config.records,
            repeated: self.retained.repeated(),
            agent: self.config.agent.clone(),
        }
    }

    /// Serialising one of our own types does not fail; if it did, the broker would keep what it has.
    fn retain<T: Serialize>(&mut self, topic: Topic, message: &T, cause: Cause) {
        if let Ok(payload) = serde_json::to_vec(message) {
            self.retained.want(topic, payload, cause);
        }
    }
}
