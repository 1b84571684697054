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
use crate::effect::{Effect, Persist, Send, Step};
use crate::equipment::Equipment;
use crate::fault::{Cured, OpenFault};
use crate::input::{Config, Input};
use crate::journal::Lanes;
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
    /// The last number given to an effect that is answered.
    pub(crate) effects: u64,
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
            effects: 0,
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
            Input::Looked { digest, missing } => self.looked(digest, missing),
            Input::ScriptRead { service, run, files } => self.script_read(&service, run, files),
            Input::Loaded { app, load, result } => self.loaded(&app, load, result),
            Input::Called { call, result } => self.called(call, result),
            Input::AppEvent { app, name, fields } => self.app_event(&app, name, fields),
            Input::Asked { app, point, health } => self.asked(app, point, health),
            Input::Write { write, app, point, value } => self.write(write, app, point, value),
            Input::Written { write, result } => self.written(write, result),
            Input::Vitals { memory_bytes, disk_free_bytes } => {
                self.reports.vitals(memory_bytes, disk_free_bytes);
            }
            Input::Storage { error } => self.storage(error),
            Input::Stop => self.stop(),
        }
        self.advance();
        self.finish()
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
        let mut step = std::mem::take(&mut self.step);
        step.wake_at = wakes.into_iter().chain([self.reports_wake(), self.equipment_wake()]).flatten().min();
        step
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.record_event("stopped", []);
        self.report_stopped();
        self.journal_due();
        self.effect(Effect::Exit);
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

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.step.effects.push(Effect::Warn(text.into()));
    }

    /// A number for an effect that is answered.
    pub(crate) fn next_effect(&mut self) -> u64 {
        self.effects += 1;
        self.effects
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
            Ok(bytes) => self.effect(Effect::Publish(topic, bytes, send)),
            Err(error) => self.warn(format!("{topic} cannot be written: {error}")),
        }
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}
