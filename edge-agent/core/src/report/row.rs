//! The edge's own rows of the distribution table: one a release, with what is installed, what is wanted, and why it waits.
//!
//! A row is published when it changed. One of a release that is neither here nor wanted any more is said once more, as
//! absent, and forgotten.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::release::ReleaseName;
use flotilla_schemas::report::{ReleaseRow, ReleaseState};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{AppId, ScriptId};

use super::{REPORT_MS, Seen};
use crate::effect::Send;
use crate::out::Out;

/// The rows as they were published last.
#[derive(Debug, Default)]
pub(super) struct Rows {
    told: BTreeMap<ReleaseName, Row>,
    next: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    installed: String,
    latest: String,
    state: ReleaseState,
    since: i64,
    waits: String,
    replaced_by: String,
    loads: u64,
    downloads: u64,
}

impl Rows {
    /// All of them are to be said again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Reports those that changed.
    pub fn due(&mut self, seen: &mut Seen<'_>, out: &mut Out) {
        if out.now.mono_ms < self.next {
            return;
        }
        let known = seen.programs.known_releases();
        let names: BTreeSet<ReleaseName> = self.told.keys().chain(&known).cloned().collect();
        for name in names {
            let Some(mut row) = row(&name, seen, out) else { continue };
            let before = self.told.get(&name);
            row.since = before.filter(|before| before.state == row.state).map_or(row.since, |row| row.since);
            if before != Some(&row) {
                self.next = out.now.mono_ms + REPORT_MS;
                report(name.clone(), row.clone(), out);
                self.told.insert(name.clone(), row);
            }
            if !known.contains(&name) {
                self.told.remove(&name);
            }
        }
    }

    /// When what changed meanwhile may be reported.
    pub fn wake_at(&self, now_ms: u64) -> Option<u64> {
        (self.next > now_ms).then_some(self.next)
    }
}

/// The row of a release, of which this edge may have apps and scripts.
fn row(name: &ReleaseName, seen: &mut Seen<'_>, out: &Out) -> Option<Row> {
    match name {
        ReleaseName::App(app) => Some(app_row(app, seen, out)),
        ReleaseName::Script(script) => Some(script_row(script, seen, out)),
        ReleaseName::Environment(_) | ReleaseName::Agent(_) => None,
    }
}

fn script_row(id: &ScriptId, seen: &mut Seen<'_>, out: &Out) -> Row {
    let mut opened = seen.programs.opened().filter(|(_, opened)| opened.service.work.script() == Some(id));
    let installed = opened.next_back().map(|(_, opened)| opened.version()).unwrap_or_default();
    let digest = seen.programs.wanted_script(id);
    let latest = digest.and_then(|digest| seen.wanted.catalog.script(digest).ok());
    let state = match (installed.is_empty(), digest) {
        (false, _) => ReleaseState::Installed,
        (true, Some(_)) => ReleaseState::Downloading,
        (true, None) => ReleaseState::Absent,
    };
    Row {
        installed,
        latest: latest.map(|release| release.version.to_string()).unwrap_or_default(),
        state,
        since: out.now.wall_ms,
        waits: seen.programs.why_script_waits(id),
        replaced_by: String::new(),
        loads: 0,
        downloads: 0,
    }
}

fn app_row(id: &AppId, seen: &mut Seen<'_>, out: &Out) -> Row {
    let release = seen.programs.opened().find_map(|(_, opened)| opened.apps.get(id));
    let release = release.map(|(_, release)| release.clone());
    let on_disk = release.as_ref().is_some_and(|release| seen.programs.is_on_disk(release, out));
    let wanted = seen.programs.wanted_releases(id);
    let latest = wanted.into_iter().filter_map(|digest| seen.wanted.catalog.release(digest).ok()).next_back();
    let app = seen.programs.app(id);
    let loaded = app.is_some_and(|app| app.loaded.is_some());
    let state = match app {
        Some(app) if app.kept.quarantined => ReleaseState::Quarantined,
        Some(app) if app.calling.is_some() => ReleaseState::Running,
        Some(_) if loaded => ReleaseState::Loaded,
        _ if on_disk => ReleaseState::Installed,
        _ if release.is_none() && latest.is_some() => ReleaseState::Downloading,
        Some(app) if app.fetching => ReleaseState::Downloading,
        _ => ReleaseState::Absent,
    };
    let version = release.filter(|_| on_disk || loaded).map(|release| release.manifest.version.to_string());
    let replaced_by = app.and_then(|app| app.kept.replaced_by.as_ref()).map(ToString::to_string);
    Row {
        installed: version.unwrap_or_default(),
        latest: latest.map(|release| release.manifest.version.to_string()).unwrap_or_default(),
        state,
        since: out.now.wall_ms,
        waits: seen.programs.why_app_waits(id),
        replaced_by: replaced_by.unwrap_or_default(),
        loads: app.map_or(0, |app| app.loads),
        downloads: app.map_or(0, |app| app.downloads),
    }
}

fn report(release: ReleaseName, row: Row, out: &mut Out) {
    let Row { installed, latest, state, since, waits, replaced_by, loads, downloads } = row;
    let (meta, topic) = (out.meta(), out.own(EdgeTopic::Release(release.clone())));
    let row =
        ReleaseRow { meta, release, installed, latest, state, since, waits, replaced_by, loads, downloads };
    out.publish(topic, &row, Send::State);
}
