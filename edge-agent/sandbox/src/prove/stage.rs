//! The edge on which a proof runs its apps: simulated equipment that is well, until it is made to fail.
//!
//! Time is counted, not waited for: each access takes a moment, and equipment that answers late only says so. So the
//! same calls see the same clock and the same values on every machine. A call whose equipment keeps it longer than
//! its deadline is overdue at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_schemas::fault::{Failure, Kind};
use flotilla_schemas::{AppId, PointId, Value};
use flotilla_script::StepEvent;
use tokio::sync::Notify;

use crate::equipment::{Answer, Behaviour, Simulator};
use crate::guest::KV_BYTES_MAX;
use crate::host::{Host, HostError, Level, Reply};

/// What an access of a point, and a look at the clock, takes of the counted time, in milliseconds.
const MOMENT_MS: u64 = 1;

/// The wall clock at the beginning of each run: 2026, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// An access of a point at a step event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access {
    pub event: StepEvent,
    pub device: String,
    pub point: String,
    pub is_write: bool,
}

/// What equipment does from an access on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Silent,
    Refuse,
    Late,
    Beyond,
    Nonsense,
}

/// From which access on equipment fails, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Failing {
    pub access: Access,
    pub way: Way,
}

impl Way {
    /// Those that an access can meet: only a reading can be wrong.
    pub fn of(access: &Access) -> &'static [Self] {
        const WRITE: [Way; 3] = [Way::Silent, Way::Refuse, Way::Late];
        const READ: [Way; 5] = [Way::Silent, Way::Refuse, Way::Late, Way::Beyond, Way::Nonsense];
        if access.is_write { &WRITE } else { &READ }
    }

    /// Whether the device fails as a whole, and not at this point alone.
    fn is_whole(self) -> bool {
        matches!(self, Self::Silent | Self::Late)
    }

    fn behaviour(self) -> Behaviour {
        match self {
            Self::Silent => Behaviour::Silent,
            Self::Refuse => Behaviour::Refuse,
            Self::Late => Behaviour::Slow(u64::MAX),
            Self::Beyond => Behaviour::Beyond,
            Self::Nonsense => Behaviour::Nonsense,
        }
    }
}

impl std::fmt::Display for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Access { event, device, point, .. } = &self.access;
        let does = match self.way {
            Way::Silent => "does not answer",
            Way::Refuse => "refuses",
            Way::Late => "answers too late",
            Way::Beyond => "answers beyond its range",
            Way::Nonsense => "answers nonsense",
        };
        match self.way.is_whole() {
            true => write!(f, "{event}: {device} (at {point}) {does}"),
            false => write!(f, "{event}: {device}/{point} {does}"),
        }
    }
}

/// What stands behind all apps of one run.
pub(super) struct Stage {
    state: Mutex<State>,
    overdue: Notify,
}

