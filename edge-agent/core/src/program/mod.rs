//! The programs of an edge: services, their runs, the apps that these call, and the files of both.
//!
//! ```text
//!  wanted ──▶ install ──▶ current ──▶ due ──▶ run ──▶ calls ──▶ the next is due
//!                ▲                             │
//!            download                          └──▶ failed: held until its fault was treated
//! ```
//!
//! What else follows from what happens here, faults above all, is not this room's: it gives back a list of
//! [happenings](Happening). Only this room says whether a service runs, waits or is held.

mod app;
mod call;
mod download;
mod fit;
mod install;
mod restore;
mod run;
mod service;
#[cfg(test)]
mod tests;
mod turn;
mod waits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flotilla_schemas::desired::Service;
use flotilla_schemas::fault::{Failure, Kind};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::publisher::Publishers;
use flotilla_schemas::release::{Release, ReleaseName};
use flotilla_schemas::{AppId, Digest, PointId, ScriptId, ServiceId, Value};

use crate::effect::EffectId;
use crate::input::Outcome;
use crate::out::Out;
use crate::wanted::Catalog;
use app::Apps;
use download::Downloads;
use run::Run;
use service::ServiceState;

pub(crate) use app::{App, Kept as KeptApp};
pub(crate) use fit::is_unfit;
#[cfg(test)]
pub(crate) use service::Installed;
pub(crate) use service::{Kept as KeptService, Opened};

/// The most events of one app between two of its calls; what is beyond is counted and dropped.
pub(crate) const EVENTS_MAX: u32 = 256;

/// What happened to the programs that others must know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happening {
    /// A run failed; its service does not run again by itself.
    Failed { service: ServiceId, app: AppId, failure: Failure, place: Option<String>, began_ms: u64 },
    /// A run went through.
    Ran(ServiceId),
    /// Something else is in place than what failed before.
    Installed(ServiceId),
    /// The service is gone.
    Gone(ServiceId),
}

/// The services and apps of an edge.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    services: BTreeMap<ServiceId, ServiceState>,
    apps: Apps,
    /// Who waits for memory, the first first.
    turns: VecDeque<ServiceId>,
    downloads: Downloads,
    /// A service is gone, and with it the need for its files.
    sweep_due: bool,
    happened: Vec<Happening>,
}

impl Programs {
    /// What was kept of a service.
    pub fn found_service(&mut self, id: ServiceId, kept: KeptService) {
        self.services.insert(id, ServiceState { kept, ..ServiceState::default() });
    }

    /// What was kept of an app.
    pub fn found_app(&mut self, id: AppId, kept: KeptApp) {
        self.apps.found(id, kept);
    }

    /// At boot: what was current is verified and is due.
    pub fn reopen(&mut self, publishers: &Publishers, out: &Out) {
        for service in self.services.values_mut() {
            let Some(installed) = &service.kept.current else { continue };
            let opened = installed.open(publishers);
            match opened.and_then(|opened| fit::unfit(&out.config, &opened).map(|_| opened)) {
                Ok(opened) => {
                    service.opened = Some(opened);
                    service.due = service.first_due(out.now.mono_ms);
                }
                Err(waits) => service.waits = Some(waits),
            }
        }
        self.sweep_due = true;
    }

    /// A service is desired, or is to go.
    pub fn want(&mut self, id: ServiceId, wanted: Option<Service>, out: &mut Out) {
        if wanted.is_none() && !self.services.contains_key(&id) {
            return;
        }
        let service = self.services.entry(id.clone()).or_default();
        service.want(wanted);
        if service.is_ended() {
            self.service_ended(&id, out);
        } else if service.wanted.is_none() && service.run.as_ref().is_some_and(Run::fetches) {
            // Its file may never come.
            self.end_run(&id, out);
        }
    }

