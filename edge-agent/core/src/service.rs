//! Services: what is wanted, what is installed, when the next run is due.
//!
//! A service runs what is `current`, whole: script, event list and apps of one desired state. What is newly wanted
//! becomes current between two runs, once all of it is on disk; until then, and without any network, the current one
//! goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_schemas::desired::{EVERY_MS_MIN, Service, Trigger, Work};
use flotilla_schemas::fault::How;
use flotilla_schemas::publisher::Publishers;
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::sign::Signed;
use flotilla_schemas::{AppId, Artifact, Digest, FaultId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::app::{code, is_kept};
use crate::core::Core;
use crate::effect::{EffectId, Persist};
use crate::input::Config;
use crate::plan::Call;
use crate::run::Run;

/// A service of this edge.
#[derive(Debug, Default)]
pub(crate) struct ServiceState {
    pub kept: Kept,
    /// What is desired; none when it is to go, or is gone.
    pub wanted: Option<Service>,
    /// What is current, with its documents opened.
    pub opened: Option<Opened>,
    pub run: Option<Run>,
    /// Its script's files are being read, for this run or one that has given up.
    pub reading: Option<EffectId>,
    /// The fault that must be treated before it runs again.
    pub held: Option<FaultId>,
    /// It is due, and its script's files are on their way.
    pub fetching: bool,
    /// When it is to run, in milliseconds of running time.
    pub due: Option<u64>,
    /// Why it waits; empty when it does not.
    pub waits: String,
}

/// What is kept of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What runs.
    pub current: Option<Installed>,
    /// What ran before it, for the way back.
    pub before: Option<Installed>,
    /// The last start that was carried out, of a service that runs once.
    pub ran: u64,
}

/// A service with the signed documents of all that it consists of, so that it depends on no catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Installed {
    pub service: Service,
    /// None where an app runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Signed<ScriptRelease>>,
    pub apps: BTreeMap<AppId, Signed<Release>>,
}

/// An installed service whose documents were verified.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub service: Service,
    pub script: Option<Arc<ScriptRelease>>,
    pub apps: BTreeMap<AppId, (Digest, Arc<Release>)>,
}

impl Installed {
    /// Verifies the documents.
    pub fn open(&self, publishers: &Publishers) -> Result<Opened, String> {
        let refused = |error| format!("what is installed is refused: {error}");
        let script = self.script.as_ref().map(|script| publishers.open(script)).transpose();
        let script = script.map_err(refused)?.map(Arc::new);
        let open = |(app, signed): (&AppId, &Signed<Release>)| {
            Ok((app.clone(), (signed.digest(), Arc::new(publishers.open(signed).map_err(refused)?))))
        };
        let apps = self.apps.iter().map(open).collect::<Result<_, String>>()?;
        Ok(Opened { service: self.service.clone(), script, apps })
    }
}

impl Opened {
    /// Definition, event list and script; none where an app runs by itself.
    pub fn script_files(&self) -> Result<Option<[Artifact; 3]>, String> {
        let (Work::Script { events, .. }, Some(script)) = (&self.service.work, &self.script) else {
            return Ok(None);
        };
        let list = script.events.get(events);
        let list =
            list.ok_or_else(|| format!("{} {} has no event list {events}", script.script, script.version))?;
        Ok(Some([script.definition.clone(), list.clone(), script.text.clone()]))
    }

    /// The call that an app declares for itself, where the service is to make it.
    pub fn own_call(&self) -> Option<Call> {
        let Work::App(app) = &self.service.work else { return None };
        let own = self.apps.get(app)?.1.manifest.run.clone()?;
        Some(Call { app: app.clone(), operation: own.operation, args: own.args, place: None })
    }

    /// The version of what drives it: of its script, or of the app that runs by itself.
    pub fn version(&self) -> String {
        let app = match &self.service.work {
            Work::App(app) => self.apps.get(app).map(|(_, release)| release.manifest.version),
            Work::Script { .. } => None,
        };
        let version = self.script.as_ref().map(|script| script.version).or(app);
        version.map(|version| version.to_string()).unwrap_or_default()
    }

    /// All that is there for as long as it is installed: the script's files and the code that is kept.
    pub fn artifacts(&self, config: &Config) -> Result<Vec<Artifact>, String> {
        let mut artifacts: Vec<Artifact> = self.script_files()?.into_iter().flatten().collect();
        for (_, release) in self.apps.values().filter(|(_, release)| is_kept(config, release)) {
            artifacts.push(code(config, release).map_err(|failure| failure.message)?.artifact().clone());
        }
        Ok(artifacts)
    }
}

impl ServiceState {
    /// What is desired now.
    pub fn want(&mut self, service: Option<Service>) {
        self.wanted = service;
        if self.wanted.is_none() {
            self.due = None;
        }
    }

