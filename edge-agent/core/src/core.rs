//! The core's state, its birth from what was kept, and the order in which one input is worked through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::{Item, Slot, Wanted};
use flotilla_schemas::fault::Kind;
use flotilla_schemas::publisher::Publishers;
use flotilla_schemas::release::Catalog;
use flotilla_schemas::report::Mode;
use flotilla_schemas::sign::Keys;
use flotilla_schemas::time::Now;
use flotilla_schemas::{AppId, EdgeId, EpochId, FaultId, ServiceId, Topic};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::command::Commands;
use crate::desired::Releases;
use crate::download::Downloads;
use crate::effect::{Act, Effect, EffectId, Persist, Send, Step};
use crate::equipment::Equipment;
use crate::fault::{Cured, OpenFault};
use crate::input::{Config, Input, Outcome};
use crate::journal::Lanes;
use crate::open::{Open, Waiter};
use crate::report::Reports;
use crate::service::{Kept, ServiceState};

/// What a boot finds on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The journal's epoch.
    pub epoch: EpochId,
    /// Head, floor and bytes of each lane.
    pub lanes: [(u64, u64, u64); 3],
    /// The values by their keys.
    pub values: BTreeMap<String, Vec<u8>>,
}

/// An edge's decisions.
pub struct Core {
    pub(crate) config: Config,
    pub(crate) centers: Keys,
    pub(crate) publishers: Publishers,
    pub(crate) epoch: EpochId,
    pub(crate) now: Now,
    pub(crate) step: Step,
    pub(crate) connected: bool,
    /// The disk takes no more: only faults are recorded.
    pub(crate) storage_full: bool,
    pub(crate) stopping: bool,
    pub(crate) lanes: Lanes,
    /// What was safe in each lane when that was kept last.
    pub(crate) kept_safe: [u64; 3],
    pub(crate) catalog: Option<Catalog>,
    pub(crate) releases: Releases,
    pub(crate) slots: BTreeMap<Slot, Item>,
    pub(crate) policy: Countermeasures,
    pub(crate) services: BTreeMap<ServiceId, ServiceState>,
    pub(crate) apps: BTreeMap<AppId, App>,
    /// Who waits for memory, the first first.
    pub(crate) turns: VecDeque<ServiceId>,
    /// Apps that are wanted and cannot run here, with why.
    pub(crate) unfit: BTreeSet<(AppId, Kind)>,
    pub(crate) downloads: Downloads,
    pub(crate) faults: BTreeMap<FaultId, OpenFault>,
    pub(crate) cured: Vec<Cured>,
    pub(crate) equipment: Equipment,
    pub(crate) commands: Commands,
    pub(crate) reports: Reports,
    pub(crate) open: Open,
}

impl Core {
    /// The edge as it was kept. What cannot be read is left out with a warning in the first step: a value that this
    /// program does not know must not stop a gateway.
    pub fn from_records(config: Config, found: Found, now: Now) -> Self {
        let (centers, publishers) = (config.fleet.center_keys(), config.fleet.publishers());
        let mut core = Self {
            centers,
            publishers,
            epoch: found.epoch,
            now,
            step: Step::default(),
            connected: false,
            storage_full: false,
            stopping: false,
            lanes: Lanes::found(found.lanes),
            kept_safe: [0; 3],
            catalog: None,
            releases: Releases::default(),
            slots: BTreeMap::new(),
            policy: Countermeasures::standard(),
            services: BTreeMap::new(),
            apps: BTreeMap::new(),
            turns: VecDeque::new(),
            unfit: BTreeSet::new(),
            downloads: Downloads::default(),
            faults: BTreeMap::new(),
            cured: Vec::new(),
            equipment: Equipment::default(),
            commands: Commands::default(),
            reports: Reports::default(),
            open: Open::default(),
            config,
        };
        for (key, value) in &found.values {
            core.take_found(key, value);
        }
        core.boot();
        core
    }

    fn take_found(&mut self, key: &str, value: &[u8]) {
        let taken = match key.split_once('/') {
            None if key == "safe" => read(value).map(|safe| self.take_safe(safe)),
            None if key == "catalog" => read(value).map(|catalog| self.catalog = Some(catalog)),
            Some(("slot", slot)) => match Slot::try_from(slot.to_owned()) {
                Ok(slot) => read(value).map(|item| self.take_slot(slot, item)),
                Err(error) => Err(error.to_string()),
            },
            Some(("service", id)) => match id.parse() {
                Ok(id) => read(value).map(|kept: Kept| self.service(id).kept = kept),
                Err(error) => Err(format!("{error}")),
            },
            Some(("app", id)) => match id.parse() {
                Ok(id) => read(value).map(|kept| self.app(id).kept = kept),
                Err(error) => Err(format!("{error}")),
            },
            Some(("fault", _)) => read(value).map(|fault: OpenFault| {
                self.faults.insert(fault.fault.fault.clone(), fault);
            }),
            _ => Err("it is unknown".to_owned()),
        };
        if let Err(error) = taken {
            self.warn(format!("the kept value {key} is left out: {error}"));
        }
    }

    fn take_slot(&mut self, slot: Slot, item: Item) {
        if let (Slot::Policy, Ok(Wanted::Policy(list))) = (&slot, item.wanted()) {
            self.adopt_policy(&list);
        }
        self.slots.insert(slot, item);
    }

