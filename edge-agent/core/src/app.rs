//! Apps on this edge: which program stands for an app, and whether it is in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_schemas::app::Residence;
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Digest};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::effect::{Code, Effect};
use crate::input::Config;

/// The most programs that may stand for one another in a row.
const REPLACEMENTS_MAX: usize = 8;

/// An app that this edge has or should have.
#[derive(Debug, Default)]
pub(crate) struct App {
    pub kept: Kept,
    /// The release that is in memory.
    pub loaded: Option<Digest>,
    /// The release that is being loaded, and the effect that does it.
    pub loading: Option<(u64, Digest)>,
    /// The call under way.
    pub calling: Option<u64>,
    /// It is to be taken out of memory as soon as it is not busy.
    pub restart: bool,
    /// Events since the last call began.
    pub events: u32,
    /// The device that did not answer it well since then, if one did not, and how.
    pub let_down: Option<String>,
    /// How often it was loaded in this session.
    pub loads: u64,
    /// How often it was downloaded in this session.
    pub downloads: u64,
    /// Its code is on its way for a run.
    pub fetching: bool,
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
}

/// What of a release runs here: machine code for this runtime, or the component where the edge compiles.
pub(crate) fn code(config: &Config, release: &Release) -> Result<Code, String> {
    if let Some(machine) = release.machine.get(&config.runtime) {
        return Ok(Code::Machine(machine.clone()));
    }
    if config.compiles {
        return Ok(Code::Wasm(release.wasm.clone()));
    }
    let (app, version) = (release.app(), release.manifest.version);
    Err(format!("{app} {version} has no machine code for {}; publish it for this runtime", config.runtime))
}

/// Whether it is deleted after each run.
pub(crate) fn is_transient(release: &Release) -> bool {
    release.manifest.residence == Residence::Transient
}

impl Core {
    pub(crate) fn app(&mut self, id: AppId) -> &mut App {
        self.apps.entry(id).or_default()
    }

    pub(crate) fn keep_app(&mut self, id: &AppId) {
        let kept = self.app(id.clone()).kept.clone();
        self.keep(format!("app/{id}"), &kept);
    }

    /// The program that stands for this app now.
    pub(crate) fn standing_for(&self, app: &AppId) -> AppId {
        let mut app = app;
        for _ in 0..REPLACEMENTS_MAX {
            match self.apps.get(app).and_then(|app| app.kept.replaced_by.as_ref()) {
                Some(other) => app = other,
                None => break,
            }
        }
        app.clone()
    }

    /// The code of an app has come.
    pub(crate) fn count_download(&mut self, digest: Digest) {
        let opened = self.services.values().filter_map(|service| service.opened.as_ref());
        let installed = opened.flat_map(|opened| opened.apps.values().map(|(_, release)| release));
        let is_it = |release: &&Arc<Release>| {
            code(&self.config, release).is_ok_and(|code| code.artifact().digest == digest)
        };
        let apps: BTreeSet<AppId> = installed
            .chain(self.releases.apps())
            .filter(is_it)
            .map(|release| release.app().clone())
            .collect();
        for app in apps {
            self.app(app).downloads += 1;
        }
    }

    /// Takes an app out of memory: at once, or when what is under way with it has ended.
    pub(crate) fn unload(&mut self, id: &AppId) {
        let app = self.app(id.clone());
        if app.is_busy() {
            app.restart = true;
        } else if app.loaded.take().is_some() {
            self.effect(Effect::Unload(id.clone()));
        }
    }
}
