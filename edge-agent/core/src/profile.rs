//! What this edge leaves out, and what cannot run on it.
//!
//! A profile is chosen when the edge is started, within what it was built with: a part whose feature is off is
//! compiled out, because what reaches it is never true.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::desired::Work;
use flotilla_schemas::fault::{How, Kind, kind};
use flotilla_schemas::{AppId, FaultId, ServiceId};

use crate::core::Core;
use crate::input::Failure;
use crate::service::Opened;

/// What a service with a script is told on an edge without scripts.
pub(crate) const NO_SCRIPTS: &str =
    "this edge runs no scripts; start an app by itself: flotilla service start NAME --app APP --on EDGE";

/// Whether it keeps an app from ever running here.
pub(crate) fn is_unfit(kind: &Kind) -> bool {
    [kind::RUNTIME, kind::TOO_LARGE].contains(&kind.as_str())
}

impl Core {
    /// Whether faults are opened, answered and treated here, rather than recorded alone.
    pub(crate) fn treats_faults(&self) -> bool {
        cfg!(feature = "reliability") && self.config.profile.reliability
    }

    /// Where faults are not treated: what failed is an event, and the next run is due as ever.
    pub(crate) fn record_failure(
        &mut self,
        service: Option<&ServiceId>,
        app: &AppId,
        failure: Failure,
        place: Option<String>,
    ) {
        let service = service.map_or("", ServiceId::as_str);
        self.record_event(
            "failed",
            [
                ("app", app.as_str().into()),
                ("kind", failure.kind.as_str().into()),
                ("message", failure.message.into()),
                ("service", service.into()),
                ("step", place.unwrap_or_default().into()),
            ],
        );
    }

    /// At boot of an edge that treats faults no more: those that it left open are nobody's.
    pub(crate) fn drop_faults(&mut self) {
        if !self.treats_faults() {
            let open: Vec<FaultId> = self.faults.keys().cloned().collect();
            open.iter().for_each(|id| self.close_fault(id, How::Moot));
        }
    }

    /// What of a wanted service can never run here: by app, why.
    pub(crate) fn unfit(&self, opened: &Opened) -> Result<BTreeMap<AppId, Failure>, String> {
        match &opened.service.work {
            Work::Script { .. } if !(cfg!(feature = "scripts") && self.config.profile.scripts) => {
                return Err(NO_SCRIPTS.to_owned());
            }
            Work::App(app) if opened.own_call().is_none() => {
                return Err(format!("{app} declares no operation of its own, under [run] in its app.toml"));
            }
            Work::Script { .. } | Work::App(_) => {}
        }
        let releases = opened.apps.values().map(|(_, release)| release);
        Ok(releases.filter_map(|release| Some((release.app().clone(), self.fits(release).err()?))).collect())
    }

    /// A fault for each app that is wanted and cannot run here; it closes when that is over.
    pub(crate) fn report_unfit(&mut self, unfit: BTreeMap<AppId, Failure>) {
        let open: BTreeMap<(AppId, Kind), FaultId> = self
            .faults
            .iter()
            .filter(|(_, open)| open.fault.service.is_none() && is_unfit(&open.fault.kind))
            .map(|(id, open)| ((open.fault.app.clone(), open.fault.kind.clone()), id.clone()))
            .collect();
        let now = unfit.iter().map(|(app, failure)| (app.clone(), failure.kind.clone())).collect();
        let before: BTreeSet<(AppId, Kind)> = std::mem::replace(&mut self.unfit, now);
        let over: Vec<_> = open.iter().filter(|(key, _)| !self.unfit.contains(*key)).collect();
        over.into_iter().for_each(|(_, id)| self.close_fault(id, How::Cured));
        for (app, failure) in unfit {
            let key = (app.clone(), failure.kind.clone());
            if !open.contains_key(&key) && !before.contains(&key) {
                self.own_fault(app, failure);
            }
        }
    }
}