    /// A service that is gone takes its apps, what they keep and its files with it.
    fn service_ended(&mut self, id: &ServiceId, out: &mut Out) {
        let Some(ServiceState { kept, .. }) = self.services.remove(id) else { return };
        self.happened.push(Happening::Gone(id.clone()));
        self.sweep_due = true;
        let Some(current) = kept.current else { return };
        out.forget(format!("service/{id}"));
        let before = kept.before.iter().flat_map(|before| before.apps.keys());
        let apps: BTreeSet<&AppId> = current.apps.keys().chain(before).collect();
        let needs =
            |app: &AppId| self.services.values().any(|service| service.uses(app) || service.wants(app));
        apps.into_iter().filter(|app| !needs(app)).for_each(|app| out.forget_keys(app));
        out.record_event("service-removed", [("service", id.as_str().into())]);
        let services = &self.services;
        self.apps.leave(|app| services.values().any(|service| service.uses(app)), out);
    }

    /// What follows from the state and the time. Apps that are wanted and cannot run here are given back, with why.
    pub fn advance(&mut self, catalog: &mut Catalog, out: &mut Out) -> BTreeMap<AppId, Failure> {
        let unfit = self.install_due(catalog, out);
        self.runs_due(out);
        if std::mem::take(&mut self.sweep_due) {
            self.sweep(catalog, out);
        }
        unfit
    }

    /// Asks for the chunks that are missing, where asking is due.
    pub fn ask(&mut self, out: &mut Out) {
        self.downloads.ask(out);
    }

    /// When something is due by itself.
    pub fn wake_at(&self, connected: bool) -> Option<u64> {
        [self.runs_wake(), self.downloads.wake_at(connected)].into_iter().flatten().min()
    }

