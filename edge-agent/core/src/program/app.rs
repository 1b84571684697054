//! Apps on this edge: which program stands for an app, whether it is in memory, and what it is busy with.
//!
//! An app that is busy is neither called nor loaded nor taken out until the answer to what it is busy with came, also
//! when nobody waits for that any more.

use std::collections::BTreeMap;

use flotilla_schemas::fault::Kind;
use flotilla_schemas::{AppId, Digest, PointId};
use serde::{Deserialize, Serialize};

use crate::effect::{Act, EffectId};
use crate::out::Out;

/// The most programs that may stand for one another in a row.
const REPLACEMENTS_MAX: usize = 8;

/// The most apps of which something is remembered though no service uses them.
pub(crate) const UNUSED_MAX: usize = 64;

/// An app that this edge has or should have.
#[derive(Debug, Default)]
pub(crate) struct App {
    pub kept: Kept,
    /// The release that is in memory.
    pub loaded: Option<Digest>,
    /// The release that is being loaded, and the effect that does it.
    pub loading: Option<(EffectId, Digest)>,
    /// The call under way.
    pub calling: Option<EffectId>,
    /// It is to be taken out of memory as soon as it is not busy.
    pub restart: bool,
    /// Events since the last call began.
    pub events: u32,
    /// The device that did not answer it well since then, if one did not, and how.
    pub let_down: Option<(PointId, Kind)>,
    /// How often it was loaded in this session.
    pub loads: u64,
    /// How often it was downloaded in this session.
    pub downloads: u64,
    /// Its code is on its way for a run.
    pub fetching: bool,
    /// What it takes while it is in memory.
    pub memory_bytes: u64,
    /// How long a call of it may take, in milliseconds.
    pub deadline_ms: u32,
    /// The last call of it: the greater, the later.
    pub called: EffectId,
}

/// What is kept of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The app that runs in its place.
    pub replaced_by: Option<AppId>,
    /// It is not run until a person releases it.
    pub quarantined: bool,
}

impl App {
    /// Whether it can neither be called nor loaded now.
    pub fn is_busy(&self) -> bool {
        self.loading.is_some() || self.calling.is_some()
    }

    /// Whether this release of it is in memory, or is being loaded.
    pub fn is_of(&self, release: &Digest) -> bool {
        self.loaded == Some(*release) || self.loading.is_some_and(|(_, loading)| loading == *release)
    }

    /// Whether it takes memory.
    pub fn is_in_memory(&self) -> bool {
        self.loaded.is_some() || self.loading.is_some()
    }
}

/// The apps, by their names. One that nothing happened to yet is not among them, and is as any new one.
#[derive(Debug, Default)]
pub(crate) struct Apps(BTreeMap<AppId, App>);

impl Apps {
    /// What was kept of an app.
    pub fn found(&mut self, id: AppId, kept: Kept) {
        self.0.insert(id, App { kept, ..App::default() });
    }

    /// The app, if anything happened to it.
    pub fn get(&self, id: &AppId) -> Option<&App> {
        self.0.get(id)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: &AppId) -> Option<&mut App> {
        self.0.get_mut(id)
    }

    /// The app, to which something happens now.
    pub fn entry(&mut self, id: &AppId) -> &mut App {
        self.0.entry(id.clone()).or_default()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&AppId, &App)> {
        self.0.iter()
    }

    /// The program that stands for this app now.
    pub fn standing_for(&self, app: &AppId) -> AppId {
        let mut app = app;
        for _ in 0..REPLACEMENTS_MAX {
            match self.get(app).and_then(|app| app.kept.replaced_by.as_ref()) {
                Some(other) => app = other,
                None => break,
            }
        }
        app.clone()
    }

    /// Keeps what is to be known of an app after a restart.
    pub fn keep(&mut self, id: &AppId, kept: Kept, out: &mut Out) {
        if kept == Kept::default() {
            out.forget(format!("app/{id}"));
        } else {
            out.keep(format!("app/{id}"), &kept);
        }
        self.entry(id).kept = kept;
    }

    /// Takes an app out of memory: at once, or when what is under way with it has ended.
    pub fn unload(&mut self, id: &AppId, out: &mut Out) {
        let Some(app) = self.get_mut(id) else { return };
        if app.is_busy() {
            app.restart = true;
        } else if app.loaded.take().is_some() {
            out.effect(Act::Unload(id.clone()));
        }
    }

    /// Ends what an app is busy with; it stays busy until that has ended.
    pub fn cancel(&mut self, id: &AppId, out: &mut Out) {
        self.entry(id).restart = true;
        out.effect(Act::Unload(id.clone()));
    }

    /// Takes what is not used out of memory, and forgets it but for what a person decided; of that, too, no more than
    /// [`UNUSED_MAX`].
    pub fn leave(&mut self, is_used: impl Fn(&AppId) -> bool, out: &mut Out) {
        let unused: Vec<AppId> = self.0.keys().filter(|id| !is_used(id)).cloned().collect();
        let mut remembered = 0;
        for id in unused {
            self.unload(&id, out);
            let Some(app) = self.get_mut(&id) else { continue };
            app.fetching = false;
            let decided = app.kept != Kept::default();
            remembered += usize::from(decided);
            if decided && remembered > UNUSED_MAX {
                out.forget(format!("app/{id}"));
            } else if decided || app.is_busy() {
                continue;
            }
            self.0.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn id(app: &str) -> AppId {
        app.parse().unwrap()
    }

    #[test]
    fn looking_an_app_up_does_not_make_it() {
        let apps = Apps::default();
        assert!(apps.get(&id("a")).is_none() && apps.standing_for(&id("a")) == id("a"));
        assert_eq!(apps.iter().count(), 0);
    }

    #[test]
    fn programs_that_stand_for_one_another_in_a_ring_are_followed_to_an_end() {
        let (mut apps, mut out) = (Apps::default(), samples::out());
        for (app, by) in [("a", "b"), ("b", "a")] {
            apps.keep(&id(app), Kept { replaced_by: Some(id(by)), quarantined: false }, &mut out);
        }
        apps.standing_for(&id("a"));
    }

    #[test]
    fn a_busy_app_is_taken_out_when_it_is_not() {
        let (mut apps, mut out) = (Apps::default(), samples::out());
        let app = apps.entry(&id("a"));
        (app.loaded, app.calling) = (Some(Digest::of(b"a")), Some(EffectId(1)));
        apps.unload(&id("a"), &mut out);
        assert!(apps.get(&id("a")).unwrap().restart && out.take_step().effects.is_empty());
        apps.entry(&id("a")).calling = None;
        apps.unload(&id("a"), &mut out);
        assert_eq!(out.take_step().effects[0].act, Act::Unload(id("a")));
    }

    #[test]
    fn of_apps_that_nobody_uses_no_more_is_remembered_than_the_most() {
        let (mut apps, mut out) = (Apps::default(), samples::out());
        for n in 0..UNUSED_MAX + 5 {
            apps.keep(&id(&format!("a{n:03}")), Kept { replaced_by: None, quarantined: true }, &mut out);
        }
        apps.entry(&id("plain"));
        apps.leave(|app| *app == id("a000"), &mut out);
        assert_eq!(apps.iter().count(), UNUSED_MAX + 1);
        assert!(apps.get(&id("a000")).is_some() && apps.get(&id("plain")).is_none());
    }
}
