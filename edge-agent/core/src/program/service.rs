//! Services: what is wanted, what is installed, when the next run is due.
//!
//! A service runs what is `current`, whole: script, event list and apps of one desired state. What is newly wanted
//! becomes current between two runs, once all of it is on disk; until then, and without any network, the current one
//! goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::desired::{EVERY_MS_MIN, Service, Trigger, Work};
use flotilla_schemas::fault::Failure;
use flotilla_schemas::publisher::Publishers;
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::sign::Signed;
use flotilla_schemas::{AppId, Artifact, Digest, FaultId};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::fit::{code, is_kept};
use super::run::Run;
use super::waits::Waits;
use crate::config::Config;
use crate::effect::EffectId;

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
    /// Why it waits, if it does.
    pub waits: Option<Waits>,
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
    pub fn open(&self, publishers: &Publishers) -> Result<Opened, Waits> {
        let script = self.script.as_ref().map(|script| publishers.open(script)).transpose()?.map(Arc::new);
        let open = |(app, signed): (&AppId, &Signed<Release>)| {
            Ok((app.clone(), (signed.digest(), Arc::new(publishers.open(signed)?))))
        };
        let apps = self.apps.iter().map(open).collect::<Result<_, Waits>>()?;
        Ok(Opened { service: self.service.clone(), script, apps })
    }
}

impl Opened {
    /// Definition, event list and script; none where an app runs by itself.
    pub fn script_files(&self) -> Result<Option<[Artifact; 3]>, Waits> {
        let (Work::Script { events, .. }, Some(script)) = (&self.service.work, &self.script) else {
            return Ok(None);
        };
        let (name, version) = (script.script.clone(), script.version.to_string());
        let lacking = || Waits::NoEvents { script: name, version, events: events.clone() };
        let list = script.events.get(events).ok_or_else(lacking)?;
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
    pub fn artifacts(&self, config: &Config) -> Result<Vec<Artifact>, Waits> {
        let mut artifacts: Vec<Artifact> = self.script_files()?.into_iter().flatten().collect();
        let unfit = |failure: Failure| Waits::Unfit(failure.message);
        for (_, release) in self.apps.values().filter(|(_, release)| is_kept(config, release)) {
            artifacts.push(code(config, release).map_err(unfit)?.artifact().clone());
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

    /// What is wanted and is not current.
    pub fn outstanding(&self) -> Option<&Service> {
        let current = self.kept.current.as_ref().map(|installed| &installed.service);
        self.wanted.as_ref().filter(|wanted| Some(*wanted) != current)
    }

    /// Whether nothing is desired and nothing runs any more.
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

    /// Whether it is to run this app.
    pub fn wants(&self, app: &AppId) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.apps.contains_key(app))
    }

    /// When what is current is to run for the first time, or after what came before it.
    pub fn first_due(&self, now_ms: u64) -> Option<u64> {
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
            Trigger::EveryMs(every) => Some(began_ms.saturating_add(every.max(EVERY_MS_MIN)).max(now_ms)),
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
        (self.held, self.waits) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn every(every_ms: u64) -> ServiceState {
        let (installed, opened) = samples::installed("meter", Trigger::EveryMs(every_ms));
        let mut state = ServiceState::default();
        state.set_current(installed, opened, 0);
        state
    }

    #[test]
    fn missed_runs_are_not_made_up_for_and_no_period_is_too_long_or_too_short() {
        assert_eq!(every(1_000).next_due(100, 200), Some(1_100));
        assert_eq!(every(1_000).next_due(100, 5_000), Some(5_000));
        assert_eq!(every(1).next_due(100, 100), Some(100 + EVERY_MS_MIN));
        assert_eq!(every(u64::MAX).next_due(100, 100), Some(u64::MAX));
    }

    #[test]
    fn what_runs_once_runs_once_for_each_start() {
        let (installed, opened) = samples::installed("meter", Trigger::Once);
        let mut state = ServiceState::default();
        state.set_current(installed, opened, 7);
        assert_eq!(state.due, Some(7));
        state.kept.ran = 1;
        assert_eq!(state.first_due(8), None);
    }

    #[test]
    fn what_another_key_signed_is_not_opened() {
        let (mut installed, _) = samples::installed("meter", Trigger::Once);
        let keys = samples::config().fleet.publishers();
        assert!(installed.open(&keys).is_ok());
        installed.apps.insert("meter".parse().unwrap(), samples::app("meter").signed_by("stranger"));
        assert!(matches!(installed.open(&keys), Err(Waits::Refused(_))));
    }
}
