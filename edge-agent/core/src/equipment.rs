//! Equipment: what an app sets is journaled before the device sees it, and confirmed after, as long as the disk takes
//! anything: a full one stops no app. A device that does not answer well is a fault, which is over by itself once the
//! device has answered well for a while.
//!
//! ```text
//!  ill ──▶ open ──▶ probed every PROBE_MS ──▶ well for WELL_MS ──▶ closed
//!                        ▲        │                                  │
//!                        └─ ill ──┘      ill again within FLAP_MS: twice the time, up to WELL_MS_MAX
//! ```
//!
//! So a device that comes and goes opens few faults, and then one that stays. What it refused to be set to cannot be
//! probed by reading: that waits until the app sets it well, or has not been refused for [`REFUSAL_MS`].
//!
//! An app that fails in a call in which its device did not answer well, fails because of that: its fault says so, and
//! the standard list changes nothing about the app. When the device is well again, its services are tried at once.
//!
//! A device that cannot be reached is one fault, whichever of its points were asked for; everything else is one a
//! point.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::fault::{How, Kind, kind};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::{AppId, FaultId, PointId, ServiceId, Value};

use crate::core::Core;
use crate::effect::{Act, EffectId};
use crate::input::{Failure, Health, Outcome};
use crate::open::{DEVICE_MS, Waiter, overdue};
use crate::service::ServiceState;

/// How often a point is read whose device did not answer well, in milliseconds.
pub const PROBE_MS: u64 = 1_000;

/// For how long a device must have answered well before its fault is closed, in milliseconds.
pub const WELL_MS: u64 = 2_000;

/// The same at the most, for one that comes and goes.
pub const WELL_MS_MAX: u64 = 300_000;

/// A fault that comes back within this time after its end was not over, in milliseconds.
pub const FLAP_MS: u64 = 600_000;

/// How long after the last refusal to be set a device is taken to be willing again, in milliseconds.
pub const REFUSAL_MS: u64 = 300_000;

/// The most equipment faults that are open at once. One more is not opened; an event says when there are so many.
pub const ILL_MAX: usize = 64;

/// The most points of which it is remembered that they come and go; the one that ended first is forgotten first.
const RESTLESS_MAX: usize = 256;

/// What is known of devices that are not well, and of points that are being set.
#[derive(Debug, Default)]
pub(crate) struct Equipment {
    watches: BTreeMap<FaultId, Watch>,
    restless: BTreeMap<(PointId, Kind), Restless>,
    writes: BTreeMap<EffectId, Write>,
}

/// How an open fault comes to its end.
#[derive(Debug)]
struct Watch {
    /// When the point is read next; for a refusal to be set, when it is taken to be over.
    probe_at: u64,
    /// The device has answered well since then.
    well_since: Option<u64>,
    /// For how long it must.
    well_ms: u64,
    /// Only setting it shows whether it is over.
    refusal: bool,
    /// It is being read, and is not read again before that has ended.
    probing: bool,
}

/// A fault that has ended.
#[derive(Debug)]
struct Restless {
    well_ms: u64,
    ended_ms: u64,
}

/// A point that is being set.
#[derive(Debug)]
struct Write {
    /// The number of its record; none if the disk took none.
    record: Option<u64>,
    app: AppId,
    point: PointId,
    began_ms: u64,
}

impl Core {
    /// An app wants to set a point: that is journaled, then done. While the disk takes nothing it is done all the same.
    pub(crate) fn write(&mut self, write: u64, app: AppId, point: PointId, value: Value) {
        let record = (!self.storage_full).then(|| {
            let service = self.service_running(&app);
            let body = Body::Write { app: app.clone(), point: point.clone(), value, service };
            self.record(Lane::Event, body).seq
        });
        let began_ms = self.now.mono_ms;
        let id = self.effect_for(Waiter::Write, Act::Write(write), Some(DEVICE_MS));
        self.equipment.writes.insert(id, Write { record, app, point, began_ms });
    }

    /// What came of it.
    pub(crate) fn written(&mut self, write: EffectId, outcome: Outcome) {
        let Some(Write { record, app, point, began_ms }) = self.equipment.writes.remove(&write) else {
            return;
        };
        let failure = outcome.failure();
        if let Some(record) = record.filter(|_| !self.storage_full) {
            let error = failure.as_ref().map(|failure| failure.message.clone());
            let elapsed_ms = self.now.mono_ms - began_ms.min(self.now.mono_ms);
            let body = Body::Written { write: record, point: point.clone(), error, elapsed_ms };
            self.record(Lane::Event, body);
        }
        match failure {
            None => self.set_well(&point),
            Some(failure) => self.ill(app, point, failure, true),
        }
    }

