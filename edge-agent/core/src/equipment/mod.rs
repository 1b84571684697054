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
//! A device that cannot be reached is one fault, whichever of its points were asked for; everything else is one a
//! point. The faults themselves are not this room's: it gives back which begin, go on and end. A device is probed once
//! at a time, however long it takes to answer.

#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::fault::{Failure, How, Kind, kind};
use flotilla_schemas::{AppId, PointId};

use crate::effect::{Act, EffectId};
use crate::input::{Health, Outcome};
use crate::open::{DEVICE_MS, Waiter};
use crate::out::Out;
use write::Write;

pub(crate) use write::Wish;

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
    watches: BTreeMap<(PointId, Kind), Watch>,
    restless: BTreeMap<(PointId, Kind), Restless>,
    writes: BTreeMap<EffectId, Write>,
}

/// What becomes of a fault of the equipment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Course {
    /// It begins.
    Ill { app: AppId, point: PointId, failure: Failure },
    /// It is seen again, at this or another point; also when there are too many for one more to begin.
    Again { app: AppId, point: PointId, kind: Kind, known: PointId },
    /// It is over.
    Over(PointId, Kind, How),
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

impl Equipment {
    /// At boot: what was ill is probed.
    pub fn reboot(&mut self, ill: Vec<(PointId, Kind)>, now_ms: u64) {
        let watch = |fault| (fault, Watch::new(now_ms, WELL_MS, false));
        self.watches.extend(ill.into_iter().map(watch));
    }

    /// A device did not answer an app well: a fault, or more of one. Without treatment each time is told by itself.
    pub fn ill(
        &mut self,
        app: AppId,
        point: PointId,
        failure: Failure,
        set: bool,
        out: &mut Out,
    ) -> Option<Course> {
        if !failure.kind.is_in("equipment.*") {
            return None;
        }
        if !out.config.treats_faults() {
            return Some(Course::Ill { app, point, failure });
        }
        let now_ms = out.now.mono_ms;
        let refusal = set && matches!(failure.kind.as_str(), kind::EQUIPMENT_REFUSED | kind::EQUIPMENT_RANGE);
        let known = self.ill_again(&point, &failure.kind, refusal, now_ms);
        let full = self.watches.len() >= ILL_MAX;
        if let Some(known) = known.or(full.then(|| point.clone())) {
            return Some(Course::Again { app, point, kind: failure.kind, known });
        }
        let probe_at = now_ms + if refusal { REFUSAL_MS } else { PROBE_MS };
        let watch = Watch::new(probe_at, self.well_ms(&point, &failure.kind, now_ms), refusal);
        self.watches.insert((point.clone(), failure.kind.clone()), watch);
        if self.watches.len() == ILL_MAX {
            out.record_event("equipment-faults-at-their-most", [("open", (ILL_MAX as u64).into())]);
        }
        Some(Course::Ill { app, point, failure })
    }

    /// What is ill in one way is not well in another; where the fault is of which it is more, if there is one.
    fn ill_again(&mut self, point: &PointId, kind: &Kind, refusal: bool, now_ms: u64) -> Option<PointId> {
        let at = |(at, _): &&(PointId, Kind)| same(at, point, kind);
        let ill: Vec<_> = self.watches.keys().filter(at).cloned().collect();
        let mut again = None;
        for known in ill {
            let Some(watch) = self.watches.get_mut(&known) else { continue };
            watch.well_since = None;
            if known.1 == *kind {
                watch.refused(refusal, now_ms);
                again.get_or_insert(known.0);
            }
        }
        again
    }

    /// A device was asked whether it answers well again.
    pub fn probed(&mut self, point: &PointId, outcome: Outcome, out: &mut Out) -> Vec<Course> {
        self.at(point).for_each(|(_, watch)| watch.probing = false);
        match outcome {
            Outcome::Health(Health::Ill(failure)) => {
                self.ill(AppId::system(), point.clone(), failure, false, out).into_iter().collect()
            }
            Outcome::Health(Health::Well) => self.well(point, out.now.mono_ms),
            Outcome::Health(Health::Gone) => {
                let gone: Vec<_> = self.at(point).map(|(fault, _)| fault.clone()).collect();
                gone.iter().for_each(|fault| _ = self.watches.remove(fault));
                gone.into_iter().map(|(point, kind)| Course::Over(point, kind, How::Moot)).collect()
            }
            _ => {
                self.probe_overdue(point);
                Vec::new()
            }
        }
    }

