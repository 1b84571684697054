//! Installation: what is wanted is brought to disk, and becomes what runs between two runs.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::desired::{Service, Work};
use flotilla_schemas::{AppId, Digest, ServiceId};

use crate::core::Core;
use crate::effect::Act;
use crate::input::Failure;
use crate::service::{Installed, Opened};

impl Core {
    pub(crate) fn install_due(&mut self) {
        let open = |service: &crate::service::ServiceState| {
            let current = service.kept.current.as_ref().map(|installed| &installed.service);
            service.wanted.clone().filter(|wanted| Some(wanted) != current)
        };
        let due: Vec<(ServiceId, Service)> =
            self.services.iter().filter_map(|(id, service)| Some((id.clone(), open(service)?))).collect();
        let mut unfit = BTreeMap::new();
        for (id, wanted) in due {
            let waits = match self.install(&id, &wanted, &mut unfit) {
                Ok(()) => String::new(),
                Err(waits) => waits,
            };
            self.service(id).waits = waits;
        }
        self.report_unfit(unfit);
    }

    /// One step towards the wanted service being current; in words what it waits for. Apps that cannot run here are
    /// added to `unfit`.
    fn install(
        &mut self,
        id: &ServiceId,
        wanted: &Service,
        unfit: &mut BTreeMap<AppId, Failure>,
    ) -> Result<(), String> {
        let (installed, opened) = self.documents(wanted)?;
        let cannot = self.unfit(&opened)?;
        if let Some(failure) = cannot.values().next() {
            let waits = failure.message.clone();
            unfit.extend(cannot);
            return Err(waits);
        }
        let artifacts = opened.artifacts(&self.config)?;
        let missing = artifacts.iter().filter(|artifact| !self.fetch(artifact)).count();
        if missing > 0 {
            return Err(format!("{missing} of {} files are on their way", artifacts.len()));
        }
        if self.service(id.clone()).run.is_some() {
            return Err("the run under way".to_owned());
        }
        let version = opened.version();
        let now_ms = self.now.mono_ms;
        let service = self.service(id.clone());
        service.set_current(installed, opened, now_ms);
        service.held = None;
        self.keep_service(id);
        self.record_event("installed", [("service", id.as_str().into()), ("version", version.into())]);
        self.retry_faults(id);
        self.sweep();
        self.reports.inventory_soon();
        Ok(())
    }

    /// The signed documents of a wanted service, verified.
    fn documents(&mut self, wanted: &Service) -> Result<(Installed, Opened), String> {
        let script = match &wanted.work {
            Work::Script { release, .. } => Some((*release, self.script_release(*release)?)),
            Work::App(_) => None,
        };
        let mut apps = BTreeMap::new();
        for (app, digest) in &wanted.apps {
            let release = self.release(*digest)?;
            if release.app() != app {
                return Err(format!("the release {} is of {}, not of {app}", digest.short(), release.app()));
            }
            apps.insert(app.clone(), (*digest, release));
        }
        let (release, script) = script.unzip();
        let opened = Opened { service: wanted.clone(), script, apps };
        let lacking = || "the catalog has changed".to_owned();
        let catalog = self.catalog.as_ref().ok_or_else(lacking)?;
        let signed = |digest: &Digest| catalog.releases.get(digest).cloned().ok_or_else(lacking);
        let apps = wanted.apps.iter().map(|(app, digest)| Ok((app.clone(), signed(digest)?)));
        let script = release.map(|release| catalog.scripts.get(&release).cloned().ok_or_else(lacking));
        let installed = Installed {
            service: wanted.clone(),
            script: script.transpose()?,
            apps: apps.collect::<Result<_, String>>()?,
        };
        Ok((installed, opened))
    }

    /// Deletes from disk what no service needs: not for what runs, not for the way back, not for what is wanted.
    pub(crate) fn sweep(&mut self) {
        let mut keep: BTreeSet<Digest> = BTreeSet::new();
        let wanted: Vec<Service> =
            self.services.values().filter_map(|service| service.wanted.clone()).collect();
        let wanted: Vec<Opened> =
            wanted.iter().filter_map(|service| Some(self.documents(service).ok()?.1)).collect();
        let before = self.services.values().filter_map(|service| service.kept.before.as_ref());
        let before: Vec<Opened> =
            before.filter_map(|installed| installed.open(&self.publishers).ok()).collect();
        let current = self.services.values().filter_map(|service| service.opened.as_ref());
        for opened in current.chain(&wanted).chain(&before) {
            keep.extend(
                opened.artifacts(&self.config).unwrap_or_default().iter().map(|artifact| artifact.digest),
            );
        }
        keep.extend(self.fetched_in_use());
        self.give_up_downloads(&keep);
        self.effect(Act::Sweep(keep.into_iter().collect()));
    }
}
