//! Apps on this edge: which program stands for an app, and whether it is in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_schemas::app::Residence;
use flotilla_schemas::fault::{Kind, kind};
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Digest, PointId};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::effect::{Act, Code, EffectId};
use crate::input::{Config, Failure};

/// The most programs that may stand for one another in a row.
const REPLACEMENTS_MAX: usize = 8;

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

/// What of a release runs here: machine code for this runtime, or the component where the edge compiles.
pub(crate) fn code(config: &Config, release: &Release) -> Result<Code, Failure> {
    if let Some(machine) = release.machine.get(&config.runtime) {
        return Ok(Code::Machine(machine.clone()));
    }
    if config.compiles {
        return Ok(Code::Wasm(release.wasm.clone()));
    }
    let (app, version, runtime) = (release.app(), release.manifest.version, &config.runtime);
    let target = runtime.split('/').nth(1).unwrap_or(runtime);
    let text = format!(
        "{app} {version} has no machine code for {runtime}; publish its next version also with --target {target}, \
         by a flotilla of this edge's version"
    );
    Err(Failure::new(kind::RUNTIME, text))
}

/// Whether its code stays where it was brought for as long as it is installed: on a disk, unless it is transient.
pub(crate) fn is_kept(config: &Config, release: &Release) -> bool {
    config.profile.disk && !is_transient(release)
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

    /// The code of a release that can run here at all: there is some, and it is not larger than all memory for apps.
    pub(crate) fn fits(&self, release: &Release) -> Result<Code, Failure> {
        let code = code(&self.config, release)?;
        let (needs, max) = (self.memory_of(release), self.config.profile.memory_bytes_max);
        let Some(max) = max.filter(|max| needs > *max) else { return Ok(code) };
        let (app, version) = (release.app(), release.manifest.version);
        let text = format!(
            "{app} {version} needs {needs} bytes of code and memory, more than the {max} that this edge gives its \
             apps; start the edge with a greater --memory-mib, or publish it with a smaller limits.memory_bytes"
        );
        Err(Failure::new(kind::TOO_LARGE, text))
    }

    /// Ends what an app is busy with; it stays busy until that has ended.
    pub(crate) fn cancel(&mut self, id: &AppId) {
        self.app(id.clone()).restart = true;
        self.effect(Act::Unload(id.clone()));
    }

    /// Takes an app out of memory: at once, or when what is under way with it has ended.
    pub(crate) fn unload(&mut self, id: &AppId) {
        let app = self.app(id.clone());
        if app.is_busy() {
            app.restart = true;
        } else if app.loaded.take().is_some() {
            self.effect(Act::Unload(id.clone()));
        }
    }
}
