//! Runs: a service's script is read afresh, planned as a whole, and its operations are called in order; or the one
//! operation is called that an app declares for itself.
//!
//! Nothing is called before the whole plan holds, and nothing is called that the plan does not name. A run that
//! fails is over; the service is held until its fault was treated, and then it is run again from the beginning.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_schemas::desired::Trigger;
use flotilla_schemas::fault::{How, kind};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Artifact, Digest, ServiceId, Value};

use crate::app::{code, is_kept, is_transient};
use crate::core::Core;
use crate::effect::{Act, Code, EffectId};
use crate::input::{Failure, Outcome};
use crate::open::{CALL_MARGIN_MS, FILES_MS, LOAD_MS, Waiter, overdue};
use crate::plan::{Call, plan};
use crate::service::ServiceState;

/// A run of a service.
#[derive(Debug)]
pub(crate) struct Run {
    began_ms: u64,
    phase: Phase,
    /// Calls that were made.
    calls: u64,
    /// Apps that it used: the transient ones among them go with it.
    apps: BTreeSet<AppId>,
    /// It waits for something, and while it does it holds no app in memory.
    waits: bool,
    /// What it waits for is a file that there is room for: whoever stands behind it in the row may pass.
    fetches: bool,
}

#[derive(Debug)]
enum Phase {
    /// The script's files are being read.
    Reading(EffectId),
    /// These calls are left; the first is next.
    Ready(std::vec::IntoIter<Call>),
    /// The first of the calls that are left waits for its app to be loaded.
    Loading(std::vec::IntoIter<Call>, EffectId),
    /// A call is under way, at this place of the script; these calls are left.
    Calling(std::vec::IntoIter<Call>, EffectId, Option<String>),
}

impl Run {
    pub fn is_calling(&self, call: EffectId) -> bool {
        matches!(self.phase, Phase::Calling(_, id, _) if id == call)
    }

    fn is_loading(&self, load: EffectId) -> bool {
        matches!(self.phase, Phase::Loading(_, id) if id == load)
    }

    /// Whether it is under way with this app, so that the app is to stay in memory.
    pub fn holds(&self, app: &AppId) -> bool {
        !self.waits && self.apps.contains(app)
    }

    /// Whether it waits for nothing but a file that is on its way.
    pub fn fetches(&self) -> bool {
        self.fetches
    }

    /// Whether it is under way with an app.
    pub fn is_moving(&self) -> bool {
        !self.waits && !self.apps.is_empty()
    }
}

impl Core {
    pub(crate) fn services_due(&mut self) {
        let ids: Vec<ServiceId> = self.services.keys().cloned().collect();
        for id in ids {
            self.start_if_due(&id);
            self.continue_run(&id);
        }
        // Whoever ended above may have made room for one that was looked at before.
        loop {
            let row = self.turns.clone();
            row.iter().for_each(|id| self.continue_run(id));
            if self.turns == row {
                return;
            }
        }
    }

    pub(crate) fn services_wake(&self) -> Option<u64> {
        let free = |service: &&ServiceState| service.is_free() && !service.fetching;
        self.services.values().filter(free).filter_map(|service| service.due).min()
    }

    fn start_if_due(&mut self, id: &ServiceId) {
        let now = self.now.mono_ms;
        let service = self.service(id.clone());
        let due = service.due.is_some_and(|due| due <= now) && service.is_free();
        let Some(opened) = service.opened.as_ref().filter(|_| due) else { return };
        let files = match opened.script_files() {
            Ok(files) => files,
            Err(waits) => {
                service.due = None;
                service.waits = waits;
                return;
            }
        };
        let missing = files.iter().flatten().filter(|file| !self.fetch(file)).count();
        let service = self.service(id.clone());
        service.fetching = missing > 0;
        if missing > 0 {
            service.waits = format!("{missing} files of its script are on their way");
            return;
        }
        service.due = None;
        service.waits.clear();
        self.begin_run(id, files);
    }

    /// A script is read first; an app's own operation is called at once.
    fn begin_run(&mut self, id: &ServiceId, files: Option<[Artifact; 3]>) {
        let phase = match files {
            Some(files) => Phase::Reading(self.read_script(id, files)),
            None => {
                let own = self.services.get(id).and_then(|service| service.opened.as_ref()?.own_call());
                Phase::Ready(own.into_iter().collect::<Vec<_>>().into_iter())
            }
        };
        let (began_ms, apps) = (self.now.mono_ms, BTreeSet::new());
        let run = Run { began_ms, phase, calls: 0, apps, waits: false, fetches: false };
        self.service(id.clone()).run = Some(run);
    }

