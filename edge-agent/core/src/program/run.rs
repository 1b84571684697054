//! Runs: a service's script is read afresh, planned as a whole, and its operations are called in order; or the one
//! operation is called that an app declares for itself.
//!
//! Nothing is called before the whole plan holds, and nothing is called that the plan does not name. A run that
//! fails is over; the service is held until its fault was treated, and then it is run again from the beginning. Each
//! thing that a run waits for is answered, or given up in time: a run ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_schemas::desired::Trigger;
use flotilla_schemas::fault::{Failure, kind};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Artifact, Digest, ServiceId, Value};

use super::call::{Call, plan};
use super::fit::{code, file_bytes, fits, is_kept, is_transient, memory_of};
use super::service::ServiceState;
use super::waits::Waits;
use super::{Happening, Programs};
use crate::effect::{Act, Code, EffectId};
use crate::input::Outcome;
use crate::open::{CALL_MARGIN_MS, FILES_MS, LOAD_MS, Waiter, overdue};
use crate::out::Out;

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

type Calls = std::vec::IntoIter<Call>;

#[derive(Debug)]
enum Phase {
    /// The script's files are being read.
    Reading(EffectId),
    /// These calls are left; the first is next.
    Ready(Calls),
    /// The first of the calls that are left waits for its app to be loaded.
    Loading(Calls, EffectId),
    /// A call is under way, at this place of the script; these calls are left.
    Calling(Calls, EffectId, Option<String>),
}

/// How far the app of the next call is.
enum Prepared {
    Loaded(AppId),
    Loading(EffectId),
    Waits,
    /// Its file is on its way.
    Fetches,
    Failed(AppId, Failure),
    Quarantined(AppId),
}

impl Run {
    fn new(phase: Phase, began_ms: u64) -> Self {
        Self { began_ms, phase, calls: 0, apps: BTreeSet::new(), waits: false, fetches: false }
    }

    fn is_reading(&self, read: EffectId) -> bool {
        matches!(self.phase, Phase::Reading(of) if of == read)
    }

    pub fn is_calling(&self, call: EffectId) -> bool {
        matches!(self.phase, Phase::Calling(_, id, _) if id == call)
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

    /// The load that it waits for has ended; whether it waited for that.
    fn end_load(&mut self, app: &AppId, load: EffectId) -> bool {
        let Phase::Loading(calls, id) = &mut self.phase else { return false };
        if *id != load {
            return false;
        }
        self.phase = Phase::Ready(std::mem::take(calls));
        self.apps.insert(app.clone());
        true
    }

    /// The call that it waits for has ended; where in the script that is, if it waited for it.
    fn end_call(&mut self, call: EffectId) -> Option<Option<String>> {
        let Phase::Calling(calls, id, place) = &mut self.phase else { return None };
        if *id != call {
            return None;
        }
        let place = place.take();
        self.phase = Phase::Ready(std::mem::take(calls));
        Some(place)
    }
}

impl Programs {
    pub(super) fn runs_due(&mut self, out: &mut Out) {
        let ids: Vec<ServiceId> = self.services.keys().cloned().collect();
        for id in ids {
            self.start_if_due(&id, out);
            self.continue_run(&id, out);
        }
        // Whoever ended above may have made room for one that was looked at before.
        loop {
            let row = self.turns.clone();
            row.iter().for_each(|id| self.continue_run(id, out));
            if self.turns == row {
                return;
            }
        }
    }

    /// When the next run is due.
    pub(super) fn runs_wake(&self) -> Option<u64> {
        let free = |service: &&ServiceState| service.is_free() && !service.fetching;
        self.services.values().filter(free).filter_map(|service| service.due).min()
    }

    fn start_if_due(&mut self, id: &ServiceId, out: &mut Out) {
        let Some(service) = self.services.get_mut(id) else { return };
        let due = service.due.is_some_and(|due| due <= out.now.mono_ms) && service.is_free();
        let Some(opened) = service.opened.as_ref().filter(|_| due) else { return };
        let files = match opened.script_files() {
            Ok(files) => files,
            Err(waits) => return (service.due, service.waits) = (None, Some(waits)),
        };
        let missing = files.iter().flatten().filter(|file| !self.downloads.fetch(file, out)).count();
        service.fetching = missing > 0;
        if missing > 0 {
            service.waits = Some(Waits::ScriptFiles(missing));
            return;
        }
        (service.due, service.waits) = (None, None);
        service.begin_run(id, files, out);
    }