    /// It cannot be told whether the device is well.
    pub fn probe_overdue(&mut self, point: &PointId) {
        self.at(point).for_each(|(_, watch)| watch.well_since = None);
    }

    /// What is watched at this very point.
    fn at<'a>(
        &'a mut self,
        point: &'a PointId,
    ) -> impl Iterator<Item = (&'a (PointId, Kind), &'a mut Watch)> {
        self.watches.iter_mut().filter(move |((at, _), _)| at == point)
    }

    /// The device answered a probe well: faults that waited for that are closed after a while.
    fn well(&mut self, point: &PointId, now_ms: u64) -> Vec<Course> {
        let mut over = Vec::new();
        for (fault, watch) in self.at(point).filter(|(_, watch)| !watch.refusal) {
            let since = *watch.well_since.get_or_insert(now_ms);
            over.extend((now_ms - since.min(now_ms) >= watch.well_ms).then(|| fault.clone()));
        }
        over.into_iter().filter_map(|fault| self.recovered(fault, now_ms)).collect()
    }

    fn recovered(&mut self, fault: (PointId, Kind), ended_ms: u64) -> Option<Course> {
        let Watch { well_ms, .. } = self.watches.remove(&fault)?;
        self.remember(fault.clone(), Restless { well_ms, ended_ms });
        Some(Course::Over(fault.0, fault.1, How::Cured))
    }

    /// The device was set and said so: what it refused before is probed like all else from now on.
    fn set_well(&mut self, point: &PointId, now_ms: u64) {
        for (_, watch) in self.at(point).filter(|(_, watch)| watch.refusal) {
            (watch.refusal, watch.probe_at) = (false, now_ms);
        }
    }

    /// Probes what is due.
    pub fn due(&mut self, out: &mut Out) {
        let now_ms = out.now.mono_ms;
        let due = |watch: &Watch| !watch.probing && watch.probe_at <= now_ms;
        let mut probes = BTreeSet::new();
        for ((point, _), watch) in self.watches.iter_mut().filter(|(_, watch)| due(watch)) {
            (watch.probe_at, watch.refusal, watch.probing) = (now_ms + PROBE_MS, false, true);
            probes.insert(point.clone());
        }
        for point in probes {
            out.effect_for(Waiter::Probe(point.clone()), Act::Probe(point), Some(DEVICE_MS));
        }
    }

    /// When something is probed.
    pub fn wake_at(&self) -> Option<u64> {
        self.watches.values().filter(|watch| !watch.probing).map(|watch| watch.probe_at).min()
    }

    /// For how long the device must be well before this fault, which opens now, is over.
    fn well_ms(&self, point: &PointId, kind: &Kind, now_ms: u64) -> u64 {
        let before = self.restless.iter().filter(|((at, of), _)| of == kind && same(at, point, kind));
        let recent = before.filter(|(_, was)| now_ms - was.ended_ms.min(now_ms) < FLAP_MS);
        recent.map(|(_, was)| (was.well_ms * 2).min(WELL_MS_MAX)).max().unwrap_or(WELL_MS)
    }

    fn remember(&mut self, fault: (PointId, Kind), restless: Restless) {
        self.restless.insert(fault, restless);
        if self.restless.len() > RESTLESS_MAX
            && let Some(oldest) =
                self.restless.iter().min_by_key(|(_, was)| was.ended_ms).map(|(at, _)| at.clone())
        {
            self.restless.remove(&oldest);
        }
    }
}

impl Watch {
    fn new(probe_at: u64, well_ms: u64, refusal: bool) -> Self {
        Self { probe_at, well_since: None, well_ms, refusal, probing: false }
    }

    /// It did not answer well again: a refusal to be set is waited for anew.
    fn refused(&mut self, refusal: bool, now_ms: u64) {
        if refusal {
            self.refusal = true;
            self.probe_at = self.probe_at.max(now_ms + REFUSAL_MS);
        }
    }
}

/// Whether what is said of one point is said of the other.
fn same(at: &PointId, point: &PointId, kind: &Kind) -> bool {
    at == point || (kind.as_str() == kind::EQUIPMENT_UNREACHABLE && at.device == point.device)
}