    /// The device that was to be set does not answer.
    pub(crate) fn write_overdue(&mut self, write: EffectId) {
        self.written(write, Outcome::Failed(overdue(kind::EQUIPMENT_SLOW, "the device")));
    }

    /// A device was asked whether it answers well again.
    pub(crate) fn probed(&mut self, point: &PointId, outcome: Outcome) {
        self.at_point(point, |watch| watch.probing = false);
        match outcome {
            Outcome::Health(Health::Ill(failure)) => self.ill(AppId::system(), point.clone(), failure, false),
            Outcome::Health(Health::Well) => self.well(point),
            Outcome::Health(Health::Gone) => {
                for id in self.faults_at(point) {
                    self.equipment.watches.remove(&id);
                    self.close_fault(&id, How::Moot);
                }
            }
            _ => self.probe_overdue(point),
        }
    }

    /// It cannot be told whether the device is well.
    pub(crate) fn probe_overdue(&mut self, point: &PointId) {
        self.at_point(point, |watch| watch.well_since = None);
    }

    fn at_point(&mut self, point: &PointId, change: impl Fn(&mut Watch)) {
        let at = self.faults_at(point);
        self.equipment
            .watches
            .iter_mut()
            .filter(|(id, _)| at.contains(id))
            .for_each(|(_, watch)| change(watch));
    }

    /// The device did not answer well: a fault, or more of one.
    pub(crate) fn ill(&mut self, app: AppId, point: PointId, failure: Failure, set: bool) {
        if !failure.kind.is_in("equipment.*") {
            return;
        }
        if !self.treats_faults() {
            return self.record_failure(None, &app, failure, None);
        }
        if let Some(app) = self.apps.get_mut(&app).filter(|app| app.calling.is_some()) {
            app.let_down = Some((point.clone(), failure.kind.clone()));
        }
        let now_ms = self.now.mono_ms;
        let refusal = set && matches!(failure.kind.as_str(), kind::EQUIPMENT_REFUSED | kind::EQUIPMENT_RANGE);
        let pause_ms = if refusal { REFUSAL_MS } else { PROBE_MS };
        for (id, open) in &mut self.faults {
            let fault = &mut open.fault;
            let Some(watch) = self.equipment.watches.get_mut(id) else { continue };
            if fault.point.as_ref().is_some_and(|at| same(at, &point, &failure.kind)) {
                // What is ill in one way is not well in another.
                watch.well_since = None;
                if fault.kind == failure.kind {
                    fault.count = fault.count.saturating_add(1);
                    watch.refusal |= refusal;
                    watch.probe_at = watch.probe_at.max(if refusal { now_ms + pause_ms } else { 0 });
                    return;
                }
            }
        }
        if self.equipment.watches.len() >= ILL_MAX {
            return;
        }
        let well_ms = self.equipment.well_ms(&point, &failure.kind, now_ms);
        let id = self.opened(None, app, failure, None, Some(point));
        let watch = Watch { probe_at: now_ms + pause_ms, well_since: None, well_ms, refusal, probing: false };
        self.equipment.watches.insert(id.clone(), watch);
        self.ask(&id);
        if self.equipment.watches.len() == ILL_MAX {
            self.record_event("equipment-faults-at-their-most", [("open", (ILL_MAX as u64).into())]);
        }
    }

    /// The device answered a probe well: faults that waited for that are closed after a while.
    fn well(&mut self, point: &PointId) {
        let now_ms = self.now.mono_ms;
        for id in self.faults_at(point) {
            let Some(watch) = self.equipment.watches.get_mut(&id).filter(|watch| !watch.refusal) else {
                continue;
            };
            let since = *watch.well_since.get_or_insert(now_ms);
            if now_ms - since.min(now_ms) >= watch.well_ms {
                self.recovered(&id);
            }
        }
    }

    /// The device was set and said so: what it refused before is probed like all else from now on.
    fn set_well(&mut self, point: &PointId) {
        for id in self.faults_at(point) {
            if let Some(watch) = self.equipment.watches.get_mut(&id).filter(|watch| watch.refusal) {
                (watch.refusal, watch.probe_at) = (false, self.now.mono_ms);
            }
        }
    }