    fn read_script(&mut self, id: &ServiceId, files: [Artifact; 3]) -> EffectId {
        let act = Act::ReadScript(Box::new(files));
        let read = self.effect_for(Waiter::Script(id.clone()), act, Some(FILES_MS));
        self.service(id.clone()).reading = Some(read);
        read
    }

    pub(crate) fn script_read(&mut self, id: &ServiceId, read: EffectId, outcome: Outcome) {
        if let Some(service) = self.services.get_mut(id) {
            service.reading.take_if(|reading| *reading == read);
        }
        if !self.is_reading(id, read) {
            return;
        }
        let files = match outcome {
            Outcome::Script(files) => Ok(files),
            Outcome::Failed(failure) => Err(failure),
            _ => return,
        };
        match files.and_then(|files| plan(&files)) {
            Ok(calls) => self.set_phase(id, Phase::Ready(calls.into_iter())),
            Err(failure) => self.run_failed(id, AppId::system(), failure, None),
        }
    }

    /// The files do not come: the run fails, and the next one waits until they do.
    pub(crate) fn script_overdue(&mut self, id: &ServiceId, read: EffectId) {
        if self.is_reading(id, read) {
            let failure = overdue(kind::STORAGE_SLOW, "the disk");
            self.run_failed(id, AppId::system(), failure, None);
        }
    }

    fn is_reading(&self, id: &ServiceId, read: EffectId) -> bool {
        let run = self.services.get(id).and_then(|service| service.run.as_ref());
        run.is_some_and(|run| matches!(run.phase, Phase::Reading(of) if of == read))
    }

    fn set_phase(&mut self, id: &ServiceId, phase: Phase) {
        if let Some(run) = &mut self.service(id.clone()).run {
            run.phase = phase;
        }
    }

    /// Goes on with a run that waits for nothing but its turn.
    fn continue_run(&mut self, id: &ServiceId) {
        let Some(Run { phase: Phase::Ready(calls), .. }) = &mut self.service(id.clone()).run else { return };
        let mut calls = std::mem::take(calls);
        let Some(call) = calls.as_slice().first().cloned() else { return self.run_ended(id) };
        let prepared = self.prepare(id, &call);
        if let Some(run) = &mut self.service(id.clone()).run {
            run.waits = matches!(prepared, Prepared::Waits | Prepared::Fetches);
            run.fetches = matches!(prepared, Prepared::Fetches);
        }
        let phase = match prepared {
            Prepared::Loaded(app) => {
                calls.next();
                self.call(id, app, call, calls)
            }
            Prepared::Loading(load) => Phase::Loading(calls, load),
            Prepared::Waits | Prepared::Fetches => Phase::Ready(calls),
            Prepared::Failed(app, failure) => return self.run_failed(id, app, failure, call.place),
            Prepared::Quarantined(app) => return self.run_blocked(id, &app),
        };
        self.set_phase(id, phase);
    }

    /// Brings the app of a call into memory, one step at a time.
    fn prepare(&mut self, id: &ServiceId, call: &Call) -> Prepared {
        let app = self.standing_for(&call.app);
        let opened = self.services.get(id).and_then(|service| service.opened.as_ref());
        let Some((digest, release)) = opened.and_then(|opened| opened.apps.get(&app)).cloned() else {
            let text = format!("the service names no release of {app}");
            return Prepared::Failed(app, Failure::new(kind::SCRIPT_INVALID, text));
        };
        let state = self.app(app.clone());
        if state.kept.quarantined {
            return Prepared::Quarantined(app);
        }
        if state.is_busy() {
            return Prepared::Waits;
        }
        if state.loaded == Some(digest) {
            let may = self.may_go_on(id, &app, &release);
            return if may { Prepared::Loaded(app) } else { Prepared::Waits };
        }
        match self.fits(&release) {
            Err(failure) => Prepared::Failed(app, failure),
            Ok(code) => self.bring(id, app, digest, &release, code),
        }
    }

