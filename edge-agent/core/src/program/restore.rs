//! Restoration: what a measure does to the programs, and what a person's restart does.
//!
//! Nothing that works is deleted: a reinstallation throws away only the files that the fault concerns, and an alternate
//! takes over only if it is at hand. What is done here was decided, and journaled, elsewhere.

use std::collections::BTreeSet;

use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::Fault;
use flotilla_schemas::{AppId, FaultId, ServiceId};

use super::app::Kept;
use super::fit::{code, is_unfit};
use super::waits::Waits;
use super::{Happening, Programs};
use crate::out::Out;

/// What a person's restart came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Restarted {
    /// It was in quarantine.
    Released(AppId),
    /// It runs again in place of this other.
    InPlaceOf(AppId, AppId),
    /// As ever.
    Anew(AppId),
}

impl std::fmt::Display for Restarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Restarted::Released(app) => write!(f, "{app} is released from quarantine and started anew"),
            Restarted::InPlaceOf(app, other) => write!(f, "{app} runs again in place of {other}"),
            Restarted::Anew(app) => write!(f, "{app} is started anew"),
        }
    }
}

/// No service uses the app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no service of this edge uses {0}")]
pub(crate) struct Unused(pub AppId);

impl Programs {
    /// Does what the measure says; whether there was something to do.
    pub fn carry_out(&mut self, fault: &Fault, measure: Measure, out: &mut Out) -> bool {
        let app = &fault.app;
        match measure {
            Measure::Tell | Measure::Unknown => return false,
            // An app that cannot run here at all is in no run that could be restored.
            _ if is_unfit(&fault.kind) && fault.service.is_none() => return false,
            // The edge itself cannot be put away, only its apps.
            Measure::Quarantine if app.is_system() => return false,
            Measure::Restart => self.apps.unload(app, out),
            Measure::Reinstall => {
                self.apps.unload(app, out);
                self.reinstall(fault, out);
            }
            Measure::Replace => return self.replace(fault, out),
            Measure::Quarantine => {
                self.apps.unload(app, out);
                let replaced_by = self.apps.get(app).and_then(|app| app.kept.replaced_by.clone());
                self.apps.keep(app, Kept { replaced_by, quarantined: true }, out);
            }
        }
        true
    }

    /// The files that the fault concerns are thrown away; they are fetched again before the next run.
    fn reinstall(&mut self, fault: &Fault, out: &mut Out) {
        let service = fault.service.as_ref().and_then(|id| self.services.get(id));
        let Some(opened) = service.and_then(|service| service.opened.as_ref()) else { return };
        let files = if fault.app.is_system() {
            opened.script_files().ok().flatten().map(Vec::from).unwrap_or_default()
        } else {
            let release = opened.apps.get(&fault.app).map(|(_, release)| code(&out.config, release));
            release.into_iter().flatten().map(|code| code.artifact().clone()).collect()
        };
        files.iter().for_each(|file| self.downloads.lost(file, out));
    }

    /// Puts the first alternate that is at hand in the app's place; false when there is none.
    fn replace(&mut self, fault: &Fault, out: &mut Out) -> bool {
        let Some(other) = self.alternate(fault) else {
            out.record_event("no-alternate", [("app", fault.app.as_str().into())]);
            return false;
        };
        self.apps.unload(&fault.app, out);
        let quarantined = self.apps.get(&fault.app).is_some_and(|app| app.kept.quarantined);
        self.apps.keep(&fault.app, Kept { replaced_by: Some(other.clone()), quarantined }, out);
        out.record_event("replaced", [("app", fault.app.as_str().into()), ("by", other.as_str().into())]);
        true
    }

    fn alternate(&self, fault: &Fault) -> Option<AppId> {
        let apps = &self.services.get(fault.service.as_ref()?)?.opened.as_ref()?.apps;
        let usable = |app: &&AppId| {
            let quarantined = self.apps.get(app).is_some_and(|app| app.kept.quarantined);
            apps.contains_key(*app) && !quarantined && self.apps.standing_for(app) != fault.app
        };
        apps.get(&fault.app)?.1.manifest.alternates.iter().find(usable).cloned()
    }

    /// The service's run failed: it does not run again before this fault was treated.
    pub fn hold(&mut self, id: &ServiceId, fault: FaultId) {
        if let Some(service) = self.services.get_mut(id) {
            service.waits = Some(Waits::Fault(fault.clone()));
            service.held = Some(fault);
        }
    }

    /// The fault that held the service was treated: it runs again after a pause.
    pub fn try_again(&mut self, id: &ServiceId, fault: &FaultId, pause_ms: u64, now_ms: u64) {
        let Some(service) = self.services.get_mut(id).filter(|service| service.held.as_ref() == Some(fault))
        else {
            return;
        };
        service.held = None;
        service.due = service.opened.is_some().then_some(now_ms + pause_ms);
        service.waits = (pause_ms > 0).then(|| Waits::Again(fault.clone()));
    }

    /// Services of the app that wait to be tried again need not wait longer: what they lacked may have been the device.
    pub fn try_sooner(&mut self, app: &AppId, faulty: &BTreeSet<ServiceId>, now_ms: u64) {
        let waits = self.services.iter_mut().filter(|(id, state)| faulty.contains(id) && state.uses(app));
        for (_, state) in waits.filter(|(_, state)| state.held.is_none() && state.run.is_none()) {
            state.due = state.due.map(|due| due.min(now_ms));
        }
    }

    /// A person's restart also undoes quarantine and replacement.
    pub fn restart_app(&mut self, id: &AppId, out: &mut Out) -> Result<Restarted, Unused> {
        let users = self.services.iter().filter(|(_, service)| service.uses(id));
        let users: Vec<ServiceId> = users.map(|(id, _)| id.clone()).collect();
        if users.is_empty() {
            return Err(Unused(id.clone()));
        }
        let kept = self.apps.get(id).map(|app| app.kept.clone()).unwrap_or_default();
        self.apps.keep(id, Kept::default(), out);
        self.apps.unload(id, out);
        for service in users {
            self.run_at_once(&service, out.now.mono_ms);
            self.happened.push(Happening::Installed(service));
        }
        Ok(match kept {
            Kept { quarantined: true, .. } => Restarted::Released(id.clone()),
            Kept { replaced_by: Some(other), .. } => Restarted::InPlaceOf(id.clone(), other),
            Kept { .. } => Restarted::Anew(id.clone()),
        })
    }

    /// What it waited for is there: it runs now, or as soon as the run under way has ended.
    fn run_at_once(&mut self, id: &ServiceId, now_ms: u64) {
        let Some(service) = self.services.get_mut(id) else { return };
        (service.held, service.waits) = (None, None);
        if service.opened.is_some() && service.run.is_none() {
            service.due = Some(now_ms);
        }
    }
}