    fn boot(&mut self) {
        for (slot, item) in self.slots.clone() {
            let Slot::Service(id) = &slot else { continue };
            if let Some(wanted) = self.understood(&slot, &item) {
                self.want_service(id.clone(), wanted);
            }
        }
        self.reopen_services();
        self.drop_faults();
        self.reboot_faults();
        self.reboot_equipment();
        let (wall, agent) = (self.now.clock_ok, self.config.agent.clone());
        self.record_event("started", [("clock-ok", wall.into()), ("agent", agent.into())]);
        self.sweep();
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Now) -> Step {
        self.now = now;
        match input {
            Input::Tick => {}
            Input::Connected => self.connect(),
            Input::Disconnected => self.connected = false,
            Input::Message { topic, payload, sig } => self.message(&topic, &payload, sig.as_ref()),
            Input::Done { id, outcome } => self.done(id, outcome),
            Input::AppEvent { app, name, fields } => self.app_event(&app, name, fields),
            Input::Ill { app, point, failure } => self.ill(app, point, failure, false),
            Input::Write { write, app, point, value } => self.write(write, app, point, value),
            Input::Vitals { memory_bytes, disk_free_bytes } => {
                self.reports.vitals(memory_bytes, disk_free_bytes);
            }
            Input::Storage { error } => self.storage(error),
            Input::Stop => self.stop(),
        }
        self.give_up();
        self.advance();
        self.finish()
    }

    /// Hands an answer to who waits for it; one that nobody waits for changes nothing.
    fn done(&mut self, id: EffectId, outcome: Outcome) {
        let Some(waiter) = self.open.answered(id) else { return };
        match (waiter, outcome) {
            (Waiter::Download(digest), outcome) => self.looked(id, digest, outcome),
            (Waiter::Script(service), outcome) => self.script_read(&service, id, outcome),
            (Waiter::Load(app), outcome) => self.loaded(&app, id, outcome),
            (Waiter::Call(app), outcome) => self.called(&app, id, outcome),
            (Waiter::Write, outcome) => self.written(id, outcome),
            (Waiter::Probe(point), outcome) => self.probed(&point, outcome),
            (Waiter::Lane(lane), _) => self.lanes.lane_mut(lane).answered(self.now.mono_ms),
            (Waiter::Nobody, Outcome::Failed(failure)) => self.warn(failure.message),
            (Waiter::Nobody, _) => {}
        }
    }

    /// Whoever waited long enough goes on as if it had failed.
    fn give_up(&mut self) {
        for (id, waiter) in self.open.overdue(self.now.mono_ms) {
            match waiter {
                Waiter::Download(digest) => self.look_overdue(id, digest),
                Waiter::Script(service) => self.script_overdue(&service, id),
                Waiter::Load(app) => self.load_overdue(&app, id),
                Waiter::Call(app) => self.call_overdue(&app, id),
                Waiter::Write => self.write_overdue(id),
                Waiter::Probe(point) => self.probe_overdue(&point),
                Waiter::Lane(_) | Waiter::Nobody => {}
            }
        }
    }

    /// What follows from the state and the time, whatever the input was.
    fn advance(&mut self) {
        if !self.stopping {
            self.install_due();
            self.faults_due();
            self.services_due();
            self.equipment_due();
        }
        self.downloads_due();
        self.journal_due();
        self.reports_due();
    }

    fn finish(&mut self) -> Step {
        let wakes = [self.services_wake(), self.faults_wake(), self.downloads_wake(), self.journal_wake()];
        let others = [self.reports_wake(), self.equipment_wake(), self.open.wake_at()];
        let mut step = std::mem::take(&mut self.step);
        step.wake_at = wakes.into_iter().chain(others).flatten().min();
        step
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.record_event("stopped", []);
        self.report_stopped();
        self.journal_due();
        self.effect(Act::Exit);
    }

    /// The edge.
    pub fn edge(&self) -> &EdgeId {
        &self.config.edge
    }

    /// The journal's epoch.
    pub fn epoch(&self) -> &EpochId {
        &self.epoch
    }

    /// Whether the disk takes no more, as far as the core was told.
    pub fn is_storage_full(&self) -> bool {
        self.storage_full
    }

    /// What the edge is at.
    pub fn mode(&self) -> Mode {
        let broken = self.apps.values().any(|app| app.kept.quarantined)
            || self.faults.values().any(OpenFault::is_told);
        match (self.stopping, broken) {
            (true, _) => Mode::Stopped,
            (false, true) => Mode::Degraded,
            (false, false) => Mode::Operating,
        }
    }

    /// Has something done for which nobody waits.
    pub(crate) fn effect(&mut self, act: Act) {
        let id = self.open.next();
        if act.is_answered() {
            self.open.await_answer(id, Waiter::Nobody, None);
        }
        self.step.effects.push(Effect { id, act });
    }

    /// Has something done for which somebody waits, no longer than so much if it is bounded.
    pub(crate) fn effect_for(&mut self, waiter: Waiter, act: Act, patience_ms: Option<u64>) -> EffectId {
        let id = self.open.next();
        let give_up_at = patience_ms.map(|patience| self.now.mono_ms.saturating_add(patience));
        self.open.await_answer(id, waiter, give_up_at);
        self.step.effects.push(Effect { id, act });
        id
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.effect(Act::Warn(text.into()));
    }

    pub(crate) fn keep(&mut self, key: String, value: &impl Serialize) {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.step.persist.push(Persist::Put(key, bytes)),
            Err(error) => self.warn(format!("{key} cannot be written: {error}")),
        }
    }

    pub(crate) fn forget(&mut self, key: String) {
        self.step.persist.push(Persist::Delete(key));
    }

    pub(crate) fn publish(&mut self, topic: Topic, message: &impl Serialize, send: Send) {
        match serde_json::to_vec(message) {
            Ok(bytes) => self.effect(Act::Publish(topic, bytes, send)),
            Err(error) => self.warn(format!("{topic} cannot be written: {error}")),
        }
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}