    /// A script was read, or not.
    pub fn script_read(&mut self, id: &ServiceId, read: EffectId, outcome: Outcome, out: &mut Out) {
        let Some(service) = self.services.get_mut(id) else { return };
        service.reading.take_if(|reading| *reading == read);
        let Some(run) = service.run.as_mut().filter(|run| run.is_reading(read)) else { return };
        let files = match outcome {
            Outcome::Script(files) => Ok(files),
            other => Err(other.failure().unwrap_or_else(|| overdue(kind::STORAGE_BROKEN, "the disk"))),
        };
        match files.and_then(|files| plan(&files)) {
            Ok(calls) => run.phase = Phase::Ready(calls.into_iter()),
            Err(failure) => self.run_failed(id, AppId::system(), failure, None, out),
        }
    }

    /// The files do not come: the run fails, and the next one waits until they do.
    pub fn script_overdue(&mut self, id: &ServiceId, read: EffectId, out: &mut Out) {
        let run = self.services.get(id).and_then(|service| service.run.as_ref());
        if run.is_some_and(|run| run.is_reading(read)) {
            let failure = overdue(kind::STORAGE_SLOW, "the disk");
            self.run_failed(id, AppId::system(), failure, None, out);
        }
    }

    fn run_mut(&mut self, id: &ServiceId) -> Option<&mut Run> {
        self.services.get_mut(id)?.run.as_mut()
    }

    /// Goes on with a run that waits for nothing but its turn.
    fn continue_run(&mut self, id: &ServiceId, out: &mut Out) {
        let Some(Run { phase: Phase::Ready(calls), .. }) = self.run_mut(id) else { return };
        let mut calls = std::mem::take(calls);
        let Some(call) = calls.as_slice().first().cloned() else { return self.run_ended(id, out) };
        let prepared = self.prepare(id, &call, out);
        if let Some(run) = self.run_mut(id) {
            run.waits = matches!(prepared, Prepared::Waits | Prepared::Fetches);
            run.fetches = matches!(prepared, Prepared::Fetches);
        }
        let phase = match prepared {
            Prepared::Loaded(app) => {
                calls.next();
                self.call(id, app, call, calls, out)
            }
            Prepared::Loading(load) => Phase::Loading(calls, load),
            Prepared::Waits | Prepared::Fetches => Phase::Ready(calls),
            Prepared::Failed(app, failure) => return self.run_failed(id, app, failure, call.place, out),
            Prepared::Quarantined(app) => return self.run_blocked(id, app, out),
        };
        if let Some(run) = self.run_mut(id) {
            run.phase = phase;
        }
    }

    /// Brings the app of a call into memory, one step at a time.
    fn prepare(&mut self, id: &ServiceId, call: &Call, out: &mut Out) -> Prepared {
        let app = self.apps.standing_for(&call.app);
        let opened = self.services.get(id).and_then(|service| service.opened.as_ref());
        let Some((digest, release)) = opened.and_then(|opened| opened.apps.get(&app)).cloned() else {
            let text = format!("the service names no release of {app}");
            return Prepared::Failed(app, Failure::new(kind::SCRIPT_INVALID, text));
        };
        let state = self.apps.entry(&app);
        if state.kept.quarantined {
            return Prepared::Quarantined(app);
        }
        if state.is_busy() {
            return Prepared::Waits;
        }
        if state.loaded == Some(digest) {
            let may = self.may_go_on(id, &app, &release, out);
            return if may { Prepared::Loaded(app) } else { Prepared::Waits };
        }
        match fits(&out.config, &release) {
            Err(failure) => Prepared::Failed(app, failure),
            Ok(code) => self.bring(id, app, digest, &release, code, out),
        }
    }

    fn bring(
        &mut self,
        id: &ServiceId,
        app: AppId,
        digest: Digest,
        release: &Arc<Release>,
        code: Code,
        out: &mut Out,
    ) -> Prepared {
        if !self.downloads.has(code.artifact()) {
            return self.bring_file(id, app, code.artifact(), out);
        }
        let memory_bytes = memory_of(&out.config, release);
        if !self.take_turn(id, &app, memory_bytes, out) {
            return Prepared::Waits;
        }
        self.leave_turn(id);
        self.set_waits(id, None);
        let (grants, limits) = (release.manifest.grants.clone(), release.manifest.limits.clone());
        let deadline_ms = limits.deadline_ms;
        let act = Act::Load { app: app.clone(), code, grants, limits };
        let load = out.effect_for(Waiter::Load(app.clone()), act, Some(LOAD_MS));
        let state = self.apps.entry(&app);
        (state.fetching, state.deadline_ms) = (false, deadline_ms);
        (state.loaded, state.loading, state.memory_bytes) = (None, Some((load, digest)), memory_bytes);
        Prepared::Loading(load)
    }

