//! Turns: apps that together do not fit into an edge's memory run each in turn.
//!
//! A run takes its turn before it fetches an app, before it loads one, and before it begins with one that is there while
//! others wait. Those who wait stand in one row, and each may take what it needs: files that nobody needs or that are
//! for those behind it, then apps that no run is under way with. Nobody passes one who waits for room, and everybody
//! one whose file is on its way, for that may take for ever. What is under way ends at its deadline at the latest, so
//! the first always gets its turn and no two wait for each other. Without a bound nobody ever waits.

use std::collections::BTreeMap;

use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Artifact, Digest, ServiceId};

use super::Programs;
use super::fit::{code, is_kept, memory_of};
use super::run::Run;
use super::waits::Waits;
use crate::effect::EffectId;
use crate::out::Out;

/// A file in memory, or on its way there, of an app that is not loaded.
struct File {
    /// Where the first stands in the row that may need it; beyond its end if nobody does.
    place: usize,
    app: AppId,
    artifact: Artifact,
}

/// What can be taken from others.
enum Spare {
    File(File),
    App(AppId),
}

impl Programs {
    /// Whether a run may call this app, which is in memory, now: at once if it has begun, or if nobody waits.
    pub(super) fn may_go_on(
        &mut self,
        id: &ServiceId,
        app: &AppId,
        release: &Release,
        out: &mut Out,
    ) -> bool {
        let run = self.services.get(id).and_then(|service| service.run.as_ref());
        let may = self.turns.is_empty()
            || run.is_some_and(Run::is_moving)
            || self.take_turn(id, app, memory_of(&out.config, release), out);
        if may {
            self.leave_turn(id);
        }
        may
    }

    /// Whether it is the run's turn and there is room for so much of this app now. Until it [leaves](Self::leave_turn)
    /// it stands in the row.
    pub(super) fn take_turn(&mut self, id: &ServiceId, app: &AppId, bytes: u64, out: &mut Out) -> bool {
        let Some(bytes_max) = out.config.profile.memory_bytes_max else { return true };
        if !self.turns.contains(id) {
            self.turns.push_back(id.clone());
        }
        let place = self.place(id);
        let fetches =
            |other| self.services.get(other).and_then(|other| other.run.as_ref()).is_some_and(Run::fetches);
        let may = self.turns.iter().take(place).all(fetches) && self.make_way(id, app, bytes, bytes_max, out);
        if !may {
            self.set_waits(id, Some(Waits::Turn { app: app.clone(), bytes_max }));
        }
        may
    }

    pub(super) fn leave_turn(&mut self, id: &ServiceId) {
        self.turns.retain(|other| other != id);
    }

    fn place(&self, id: &ServiceId) -> usize {
        self.turns.iter().position(|other| other == id).unwrap_or(self.turns.len())
    }

    /// Takes files and apps out of memory, those first that are needed last, until there is room; none if that does not
    /// help.
    fn make_way(&mut self, id: &ServiceId, app: &AppId, bytes: u64, bytes_max: u64, out: &mut Out) -> bool {
        let mut files = self.files(out);
        files.retain(|file| file.app != *app);
        let apps = || self.apps.iter().filter(|(other, state)| *other != app && state.is_in_memory());
        let mut taken = files.iter().map(|file| file.artifact.size).sum::<u64>()
            + apps().map(|(_, state)| state.memory_bytes).sum::<u64>();
        let place = self.place(id);
        files.retain(|file| file.place >= place);
        files.sort_by_key(|file| std::cmp::Reverse(file.place));
        let mut idle: Vec<(EffectId, AppId, u64)> = apps()
            .filter(|(other, state)| !state.is_busy() && !self.is_held(id, other))
            .map(|(other, state)| (state.called, other.clone(), state.memory_bytes))
            .collect();
        idle.sort();
        let files = files.into_iter().map(|file| (file.artifact.size, Spare::File(file)));
        let spare = files.chain(idle.into_iter().map(|(_, app, bytes)| (bytes, Spare::App(app))));
        let mut leaving = Vec::new();
        for (spared, what) in spare {
            if taken + bytes > bytes_max {
                taken -= spared;
                leaving.push(what);
            }
        }
        let fits = taken + bytes <= bytes_max;
        if fits {
            leaving.into_iter().for_each(|what| self.drop_spare(what, out));
        }
        fits
    }

    /// The files of code that take memory beside that of apps.
    fn files(&self, out: &Out) -> Vec<File> {
        let mut files: BTreeMap<Digest, File> = BTreeMap::new();
        for (id, service) in self.services.iter().filter(|_| !out.config.profile.disk) {
            let place = self.place(id);
            for (app, (digest, release)) in service.opened.iter().flat_map(|opened| &opened.apps) {
                let (Ok(code), Some(state)) = (code(&out.config, release), self.apps.get(app)) else {
                    continue;
                };
                let artifact = code.artifact();
                if (state.fetching || self.downloads.has(artifact)) && !state.is_of(digest) {
                    let (app, artifact) = (app.clone(), artifact.clone());
                    let file = files.entry(artifact.digest).or_insert(File { place, app, artifact });
                    file.place = file.place.min(place);
                }
            }
        }
        files.into_values().collect()
    }

    /// Whether the run of another service is under way with this app.
    fn is_held(&self, id: &ServiceId, app: &AppId) -> bool {
        let others = self.services.iter().filter(|(other, _)| *other != id);
        others.filter_map(|(_, service)| service.run.as_ref()).any(|run| run.holds(app))
    }

    fn drop_spare(&mut self, what: Spare, out: &mut Out) {
        match what {
            Spare::App(id) => self.drop_app(&id, out),
            Spare::File(File { app, artifact, .. }) => {
                self.apps.entry(&app).fetching = false;
                self.downloads.lost(&artifact, out);
            }
        }
    }

    /// Takes an idle app out of memory, and without a disk the file of its code too.
    fn drop_app(&mut self, id: &AppId, out: &mut Out) {
        let loaded = self.apps.get(id).and_then(|app| app.loaded);
        self.apps.unload(id, out);
        let opened = self.services.values().filter_map(|service| service.opened.as_ref());
        let releases =
            opened.filter_map(|opened| opened.apps.get(id)).filter(|(digest, _)| Some(*digest) == loaded);
        let fetched = releases.filter(|(_, release)| !is_kept(&out.config, release));
        let codes: Vec<_> = fetched.filter_map(|(_, release)| code(&out.config, release).ok()).collect();
        codes.iter().for_each(|code| self.downloads.lost(code.artifact(), out));
    }
}