    fn bring(
        &mut self,
        id: &ServiceId,
        app: AppId,
        digest: Digest,
        release: &Arc<Release>,
        code: Code,
    ) -> Prepared {
        if !self.downloads.has(code.artifact()) {
            let file_bytes = self.file_bytes(code.artifact());
            if !self.take_turn(id, &app, file_bytes) {
                return Prepared::Waits;
            }
            self.fetch(code.artifact());
            self.app(app.clone()).fetching = true;
            self.service(id.clone()).waits = format!("{app} is on its way");
            return Prepared::Fetches;
        }
        if !self.take_turn(id, &app, self.memory_of(release)) {
            return Prepared::Waits;
        }
        self.leave_turn(id);
        self.service(id.clone()).waits.clear();
        let (grants, limits) = (release.manifest.grants.clone(), release.manifest.limits.clone());
        let act = Act::Load { app: app.clone(), code, grants, limits };
        let load = self.effect_for(Waiter::Load(app.clone()), act, Some(LOAD_MS));
        let memory_bytes = self.memory_of(release);
        let state = self.app(app);
        state.fetching = false;
        (state.loaded, state.loading, state.memory_bytes) = (None, Some((load, digest)), memory_bytes);
        state.deadline_ms = release.manifest.limits.deadline_ms;
        Prepared::Loading(load)
    }

    fn call(&mut self, id: &ServiceId, app: AppId, call: Call, left: std::vec::IntoIter<Call>) -> Phase {
        let Call { operation, args, place, .. } = call;
        let deadline_ms = self.app(app.clone()).deadline_ms;
        let act = Act::Call { app: app.clone(), operation, args };
        let patience_ms = u64::from(deadline_ms) + CALL_MARGIN_MS;
        let call = self.effect_for(Waiter::Call(app.clone()), act, Some(patience_ms));
        let state = self.app(app.clone());
        (state.calling, state.called) = (Some(call), call);
        (state.events, state.let_down) = (0, None);
        if let Some(run) = &mut self.service(id.clone()).run {
            run.calls += 1;
            run.apps.insert(app);
        }
        Phase::Calling(left, call, place)
    }

    pub(crate) fn loaded(&mut self, id: &AppId, load: EffectId, outcome: Outcome) {
        let app = self.app(id.clone());
        let Some((_, digest)) = app.loading.take_if(|(number, _)| *number == load) else { return };
        let failure = outcome.failure();
        if failure.is_none() {
            app.loaded = Some(digest);
            app.loads += 1;
        }
        if std::mem::take(&mut app.restart) {
            self.unload(id);
        }
        let waiting = self.go_on_after_load(id, load);
        if let (Some(service), Some(failure)) = (waiting, failure) {
            self.run_failed(&service, id.clone(), failure, None);
        }
    }

    /// The app does not come into memory: its run fails. It is busy until whoever loads it has given up too.
    pub(crate) fn load_overdue(&mut self, id: &AppId, load: EffectId) {
        self.cancel(id);
        if let Some(service) = self.go_on_after_load(id, load) {
            self.run_failed(&service, id.clone(), overdue(kind::DEADLINE, id.as_str()), None);
        }
    }

    /// The run that waited for this load, which waits no more.
    fn go_on_after_load(&mut self, id: &AppId, load: EffectId) -> Option<ServiceId> {
        self.services.iter_mut().find_map(|(service, state)| {
            let run = state.run.as_mut().filter(|run| run.is_loading(load))?;
            let Phase::Loading(calls, _) = &mut run.phase else { return None };
            run.phase = Phase::Ready(std::mem::take(calls));
            run.apps.insert(id.clone());
            Some(service.clone())
        })
    }

    pub(crate) fn called(&mut self, id: &AppId, call: EffectId, outcome: Outcome) {
        let Some(app) = self.apps.get_mut(id).filter(|app| app.calling == Some(call)) else { return };
        app.calling = None;
        let let_down = app.let_down.take();
        let failure = outcome.failure().map(|failure| failure.let_down(let_down));
        let restart = std::mem::take(&mut app.restart);
        if restart || failure.as_ref().is_some_and(|failure| failure.spent) {
            self.unload(id);
        }
        let running = self.go_on_after_call(call);
        if let (Some((service, place)), Some(failure)) = (running, failure) {
            self.run_failed(&service, id.clone(), failure, place);
        }
    }