    fn bring_file(&mut self, id: &ServiceId, app: AppId, file: &Artifact, out: &mut Out) -> Prepared {
        if !self.take_turn(id, &app, file_bytes(&out.config, file), out) {
            return Prepared::Waits;
        }
        self.downloads.fetch(file, out);
        self.apps.entry(&app).fetching = true;
        self.set_waits(id, Some(Waits::App(app)));
        Prepared::Fetches
    }

    fn call(&mut self, id: &ServiceId, app: AppId, call: Call, left: Calls, out: &mut Out) -> Phase {
        let Call { operation, args, place, .. } = call;
        let state = self.apps.entry(&app);
        let patience_ms = u64::from(state.deadline_ms) + CALL_MARGIN_MS;
        let act = Act::Call { app: app.clone(), operation, args };
        let call = out.effect_for(Waiter::Call(app.clone()), act, Some(patience_ms));
        (state.calling, state.called) = (Some(call), call);
        (state.events, state.let_down) = (0, None);
        if let Some(run) = self.run_mut(id) {
            run.calls += 1;
            run.apps.insert(app);
        }
        Phase::Calling(left, call, place)
    }

    /// An app was loaded, or not.
    pub fn loaded(&mut self, id: &AppId, load: EffectId, outcome: Outcome, out: &mut Out) {
        let Some(app) = self.apps.get_mut(id) else { return };
        let Some((_, digest)) = app.loading.take_if(|(number, _)| *number == load) else { return };
        let failure = outcome.failure();
        if failure.is_none() {
            app.loaded = Some(digest);
            app.loads += 1;
        }
        if std::mem::take(&mut app.restart) {
            self.apps.unload(id, out);
        }
        let waiting = self.end_load(id, load);
        if let (Some(service), Some(failure)) = (waiting, failure) {
            self.run_failed(&service, id.clone(), failure, None, out);
        }
    }

    /// The app does not come into memory: its run fails. It is busy until whoever loads it has given up too.
    pub fn load_overdue(&mut self, id: &AppId, load: EffectId, out: &mut Out) {
        self.apps.cancel(id, out);
        if let Some(service) = self.end_load(id, load) {
            self.run_failed(&service, id.clone(), overdue(kind::DEADLINE, id.as_str()), None, out);
        }
    }

    /// The service whose run waited for this load, and waits no more.
    fn end_load(&mut self, app: &AppId, load: EffectId) -> Option<ServiceId> {
        let mut services = self.services.iter_mut();
        let waited = |state: &mut ServiceState| state.run.as_mut().is_some_and(|run| run.end_load(app, load));
        services.find_map(|(id, state)| waited(state).then(|| id.clone()))
    }

    /// An operation ended.
    pub fn called(&mut self, id: &AppId, call: EffectId, outcome: Outcome, out: &mut Out) {
        let Some(app) = self.apps.get_mut(id).filter(|app| app.calling == Some(call)) else { return };
        app.calling = None;
        let let_down = app.let_down.take();
        let failure = outcome.failure().map(|failure| failure.let_down(let_down));
        let restart = std::mem::take(&mut app.restart);
        if restart || failure.as_ref().is_some_and(|failure| failure.spent) {
            self.apps.unload(id, out);
        }
        if let (Some((service, place)), Some(failure)) = (self.end_call(call), failure) {
            self.run_failed(&service, id.clone(), failure, place, out);
        }
    }

    /// The app does not answer: its run fails. It is busy until its task has ended.
    pub fn call_overdue(&mut self, id: &AppId, call: EffectId, out: &mut Out) {
        self.apps.cancel(id, out);
        if let Some((service, place)) = self.end_call(call) {
            self.run_failed(&service, id.clone(), overdue(kind::DEADLINE, id.as_str()), place, out);
        }
    }

    /// The service whose run waited for this call, and waits no more, and where in its script it is.
    fn end_call(&mut self, call: EffectId) -> Option<(ServiceId, Option<String>)> {
        let mut services = self.services.iter_mut();
        services.find_map(|(id, state)| Some((id.clone(), state.run.as_mut()?.end_call(call)?)))
    }