    /// Whether nothing is desired and nothing runs any more, but something is still installed or held.
    pub fn is_ended(&self) -> bool {
        self.wanted.is_none() && self.run.is_none()
    }

    /// Whether a run may begin as far as the one before and its fault are concerned.
    pub fn is_free(&self) -> bool {
        self.run.is_none() && self.held.is_none() && self.reading.is_none()
    }

    /// Whether it runs this app, or has it as an alternate.
    pub fn uses(&self, app: &AppId) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.apps.contains_key(app))
    }

    /// When what is current is to run for the first time, or after what came before it.
    fn first_due(&self, now_ms: u64) -> Option<u64> {
        let service = &self.opened.as_ref()?.service;
        match service.trigger {
            Trigger::Once => (service.started > self.kept.ran).then_some(now_ms),
            Trigger::EveryMs(_) => Some(self.due.unwrap_or(now_ms)),
        }
    }

    /// When it is to run next, after a run that began at `began_ms`: missed runs are not made up for.
    pub fn next_due(&self, began_ms: u64, now_ms: u64) -> Option<u64> {
        match self.opened.as_ref()?.service.trigger {
            Trigger::Once => None,
            Trigger::EveryMs(every) => Some((began_ms + every.max(EVERY_MS_MIN)).max(now_ms)),
        }
    }

    /// Takes what is installed for what runs.
    pub fn set_current(&mut self, installed: Installed, opened: Opened, now_ms: u64) {
        let before = self.kept.current.replace(installed);
        if before.is_some() {
            self.kept.before = before;
        }
        self.opened = Some(opened);
        self.due = self.first_due(now_ms);
        self.waits.clear();
    }
}

impl Core {
    pub(crate) fn service(&mut self, id: ServiceId) -> &mut ServiceState {
        self.services.entry(id).or_default()
    }

    pub(crate) fn keep_service(&mut self, id: &ServiceId) {
        let kept = self.service(id.clone()).kept.clone();
        self.keep(format!("service/{id}"), &kept);
    }

    /// At boot: what was current is verified and is due.
    pub(crate) fn reopen_services(&mut self) {
        let mut services = std::mem::take(&mut self.services);
        for service in services.values_mut() {
            let Some(installed) = &service.kept.current else { continue };
            let opened = installed.open(&self.publishers);
            match opened.and_then(|opened| self.unfit(&opened).map(|_| opened)) {
                Ok(opened) => {
                    service.opened = Some(opened);
                    service.due = service.first_due(self.now.mono_ms);
                }
                Err(error) => service.waits = error,
            }
        }
        self.services = services;
    }

    /// A service that is gone takes its faults, its apps, what they keep and its files with it.
    pub(crate) fn service_ended(&mut self, id: &ServiceId) {
        let Some(ServiceState { kept: Kept { current: Some(current), before, .. }, .. }) =
            self.services.remove(id)
        else {
            return;
        };
        self.forget(format!("service/{id}"));
        let apps: BTreeSet<&AppId> =
            current.apps.keys().chain(before.iter().flat_map(|b| b.apps.keys())).collect();
        apps.into_iter().for_each(|app| self.forget_keys(app));
        self.record_event("service-removed", [("service", id.as_str().into())]);
        self.close_faults(id, How::Moot);
        self.unload_unused();
        self.sweep();
    }

    /// Forgets what an app keeps, unless another service uses it or is to.
    fn forget_keys(&mut self, app: &AppId) {
        let wants = |service: &ServiceState| {
            service.wanted.as_ref().is_some_and(|wanted| wanted.apps.contains_key(app))
        };
        if !self.services.values().any(|service| service.uses(app) || wants(service)) {
            self.step.persist.push(Persist::DeleteKeys(app.clone()));
        }
    }

    /// What it waited for is there: it runs now, or as soon as the run under way has ended.
    pub(crate) fn run_at_once(&mut self, id: &ServiceId) {
        let now_ms = self.now.mono_ms;
        let service = self.service(id.clone());
        service.held = None;
        service.waits.clear();
        if service.opened.is_some() && service.run.is_none() {
            service.due = Some(now_ms);
        }
    }

    fn unload_unused(&mut self) {
        let used = |app: &AppId| self.services.values().any(|service| service.uses(app));
        let unused: Vec<AppId> = self.apps.keys().filter(|app| !used(app)).cloned().collect();
        for app in unused {
            self.unload(&app);
            self.app(app).fetching = false;
        }
    }

    /// The service in whose run this app is being called.
    pub(crate) fn service_running(&self, app: &AppId) -> Option<ServiceId> {
        let call = self.apps.get(app)?.calling?;
        let calls = |service: &ServiceState| service.run.as_ref().is_some_and(|run| run.is_calling(call));
        self.services.iter().find(|(_, service)| calls(service)).map(|(id, _)| id.clone())
    }
}
