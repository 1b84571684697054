//! Restoration: a measure is journaled, then done, then watched.
//!
//! Nothing is done that is not on disk as decided, and nothing that works is deleted: a reinstallation throws away
//! only the files that the fault concerns, and an alternate takes over only if it is at hand.

use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::{Fault, Kind};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::{AppId, CenterId, FaultId};

use crate::app::code;
use crate::core::Core;
use crate::fault::{OpenFault, Phase};
use crate::profile::is_unfit;

/// Attempts that are made without a pause; each later one waits twice as long as the one before.
const PROMPT_ATTEMPTS: u32 = 2;

/// The longest pause before a service that fails is run again, in milliseconds.
const PAUSE_LAST_MS: u64 = 300_000;

impl Core {
    /// Carries a measure out: journaled first, then done, then watched.
    pub(crate) fn restore(&mut self, id: &FaultId, measure: Measure, cause: Kind, center: Option<CenterId>) {
        let Some(fault) = self.faults.get(id).map(|open| open.fault.clone()) else { return };
        let cause_text = cause.to_string();
        let (attempt, by) = (fault.attempt, center);
        self.record(
            Lane::Fault,
            Body::Restoration { fault: id.clone(), attempt, measure, cause: cause_text, center: by },
        );
        let done = self.carry_out(&fault, measure);
        let quarantined = done && measure == Measure::Quarantine;
        let phase = if done && !quarantined { Phase::Watching } else { Phase::Told };
        if let Some(open) = self.faults.get_mut(id) {
            open.fault.tried.push(measure);
            (open.phase, open.cause, open.decide_at) = (phase, Some(cause), None);
        }
        self.keep_fault(id);
        if phase == Phase::Told {
            self.lanes.lane_mut(Lane::Fault).release();
        }
        if self.faults.get(id).is_some_and(OpenFault::was_reported) {
            self.report_fault(id);
        }
        if !quarantined {
            self.retry(&fault, phase);
        }
        self.reports.status_soon();
    }

    /// Does what the measure says; whether there was something to do.
    fn carry_out(&mut self, fault: &Fault, measure: Measure) -> bool {
        let app = &fault.app;
        match measure {
            Measure::Tell | Measure::Unknown => return false,
            // An app that cannot run here at all is in no run that could be restored.
            _ if is_unfit(&fault.kind) && fault.service.is_none() => return false,
            // The edge itself cannot be put away, only its apps.
            Measure::Quarantine if app.is_system() => return false,
            Measure::Restart => self.unload(app),
            Measure::Reinstall => {
                self.unload(app);
                self.reinstall(fault);
            }
            Measure::Replace => return self.replace(fault),
            Measure::Quarantine => {
                self.unload(app);
                self.app(app.clone()).kept.quarantined = true;
                self.keep_app(app);
            }
        }
        true
    }

    /// The files that the fault concerns are thrown away; they are fetched again before the next run.
    fn reinstall(&mut self, fault: &Fault) {
        let service = fault.service.as_ref().and_then(|id| self.services.get(id));
        let Some(opened) = service.and_then(|service| service.opened.clone()) else { return };
        let files = if fault.app.is_system() {
            opened.script_files().ok().flatten().map(Vec::from).unwrap_or_default()
        } else {
            let release = opened.apps.get(&fault.app).map(|(_, release)| code(&self.config, release));
            release.into_iter().flatten().map(|code| code.artifact().clone()).collect()
        };
        for file in files {
            self.lost(&file);
        }
    }

    /// Puts the first alternate that is at hand in the app's place; false when there is none.
    fn replace(&mut self, fault: &Fault) -> bool {
        let service = fault.service.as_ref().and_then(|id| self.services.get(id));
        let apps = service.and_then(|service| service.opened.as_ref()).map(|opened| opened.apps.clone());
        let apps = apps.unwrap_or_default();
        let alternates = apps.get(&fault.app).map(|(_, release)| release.manifest.alternates.clone());
        let usable = |app: &AppId, core: &Core| {
            let quarantined = core.apps.get(app).is_some_and(|app| app.kept.quarantined);
            apps.contains_key(app) && !quarantined && core.standing_for(app) != fault.app
        };
        let Some(other) = alternates.unwrap_or_default().into_iter().find(|app| usable(app, self)) else {
            let app = fault.app.as_str().into();
            self.record_event("no-alternate", [("app", app)]);
            return false;
        };
        self.unload(&fault.app);
        self.app(fault.app.clone()).kept.replaced_by = Some(other.clone());
        self.keep_app(&fault.app);
        self.record_event("replaced", [("app", fault.app.as_str().into()), ("by", other.as_str().into())]);
        true
    }

    /// Runs the service again that the fault stopped: the first times at once, then ever more seldom.
    fn retry(&mut self, fault: &Fault, phase: Phase) {
        let Some(id) = &fault.service else { return };
        let patience = if phase == Phase::Told { 0 } else { PROMPT_ATTEMPTS };
        let doublings = fault.attempt.saturating_sub(patience);
        let pause = if doublings == 0 { 0 } else { (500 << doublings.min(16)).min(PAUSE_LAST_MS) };
        let due = self.now.mono_ms + pause;
        let service = self.service(id.clone());
        if service.held.as_ref() == Some(&fault.fault) {
            service.held = None;
            service.due = service.opened.is_some().then_some(due);
            service.waits =
                if pause > 0 { format!("fault {} is tried again", fault.fault) } else { String::new() };
        }
    }
}