    /// What happened since the last time.
    pub fn take_happened(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happened)
    }

    /// A new connection: what is missing is asked for at once.
    pub fn connected(&mut self, now_ms: u64) {
        self.downloads.connected(now_ms);
    }

    /// A chunk came.
    pub fn chunk(&mut self, bytes: &[u8], out: &mut Out) {
        self.downloads.chunk(bytes, out);
    }

    /// The disk was looked at for an artifact.
    pub fn looked(
        &mut self,
        look: EffectId,
        digest: Digest,
        outcome: Outcome,
        catalog: &Catalog,
        out: &mut Out,
    ) {
        if self.downloads.looked(look, digest, outcome, out) {
            self.count_download(digest, catalog, out);
        }
    }

    /// The disk does not answer.
    pub fn look_overdue(&mut self, look: EffectId, digest: Digest, out: &mut Out) {
        self.downloads.look_overdue(look, digest, out);
    }

    /// The code of an app has come.
    fn count_download(&mut self, digest: Digest, catalog: &Catalog, out: &Out) {
        let installed =
            self.opened().flat_map(|(_, opened)| opened.apps.values().map(|(_, release)| release));
        let is_it = |release: &Release| {
            fit::code(&out.config, release).is_ok_and(|code| code.artifact().digest == digest)
        };
        let apps: BTreeSet<AppId> = installed
            .chain(catalog.known())
            .filter(|release| is_it(release))
            .map(|release| release.app().clone())
            .collect();
        apps.iter().for_each(|app| self.apps.entry(app).downloads += 1);
    }

    /// An event of an app: a reading if all that it tells is numbers.
    pub fn app_event(&mut self, id: &AppId, name: String, fields: BTreeMap<String, Value>, out: &mut Out) {
        let Some(app) = self.apps.get_mut(id) else { return };
        app.events = app.events.saturating_add(1);
        match app.events {
            EVENTS_MAX.. if app.events == EVENTS_MAX + 1 => {
                return out.record_event("events-dropped", [("app", id.as_str().into())]);
            }
            events if events > EVENTS_MAX => return,
            _ => {}
        }
        let reading = !fields.is_empty() && fields.values().all(|value| value.as_f64().is_some());
        let lane = if reading { Lane::Reading } else { Lane::Event };
        out.event(id.clone(), name, fields, lane, self.running(id));
    }

    /// A device did not answer an app well; if the app fails in the call under way, that is why.
    pub fn let_down(&mut self, id: &AppId, point: &PointId, kind: &Kind, out: &Out) {
        let calling = self.apps.get_mut(id).filter(|app| app.calling.is_some());
        if let Some(app) = calling.filter(|_| out.config.treats_faults()) {
            app.let_down = Some((point.clone(), kind.clone()));
        }
    }

    /// The service in whose run this app is being called.
    pub fn running(&self, app: &AppId) -> Option<ServiceId> {
        let call = self.apps.get(app)?.calling?;
        let calls = |service: &ServiceState| service.run.as_ref().is_some_and(|run| run.is_calling(call));
        self.services.iter().find(|(_, service)| calls(service)).map(|(id, _)| id.clone())
    }

    /// Its run failed and nobody treats that: the next one is due as ever.
    pub fn go_on(&mut self, id: &ServiceId, began_ms: u64, out: &mut Out) {
        self.schedule_next(id, began_ms, out);
    }

    fn set_waits(&mut self, id: &ServiceId, waits: Option<waits::Waits>) {
        if let Some(service) = self.services.get_mut(id) {
            service.waits = waits;
        }
    }

    /// Whether there is such a service.
    pub fn has(&self, id: &ServiceId) -> bool {
        self.services.contains_key(id)
    }

    /// Whether an app is put away until a person releases it.
    pub fn any_quarantined(&self) -> bool {
        self.apps.iter().any(|(_, app)| app.kept.quarantined)
    }

    /// How many services there are.
    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// What runs, by service.
    pub fn opened(&self) -> impl DoubleEndedIterator<Item = (&ServiceId, &Opened)> {
        self.services.iter().filter_map(|(id, service)| Some((id, service.opened.as_ref()?)))
    }

    /// The apps to which something happened.
    pub fn apps(&self) -> impl Iterator<Item = (&AppId, &App)> {
        self.apps.iter()
    }

    /// An app to which something happened.
    pub fn app(&self, id: &AppId) -> Option<&App> {
        self.apps.get(id)
    }

    /// The releases that run here or are to.
    pub fn known_releases(&self) -> BTreeSet<ReleaseName> {
        let of = |service: &Service| {
            let script = service.work.script().cloned().map(ReleaseName::Script);
            script.into_iter().chain(service.apps.keys().cloned().map(ReleaseName::App)).collect::<Vec<_>>()
        };
        let wanted = self.services.values().filter_map(|service| service.wanted.as_ref());
        self.opened().map(|(_, opened)| &opened.service).chain(wanted).flat_map(of).collect()
    }

    /// The releases of an app that are wanted.
    pub fn wanted_releases(&self, app: &AppId) -> Vec<Digest> {
        self.services.values().filter_map(|s| s.wanted.as_ref()?.apps.get(app).copied()).collect()
    }

    /// The release of a script that is wanted.
    pub fn wanted_script(&self, script: &ScriptId) -> Option<Digest> {
        let wanted = self.services.values().filter_map(|service| service.wanted.as_ref());
        wanted
            .filter(|wanted| wanted.work.script() == Some(script))
            .filter_map(|w| w.work.script_release())
            .next_back()
    }

    /// Why services of an app wait, in sentences.
    pub fn why_app_waits(&self, app: &AppId) -> String {
        self.why_waits(|service| service.uses(app) || service.wants(app))
    }

    /// Why services that walk a script wait, in sentences.
    pub fn why_script_waits(&self, script: &ScriptId) -> String {
        self.why_waits(|service| service.wanted.as_ref().is_some_and(|w| w.work.script() == Some(script)))
    }

    fn why_waits(&self, concerns: impl Fn(&ServiceState) -> bool) -> String {
        let waiting = self.services.values().filter(|service| concerns(service));
        let waits = waiting.filter_map(|service| Some(service.waits.as_ref()?.to_string()));
        waits.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
    }

    /// Whether the code of a release is on disk.
    pub fn is_on_disk(&self, release: &Release, out: &Out) -> bool {
        fit::code(&out.config, release).is_ok_and(|code| self.downloads.has(code.artifact()))
    }
}

impl ServiceState {
    /// Keeps what is to be known of it after a restart.
    fn keep(&self, id: &ServiceId, out: &mut Out) {
        out.keep(format!("service/{id}"), &self.kept);
    }
}
