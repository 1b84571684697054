//! Installation: what is wanted is brought to disk, and becomes what runs between two runs.
//!
//! Each step is planned from what is there, and says what it waits for. What runs is not touched before all of what
//! takes its place is at hand.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::desired::{Service, Work};
use flotilla_schemas::fault::Failure;
use flotilla_schemas::{AppId, Digest, ServiceId};

use super::fit::unfit;
use super::service::{Installed, Opened};
use super::waits::Waits;
use super::{Happening, Programs};
use crate::effect::Act;
use crate::out::Out;
use crate::wanted::Catalog;

impl Programs {
    /// One step of every installation that is due. Apps that are wanted and cannot run here are given back, with why.
    pub(super) fn install_due(&mut self, catalog: &mut Catalog, out: &mut Out) -> BTreeMap<AppId, Failure> {
        let outstanding = self.services.iter().filter_map(|(id, service)| Some((id, service.outstanding()?)));
        let due: Vec<(ServiceId, Service)> =
            outstanding.map(|(id, wanted)| (id.clone(), wanted.clone())).collect();
        let mut cannot = BTreeMap::new();
        for (id, wanted) in due {
            let waits = self.install(&id, &wanted, &mut cannot, catalog, out).err();
            self.set_waits(&id, waits);
        }
        cannot
    }

    /// One step towards the wanted service being current, or what it waits for.
    fn install(
        &mut self,
        id: &ServiceId,
        wanted: &Service,
        cannot: &mut BTreeMap<AppId, Failure>,
        catalog: &mut Catalog,
        out: &mut Out,
    ) -> Result<(), Waits> {
        let (installed, opened) = documents(wanted, catalog)?;
        let unfit = unfit(&out.config, &opened)?;
        if let Some(failure) = unfit.values().next() {
            let waits = Waits::Unfit(failure.message.clone());
            cannot.extend(unfit);
            return Err(waits);
        }
        let artifacts = opened.artifacts(&out.config)?;
        let missing = artifacts.iter().filter(|artifact| !self.downloads.fetch(artifact, out)).count();
        if missing > 0 {
            return Err(Waits::Files { missing, of: artifacts.len() });
        }
        let Some(service) = self.services.get_mut(id) else { return Ok(()) };
        if service.run.is_some() {
            return Err(Waits::Run);
        }
        let version = opened.version();
        service.set_current(installed, opened, out.now.mono_ms);
        service.keep(id, out);
        out.record_event("installed", [("service", id.as_str().into()), ("version", version.into())]);
        self.happened.push(Happening::Installed(id.clone()));
        self.sweep_due = true;
        (out.inventory_due, out.status_due) = (true, true);
        Ok(())
    }

    /// Deletes from disk what no service needs: not for what runs, not for the way back, not for what is wanted.
    pub(super) fn sweep(&mut self, catalog: &mut Catalog, out: &mut Out) {
        let wanted = self.services.values().filter_map(|service| service.wanted.as_ref());
        let wanted: Vec<Opened> =
            wanted.filter_map(|service| Some(documents(service, catalog).ok()?.1)).collect();
        let before = self.services.values().filter_map(|service| service.kept.before.as_ref());
        let before: Vec<Opened> =
            before.filter_map(|installed| installed.open(catalog.publishers()).ok()).collect();
        let current = self.services.values().filter_map(|service| service.opened.as_ref());
        let mut keep: BTreeSet<Digest> = BTreeSet::new();
        for opened in current.chain(&wanted).chain(&before) {
            let artifacts = opened.artifacts(&out.config).unwrap_or_default();
            keep.extend(artifacts.iter().map(|artifact| artifact.digest));
        }
        keep.extend(self.fetched_in_use(out));
        self.downloads.keep_only(&keep, out);
        out.effect(Act::Sweep(keep.into_iter().collect()));
    }
}

/// The signed documents of a wanted service, and the same verified.
fn documents(wanted: &Service, catalog: &mut Catalog) -> Result<(Installed, Opened), Waits> {
    let (mut signed_script, mut script) = (None, None);
    if let Work::Script { release, .. } = &wanted.work {
        (signed_script, script) = (Some(catalog.signed_script(*release)?), Some(catalog.script(*release)?));
    }
    let (mut signed_apps, mut apps) = (BTreeMap::new(), BTreeMap::new());
    for (app, digest) in &wanted.apps {
        let release = catalog.release(*digest)?;
        if release.app() != app {
            return Err(Waits::OtherApp { app: app.clone(), of: release.app().clone() });
        }
        signed_apps.insert(app.clone(), catalog.signed_release(*digest)?);
        apps.insert(app.clone(), (*digest, release));
    }
    let installed = Installed { service: wanted.clone(), script: signed_script, apps: signed_apps };
    Ok((installed, Opened { service: wanted.clone(), script, apps }))
}
