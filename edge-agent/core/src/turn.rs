//! Turns: apps that together do not fit into an edge's memory run each in turn.
//!
//! A run takes its turn before it loads an app, and before it begins with one that is there while others wait. Those
//! who wait stand in one row; the first takes what it needs from apps that no run is under way with. Who waits holds
//! nothing, and what is under way ends at its deadline at the latest, so the first always gets its turn and no two
//! wait for each other. Without a bound nobody ever waits.

use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, ServiceId};

use crate::app::{code, is_kept};
use crate::core::Core;
use crate::run::Run;

impl Core {
    /// What an app takes: its code, its memory, and without a disk the file of its code.
    pub(crate) fn memory_of(&self, release: &Release) -> u64 {
        let code = code(&self.config, release).map_or(0, |code| code.artifact().size);
        let copies = if self.config.profile.disk { 1 } else { 2 };
        code * copies + u64::from(release.manifest.limits.memory_bytes)
    }

    /// Whether a run may call this app, which is in memory, now: at once if it has begun, or if nobody waits.
    pub(crate) fn may_go_on(&mut self, id: &ServiceId, app: &AppId, release: &Release) -> bool {
        let run = self.services.get(id).and_then(|service| service.run.as_ref());
        self.turns.is_empty() || run.is_some_and(Run::is_moving) || self.take_turn(id, app, release)
    }

    /// Whether there is room for this app now; if not, the run stands in the row.
    pub(crate) fn take_turn(&mut self, id: &ServiceId, app: &AppId, release: &Release) -> bool {
        let Some(max) = self.config.profile.memory_bytes_max else { return true };
        if !self.turns.contains(id) {
            self.turns.push_back(id.clone());
        }
        let may = self.turns.front() == Some(id) && self.make_way(id, app, self.memory_of(release), max);
        if may {
            self.leave_turn(id);
        } else {
            self.service(id.clone()).waits = format!("{app} waits for its turn in {max} bytes of memory");
        }
        may
    }

    pub(crate) fn leave_turn(&mut self, id: &ServiceId) {
        self.turns.retain(|other| other != id);
    }

    /// Takes apps out of memory, those that were called longest ago first, until this one fits; none if it cannot.
    fn make_way(&mut self, id: &ServiceId, app: &AppId, bytes: u64, max: u64) -> bool {
        let others = || self.apps.iter().filter(|(other, state)| *other != app && state.is_in_memory());
        let mut taken: u64 = others().map(|(_, state)| state.memory_bytes).sum();
        let mut idle: Vec<(u64, AppId, u64)> = others()
            .filter(|(other, state)| !state.is_busy() && !self.is_held(id, other))
            .map(|(other, state)| (state.called, other.clone(), state.memory_bytes))
            .collect();
        idle.sort();
        let mut leaving = Vec::new();
        for (_, other, memory_bytes) in idle {
            if taken + bytes > max {
                taken -= memory_bytes;
                leaving.push(other);
            }
        }
        let fits = taken + bytes <= max;
        if fits {
            leaving.iter().for_each(|other| self.drop_app(other));
        }
        fits
    }

    /// Whether the run of another service is under way with this app.
    fn is_held(&self, id: &ServiceId, app: &AppId) -> bool {
        let others = self.services.iter().filter(|(other, _)| *other != id);
        others.filter_map(|(_, service)| service.run.as_ref()).any(|run| run.holds(app))
    }

    /// Takes an idle app out of memory, and without a disk the file of its code too.
    fn drop_app(&mut self, id: &AppId) {
        self.unload(id);
        let opened = self.services.values().filter_map(|service| service.opened.as_ref());
        let releases = opened.filter_map(|opened| opened.apps.get(id)).map(|(_, release)| release);
        let fetched = releases.filter(|release| !is_kept(&self.config, release));
        let codes: Vec<_> = fetched.filter_map(|release| code(&self.config, release).ok()).collect();
        codes.iter().for_each(|code| self.lost(code.artifact()));
    }
}