    fn run_ended(&mut self, id: &ServiceId, out: &mut Out) {
        let Some(run) = self.end_run(id, out) else { return };
        self.schedule_next(id, run.began_ms, out);
        let fields = [
            ("service", Value::from(id.as_str())),
            ("calls", run.calls.into()),
            ("elapsed-ms", (out.now.mono_ms - run.began_ms.min(out.now.mono_ms)).into()),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        out.event(AppId::system(), "run".to_owned(), fields, Lane::Reading, None);
        self.happened.push(Happening::Ran(id.clone()));
    }

    /// The run that began then is done with: when the next one is due.
    pub(super) fn schedule_next(&mut self, id: &ServiceId, began_ms: u64, out: &mut Out) {
        let Some(service) = self.services.get_mut(id) else { return };
        service.waits = None;
        service.due = service.next_due(began_ms, out.now.mono_ms);
        let opened = service.opened.as_ref().map(|opened| &opened.service);
        if let Some(once) = opened.filter(|service| service.trigger == Trigger::Once) {
            service.kept.ran = once.started;
            service.keep(id, out);
        }
    }

    /// An app of the run is in quarantine: nothing runs until a person releases it.
    fn run_blocked(&mut self, id: &ServiceId, app: AppId, out: &mut Out) {
        self.end_run(id, out);
        self.set_waits(id, Some(Waits::Quarantine(app)));
    }

    /// What failed in a run of a service that is to go meanwhile is nobody's any more.
    fn run_failed(
        &mut self,
        id: &ServiceId,
        app: AppId,
        failure: Failure,
        place: Option<String>,
        out: &mut Out,
    ) {
        let Some(run) = self.end_run(id, out) else { return };
        let (service, began_ms) = (id.clone(), run.began_ms);
        self.happened.push(Happening::Failed { service, app, failure, place, began_ms });
    }

    /// The run is over, however it went: its transient apps leave memory and disk. None if its service went with it.
    pub(super) fn end_run(&mut self, id: &ServiceId, out: &mut Out) -> Option<Run> {
        let run = self.services.get_mut(id)?.run.take()?;
        self.leave_turn(id);
        for app in &run.apps {
            self.end_transient(id, app, out);
        }
        if self.services.get(id).is_some_and(ServiceState::is_ended) {
            self.service_ended(id, out);
            return None;
        }
        Some(run)
    }

    fn end_transient(&mut self, id: &ServiceId, app: &AppId, out: &mut Out) {
        let opened = self.services.get(id).and_then(|service| service.opened.as_ref());
        let Some((_, release)) = opened.and_then(|opened| opened.apps.get(app)).cloned() else { return };
        let in_use = self.services.values().any(|s| s.run.as_ref().is_some_and(|run| run.apps.contains(app)));
        if !is_transient(&release) || in_use {
            return;
        }
        self.apps.unload(app, out);
        if let Ok(code) = code(&out.config, &release) {
            self.downloads.lost(code.artifact(), out);
        }
    }

    /// The code that a run needs now and that is not kept beyond it.
    pub(super) fn fetched_in_use(&self, out: &Out) -> Vec<Digest> {
        let running = self.services.values().filter(|service| service.run.is_some());
        let releases =
            running.filter_map(|service| service.opened.as_ref()).flat_map(|opened| opened.apps.values());
        let fetched = releases.filter(|(_, release)| !is_kept(&out.config, release));
        fetched.filter_map(|(_, release)| Some(code(&out.config, release).ok()?.artifact().digest)).collect()
    }
}

impl ServiceState {
    /// A script is read first; an app's own operation is called at once.
    fn begin_run(&mut self, id: &ServiceId, files: Option<[Artifact; 3]>, out: &mut Out) {
        let phase = match files {
            Some(files) => {
                let act = Act::ReadScript(Box::new(files));
                let read = out.effect_for(Waiter::Script(id.clone()), act, Some(FILES_MS));
                self.reading = Some(read);
                Phase::Reading(read)
            }
            None => {
                let own = self.opened.as_ref().and_then(|opened| opened.own_call());
                Phase::Ready(own.into_iter().collect::<Vec<_>>().into_iter())
            }
        };
        self.run = Some(Run::new(phase, out.now.mono_ms));
    }
}
