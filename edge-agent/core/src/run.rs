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
use crate::effect::{Code, Effect};
use crate::input::{Failure, ScriptFiles};
use crate::plan::{Call, plan};
use crate::service::ServiceState;

/// A run of a service.
#[derive(Debug)]
pub(crate) struct Run {
    id: u64,
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
    Reading,
    /// These calls are left; the first is next.
    Ready(std::vec::IntoIter<Call>),
    /// The first of the calls that are left waits for its app to be loaded.
    Loading(std::vec::IntoIter<Call>, u64),
    /// A call is under way, at this place of the script; these calls are left.
    Calling(std::vec::IntoIter<Call>, u64, Option<String>),
}

impl Run {
    pub fn is_calling(&self, call: u64) -> bool {
        matches!(self.phase, Phase::Calling(_, id, _) if id == call)
    }

    fn is_loading(&self, load: u64) -> bool {
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
        let free =
            |service: &&ServiceState| service.run.is_none() && service.held.is_none() && !service.fetching;
        self.services.values().filter(free).filter_map(|service| service.due).min()
    }

    fn start_if_due(&mut self, id: &ServiceId) {
        let now = self.now.mono_ms;
        let service = self.service(id.clone());
        let due =
            service.due.is_some_and(|due| due <= now) && service.held.is_none() && service.run.is_none();
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
        let (run, began_ms) = (self.next_effect(), self.now.mono_ms);
        let own = self.services.get(id).and_then(|service| service.opened.as_ref()?.own_call());
        let phase = match &files {
            Some(_) => Phase::Reading,
            None => Phase::Ready(own.into_iter().collect::<Vec<_>>().into_iter()),
        };
        let apps = BTreeSet::new();
        let run_ = Run { id: run, began_ms, phase, calls: 0, apps, waits: false, fetches: false };
        self.service(id.clone()).run = Some(run_);
        if let Some(files) = files {
            self.effect(Effect::ReadScript { service: id.clone(), run, files });
        }
    }

    pub(crate) fn script_read(&mut self, id: &ServiceId, run: u64, files: Result<ScriptFiles, Failure>) {
        let reading = |run_: &Run| run_.id == run && matches!(run_.phase, Phase::Reading);
        if !self.services.get(id).and_then(|service| service.run.as_ref()).is_some_and(reading) {
            return;
        }
        match files.and_then(|files| plan(&files)) {
            Ok(calls) => self.set_phase(id, Phase::Ready(calls.into_iter())),
            Err(failure) => self.run_failed(id, AppId::system(), failure, None),
        }
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
        let load = self.next_effect();
        let memory_bytes = self.memory_of(release);
        let state = self.app(app.clone());
        state.fetching = false;
        (state.loaded, state.loading, state.memory_bytes) = (None, Some((load, digest)), memory_bytes);
        let (grants, limits) = (release.manifest.grants.clone(), release.manifest.limits.clone());
        self.effect(Effect::Load { load, app, code, grants, limits });
        Prepared::Loading(load)
    }

    fn call(&mut self, id: &ServiceId, app: AppId, call: Call, left: std::vec::IntoIter<Call>) -> Phase {
        let number = self.next_effect();
        let state = self.app(app.clone());
        (state.calling, state.called) = (Some(number), number);
        (state.events, state.let_down) = (0, None);
        if let Some(run) = &mut self.service(id.clone()).run {
            run.calls += 1;
            run.apps.insert(app.clone());
        }
        let Call { operation, args, place, .. } = call;
        self.effect(Effect::Call { call: number, app, operation, args });
        Phase::Calling(left, number, place)
    }

    pub(crate) fn loaded(&mut self, id: &AppId, load: u64, result: Result<(), Failure>) {
        let app = self.app(id.clone());
        let Some((_, digest)) = app.loading.take_if(|(number, _)| *number == load) else { return };
        if result.is_ok() {
            app.loaded = Some(digest);
            app.loads += 1;
        }
        if std::mem::take(&mut app.restart) {
            self.unload(id);
        }
        let waiting = self.services.iter_mut().find_map(|(service, state)| {
            let run = state.run.as_mut().filter(|run| run.is_loading(load))?;
            let Phase::Loading(calls, _) = &mut run.phase else { return None };
            run.phase = Phase::Ready(std::mem::take(calls));
            run.apps.insert(id.clone());
            Some(service.clone())
        });
        if let (Some(service), Err(failure)) = (waiting, result) {
            self.run_failed(&service, id.clone(), failure, None);
        }
    }

    pub(crate) fn called(&mut self, call: u64, result: Result<Value, Failure>) {
        let Some((id, app)) = self.apps.iter_mut().find(|(_, app)| app.calling == Some(call)) else { return };
        let id = id.clone();
        app.calling = None;
        let let_down = app.let_down.take();
        let result = result.map_err(|failure| failure.let_down(let_down));
        let spent = result.as_ref().is_err_and(|failure| failure.spent);
        if spent || std::mem::take(&mut app.restart) {
            self.unload(&id);
        }
        let running = self.services.iter_mut().find_map(|(service, state)| {
            let run = state.run.as_mut().filter(|run| run.is_calling(call))?;
            let Phase::Calling(calls, _, place) = &mut run.phase else { return None };
            let place = std::mem::take(place);
            run.phase = Phase::Ready(std::mem::take(calls));
            Some((service.clone(), place))
        });
        if let (Some((service, place)), Err(failure)) = (running, result) {
            self.run_failed(&service, id, failure, place);
        }
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
    Loading(u64),
    Waits,
    /// Its file is on its way.
    Fetches,
    Failed(AppId, Failure),
    Quarantined(AppId),
}