    fn recovered(&mut self, id: &FaultId) {
        let ended_ms = self.now.mono_ms;
        let Some(Watch { well_ms, .. }) = self.equipment.watches.remove(id) else { return };
        let fault = self.faults.get(id).map(|open| open.fault.clone());
        if let Some(fault) = &fault {
            self.retry_services(&fault.app);
        }
        if let Some((point, kind)) = fault.and_then(|fault| Some((fault.point?, fault.kind))) {
            self.equipment.remember(point, kind, Restless { well_ms, ended_ms });
        }
        self.close_fault(id, How::Cured);
    }

    /// Services of the app that wait to be tried again need not wait longer: what they lacked may have been the device.
    fn retry_services(&mut self, app: &AppId) {
        let now_ms = self.now.mono_ms;
        let faulty: BTreeSet<_> =
            self.faults.values().filter_map(|open| open.fault.service.clone()).collect();
        let waits = |id: &ServiceId, state: &ServiceState| {
            faulty.contains(id) && state.uses(app) && state.held.is_none() && state.run.is_none()
        };
        for state in self.services.iter_mut().filter(|(id, state)| waits(id, state)).map(|(_, state)| state) {
            state.due = state.due.map(|due| due.min(now_ms));
        }
    }

    /// The equipment faults that are about this very point.
    fn faults_at(&self, point: &PointId) -> Vec<FaultId> {
        let at =
            |id: &&FaultId| self.faults.get(*id).is_some_and(|open| open.fault.point.as_ref() == Some(point));
        self.equipment.watches.keys().filter(at).cloned().collect()
    }

    /// Probes what is due.
    pub(crate) fn equipment_due(&mut self) {
        let now_ms = self.now.mono_ms;
        let mut probes = Vec::new();
        let due = |watch: &Watch| !watch.probing && watch.probe_at <= now_ms;
        for (id, watch) in self.equipment.watches.iter_mut().filter(|(_, watch)| due(watch)) {
            (watch.probe_at, watch.refusal, watch.probing) = (now_ms + PROBE_MS, false, true);
            probes.extend(self.faults.get(id).and_then(|open| open.fault.point.clone()));
        }
        probes.sort_unstable();
        probes.dedup();
        for point in probes {
            self.effect_for(Waiter::Probe(point.clone()), Act::Probe(point), Some(DEVICE_MS));
        }
    }

    pub(crate) fn equipment_wake(&self) -> Option<u64> {
        if self.stopping {
            return None;
        }
        let watches = self.equipment.watches.values().filter(|watch| !watch.probing);
        watches.map(|watch| watch.probe_at).min()
    }

    /// At boot: what was ill is probed.
    pub(crate) fn reboot_equipment(&mut self) {
        let ill = self.faults.iter().filter(|(_, open)| open.fault.point.is_some());
        for (id, _) in ill {
            let probe_at = self.now.mono_ms;
            let watch =
                Watch { probe_at, well_since: None, well_ms: WELL_MS, refusal: false, probing: false };
            self.equipment.watches.insert(id.clone(), watch);
        }
    }
}

/// Whether what is said of one point is said of the other.
fn same(at: &PointId, point: &PointId, kind: &Kind) -> bool {
    at == point || (kind.as_str() == kind::EQUIPMENT_UNREACHABLE && at.device == point.device)
}

impl Equipment {
    /// For how long the device must be well before this fault, which opens now, is over.
    fn well_ms(&self, point: &PointId, kind: &Kind, now_ms: u64) -> u64 {
        let before = self.restless.iter().filter(|((at, of), _)| of == kind && same(at, point, kind));
        let recent = before.filter(|(_, was)| now_ms - was.ended_ms.min(now_ms) < FLAP_MS);
        recent.map(|(_, was)| (was.well_ms * 2).min(WELL_MS_MAX)).max().unwrap_or(WELL_MS)
    }

    fn remember(&mut self, point: PointId, kind: Kind, restless: Restless) {
        self.restless.insert((point, kind), restless);
        if self.restless.len() > RESTLESS_MAX
            && let Some(oldest) =
                self.restless.iter().min_by_key(|(_, was)| was.ended_ms).map(|(at, _)| at.clone())
        {
            self.restless.remove(&oldest);
        }
    }
}