struct State {
    simulator: Simulator,
    now_ms: u64,
    failing: Option<Failing>,
    is_well: bool,
    /// The step event that is under way.
    event: Option<StepEvent>,
    /// The point that did not answer the call under way well, if one did not, and how.
    let_down: Option<(PointId, Kind)>,
    deadline_ms: u64,
    waited_ms: u64,
    accesses: BTreeSet<Access>,
    kinds: BTreeMap<(AppId, &'static str), PointId>,
}

impl Stage {
    pub fn new(simulator: &Simulator, failing: Option<&Failing>) -> Arc<Self> {
        let state = State {
            simulator: simulator.clone(),
            now_ms: 0,
            failing: failing.cloned(),
            is_well: true,
            event: None,
            let_down: None,
            deadline_ms: u64::MAX,
            waited_ms: 0,
            accesses: BTreeSet::new(),
            kinds: BTreeMap::new(),
        };
        Arc::new(Self { state: Mutex::new(state), overdue: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub fn begin(&self, event: &StepEvent, deadline_ms: u32) {
        let mut state = self.state();
        (state.event, state.let_down) = (Some(event.clone()), None);
        (state.deadline_ms, state.waited_ms) = (deadline_ms.into(), 0);
    }

    /// Comes when the call that is under way has waited for its equipment longer than it may.
    pub async fn overdue(&self) {
        self.overdue.notified().await;
    }

    /// A failure of the call that is under way, as an edge says it.
    pub fn said(&self, failure: Failure) -> Failure {
        failure.let_down(self.state().let_down.clone())
    }

    /// How long the call that is under way has waited for its equipment, in milliseconds.
    pub fn waited_ms(&self) -> u64 {
        self.state().waited_ms
    }

    /// Whether no equipment has been made to fail.
    pub fn is_well(&self) -> bool {
        self.state().is_well
    }

    /// The accesses that there were.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.state().accesses.clone()
    }

    /// The kinds of fault that the equipment was seen to have, each with the app that met it, and where first.
    pub fn kinds(&self) -> BTreeMap<(AppId, &'static str), PointId> {
        self.state().kinds.clone()
    }

    async fn access<T>(
        &self,
        app: &AppId,
        what: (&str, &str, bool),
        ask: impl FnOnce(&mut Simulator, u64) -> Answer<T>,
    ) -> Result<T, HostError> {
        let answer = self.state().access(app, what, ask);
        if answer.is_none() {
            self.overdue.notify_one();
        }
        match answer {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }
}

impl State {
    /// What the equipment answers; nothing if that takes longer than the call may.
    fn access<T>(
        &mut self,
        app: &AppId,
        (device, point, is_write): (&str, &str, bool),
        ask: impl FnOnce(&mut Simulator, u64) -> Answer<T>,
    ) -> Option<Result<T, HostError>> {
        if let Some(event) = self.event.clone() {
            let access = Access { event, device: device.to_owned(), point: point.to_owned(), is_write };
            if let Some(failing) = self.failing.take_if(|failing| failing.access == access) {
                let at = (!failing.way.is_whole()).then_some(point);
                self.simulator.misbehave(device, at, failing.way.behaviour());
                self.is_well = false;
            }
            self.accesses.insert(access);
        }
        let Answer { after_ms, result } = ask(&mut self.simulator, self.now_ms);
        self.now_ms = self.now_ms.saturating_add(after_ms).saturating_add(MOMENT_MS);
        self.waited_ms = self.waited_ms.saturating_add(after_ms);
        let in_time = self.waited_ms < self.deadline_ms;
        if let Some(kind) = result.as_ref().err().and_then(HostError::kind) {
            let point = PointId::new(device, point);
            self.kinds.entry((app.clone(), kind)).or_insert_with(|| point.clone());
            // An answer that comes when the call is over does not explain how it ended.
            if in_time {
                self.let_down = Some((point, Kind::of(kind)));
            }
        }
        in_time.then_some(result)
    }
}

/// The edge as one app of the run sees it.
pub(super) struct Seat {
    app: AppId,
    stage: Arc<Stage>,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Seat {
    pub fn of(app: &AppId, stage: &Arc<Stage>) -> Arc<Self> {
        Arc::new(Self { app: app.clone(), stage: stage.clone(), kept: Mutex::default() })
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Seat {
    fn read<'a>(&'a self, device: &'a str, point: &'a str) -> Reply<'a, Value> {
        let ask = |simulator: &mut Simulator, now_ms| simulator.read(&self.app, device, point, now_ms);
        Box::pin(self.stage.access(&self.app, (device, point, false), ask))
    }

    fn write<'a>(&'a self, device: &'a str, point: &'a str, value: Value) -> Reply<'a, ()> {
        let ask = move |simulator: &mut Simulator, now_ms| {
            simulator.write(&self.app, device, point, &value, now_ms)
        };
        Box::pin(self.stage.access(&self.app, (device, point, true), ask))
    }

    fn emit(&self, _: &str, _: BTreeMap<String, Value>) -> Result<(), HostError> {
        Ok(())
    }

    fn log(&self, _: Level, _: &str) {}

    fn now_ms(&self) -> u64 {
        let mut state = self.stage.state();
        state.now_ms += MOMENT_MS;
        BEGIN_MS + state.now_ms
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.kept().get(key).cloned())
    }

    fn kv_set(&self, key: &str, value: Vec<u8>) -> Result<(), HostError> {
        let mut kept = self.kept();
        let others = kept.iter().filter(|(other, _)| *other != key);
        let bytes: usize = others.map(|(key, value)| key.len() + value.len()).sum();
        if (bytes + key.len() + value.len()) as u64 > KV_BYTES_MAX {
            return Err(HostError::Limit(format!("an app keeps at most {KV_BYTES_MAX} bytes")));
        }
        kept.insert(key.to_owned(), value);
        Ok(())
    }

    fn kv_delete(&self, key: &str) -> Result<(), HostError> {
        self.kept().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
        [device.aircon]
        driver = 'simulated'
        [device.aircon.point.room]
        type = 'number'
        initial = 20
        [device.aircon.point.power]
        type = 'bool'
        access = 'rw'
        initial = false
        [device.meter]
        driver = 'simulated'
        [device.meter.point.energy]
        type = 'number'
        initial = 5";

    /// What an app is told that sets the power and reads the meter after the room has failed in this way.
    async fn after(way: Way) -> [Option<&'static str>; 2] {
        let event: StepEvent = "start room".parse().unwrap();
        let (device, point) = ("aircon".to_owned(), "room".to_owned());
        let access = Access { event: event.clone(), device, point, is_write: false };
        let simulator = Simulator::parse("equipment.toml", FILE).unwrap();
        let stage = Stage::new(&simulator, Some(&Failing { access, way }));
        let seat = Seat::of(&AppId::new("any").unwrap(), &stage);
        stage.begin(&event, u32::MAX);
        assert!(seat.read("aircon", "room").await.is_err());
        let power = seat.write("aircon", "power", Value::Bool(true)).await;
        let energy = seat.read("meter", "energy").await.map(drop);
        [power, energy].map(|result| result.err().map(|error| error.code()))
    }

    #[tokio::test]
    async fn a_device_that_is_silent_or_late_is_so_at_all_of_its_points_and_no_other_device_is() {
        assert_eq!(after(Way::Silent).await, [Some("unreachable"), None]);
        assert_eq!(after(Way::Late).await, [Some("slow"), None]);
        assert_eq!(after(Way::Refuse).await, [None, None]);
    }
}