    /// The app does not answer: its run fails. It is busy until its task has ended.
    pub(crate) fn call_overdue(&mut self, id: &AppId, call: EffectId) {
        self.cancel(id);
        if let Some((service, place)) = self.go_on_after_call(call) {
            self.run_failed(&service, id.clone(), overdue(kind::DEADLINE, id.as_str()), place);
        }
    }

    /// The run that waited for this call, which waits no more, and where in its script it is.
    fn go_on_after_call(&mut self, call: EffectId) -> Option<(ServiceId, Option<String>)> {
        self.services.iter_mut().find_map(|(service, state)| {
            let run = state.run.as_mut().filter(|run| run.is_calling(call))?;
            let Phase::Calling(calls, _, place) = &mut run.phase else { return None };
            let place = std::mem::take(place);
            run.phase = Phase::Ready(std::mem::take(calls));
            Some((service.clone(), place))
        })
    }

    fn run_ended(&mut self, id: &ServiceId) {
        let Some(run) = self.end_run(id) else { return };
        let now = self.now.mono_ms;
        self.schedule_next(id, run.began_ms);
        let fields = [
            ("service", Value::from(id.as_str())),
            ("calls", run.calls.into()),
            ("elapsed-ms", (now - run.began_ms.min(now)).into()),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.event(AppId::system(), "run".to_owned(), fields, Lane::Reading);
        self.close_faults(id, How::Cured);
    }

    /// The run that began then is done with: when the next one is due.
    fn schedule_next(&mut self, id: &ServiceId, began_ms: u64) {
        let now = self.now.mono_ms;
        let service = self.service(id.clone());
        service.waits.clear();
        service.due = service.next_due(began_ms, now);
        let once =
            service.opened.as_ref().map(|o| &o.service).filter(|service| service.trigger == Trigger::Once);
        if let Some(started) = once.map(|service| service.started) {
            service.kept.ran = started;
            self.keep_service(id);
        }
    }

    /// An app of the run is in quarantine: nothing runs until a person releases it.
    fn run_blocked(&mut self, id: &ServiceId, app: &AppId) {
        self.end_run(id);
        self.service(id.clone()).waits = format!("{app} is in quarantine; restart it to release it");
    }

    fn run_failed(&mut self, id: &ServiceId, app: AppId, failure: Failure, place: Option<String>) {
        let run = self.end_run(id);
        if self.treats_faults() {
            return self.failed(id, app, failure, place);
        }
        self.record_failure(Some(id), &app, failure, place);
        if let Some(run) = run {
            self.schedule_next(id, run.began_ms);
        }
    }

    /// The run is over, however it went: its transient apps leave memory and disk.
    pub(crate) fn end_run(&mut self, id: &ServiceId) -> Option<Run> {
        let run = self.service(id.clone()).run.take()?;
        self.leave_turn(id);
        for app in &run.apps {
            self.end_transient(id, app);
        }
        if self.services.get(id).is_some_and(|service| service.is_ended()) {
            self.service_ended(id);
            return None;
        }
        Some(run)
    }

    fn end_transient(&mut self, id: &ServiceId, app: &AppId) {
        let opened = self.services.get(id).and_then(|service| service.opened.as_ref());
        let Some((_, release)) = opened.and_then(|opened| opened.apps.get(app)).cloned() else { return };
        let in_use = self.services.values().any(|s| s.run.as_ref().is_some_and(|run| run.apps.contains(app)));
        if !is_transient(&release) || in_use {
            return;
        }
        self.unload(app);
        if let Ok(code) = code(&self.config, &release) {
            self.lost(code.artifact());
        }
    }

    /// The code that a run needs now and that is not kept beyond it.
    pub(crate) fn fetched_in_use(&self) -> Vec<Digest> {
        let running = self.services.values().filter(|service| service.run.is_some());
        let releases =
            running.filter_map(|service| service.opened.as_ref()).flat_map(|opened| opened.apps.values());
        let fetched = releases.filter(|(_, release)| !is_kept(&self.config, release));
        fetched.filter_map(|(_, release)| Some(code(&self.config, release).ok()?.artifact().digest)).collect()
    }
}

enum Prepared {
    Loaded(AppId),
    Loading(EffectId),
    Waits,
    /// Its file is on its way.
    Fetches,
    Failed(AppId, Failure),
    Quarantined(AppId),
}
