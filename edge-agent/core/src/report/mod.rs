//! Reports: what dashboards and centers see of this edge. Flat, small, and never the truth that is acted on; that is
//! the journal.
//!
//! What is retained is published when it changed, at most once in [`REPORT_MS`], and all of it on each connection.

mod row;

use flotilla_schemas::Digest;
use flotilla_schemas::journal::Lane;
use flotilla_schemas::report::{InstalledApp, Inventory, Mode, Status};
use flotilla_schemas::topic::EdgeTopic;

use crate::effect::{Act, Send};
use crate::out::Out;
use crate::program::Programs;
use crate::wanted::Wanted;
use row::Rows;

/// The shortest time between two reports of the same thing, in milliseconds.
pub(crate) const REPORT_MS: u64 = 500;

/// How often the status is reported though nothing changed, in milliseconds; by up to a tenth sooner.
pub(crate) const STATUS_MS: u64 = 30_000;

/// What was reported, and when something may be again.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    memory_bytes: u64,
    disk_free_bytes: u64,
    status_next: u64,
    status_last: u64,
    rows: Rows,
}

/// What there is to report of.
pub(crate) struct Seen<'a> {
    pub programs: &'a Programs,
    pub wanted: &'a mut Wanted,
    pub faults: usize,
    pub mode: Mode,
}

impl Reports {
    /// What the machine has left.
    pub fn vitals(&mut self, memory_bytes: u64, disk_free_bytes: u64) {
        (self.memory_bytes, self.disk_free_bytes) = (memory_bytes, disk_free_bytes);
    }

    /// A new connection: all of it is said again.
    pub fn connected(&mut self, seen: &mut Seen<'_>, out: &mut Out) {
        self.rows.clear();
        self.status_next = 0;
        out.effect(Act::Publish(out.own(EdgeTopic::Avail), b"online".to_vec(), Send::State));
        (out.inventory_due, out.status_due) = (true, true);
        self.due(seen, out);
    }

    /// Reports what is due.
    pub fn due(&mut self, seen: &mut Seen<'_>, out: &mut Out) {
        if !out.connected {
            return;
        }
        self.rows.due(seen, out);
        let now_ms = out.now.mono_ms;
        let regular = now_ms >= self.status_last + self.status_pause(out);
        if now_ms >= self.status_next && (out.status_due || regular) {
            self.status(seen, out);
        }
        if std::mem::take(&mut out.inventory_due) {
            inventory(seen.programs, out);
        }
    }

    /// When something is due by itself.
    pub fn wake_at(&self, out: &Out) -> Option<u64> {
        let regular = self.status_last + self.status_pause(out);
        let status = if out.status_due { self.status_next } else { regular };
        let rows = self.rows.wake_at(out.now.mono_ms);
        out.connected.then(|| rows.map_or(status, |rows| rows.min(status)))
    }

    /// Shortened by up to a tenth, differently for each edge and time, so that a fleet does not speak at once.
    fn status_pause(&self, out: &Out) -> u64 {
        let seed = format!("{}/{}", out.config.session, self.status_last);
        STATUS_MS - STATUS_MS * u64::from(Digest::of(seed.as_bytes()).first()) / 2560
    }

    fn status(&mut self, seen: &Seen<'_>, out: &mut Out) {
        out.status_due = false;
        (self.status_last, self.status_next) = (out.now.mono_ms, out.now.mono_ms + REPORT_MS);
        let meta = out.meta();
        let lanes = &out.journal.lanes;
        let head = |lane| lanes.lane(lane).head;
        let status = Status {
            meta,
            fleet: out.config.fleet.fleet.clone(),
            key: out.config.key.clone(),
            mode: seen.mode,
            services: seen.programs.services() as u32,
            apps_loaded: seen.programs.apps().filter(|(_, app)| app.loaded.is_some()).count() as u32,
            faults_open: seen.faults as u32,
            journal_epoch: out.journal.epoch.clone(),
            journal_head_0: head(Lane::Fault),
            journal_head_1: head(Lane::Event),
            journal_head_2: head(Lane::Reading),
            journal_unacked: Lane::ALL.into_iter().map(|lane| lanes.lane(lane).unacked()).sum(),
            desired_digest: seen.wanted.digest(),
            n_max: seen.wanted.n_max(),
            catalog: seen.wanted.catalog.version(),
            memory_bytes: self.memory_bytes,
            disk_free_bytes: self.disk_free_bytes,
            runtime: out.config.runtime.clone(),
            agent: out.config.agent.clone(),
        };
        out.publish(out.own(EdgeTopic::Status), &status, Send::State);
    }

    /// The last word of this session.
    pub fn stopped(&mut self, seen: &Seen<'_>, out: &mut Out) {
        if out.connected {
            self.status(seen, out);
            out.effect(Act::Publish(out.own(EdgeTopic::Avail), b"offline".to_vec(), Send::State));
        }
    }
}

fn inventory(programs: &Programs, out: &mut Out) {
    let apps = programs.opened().flat_map(|(_, opened)| &opened.apps).map(|(app, (digest, release))| {
        let version = release.manifest.version.to_string();
        (app.clone(), InstalledApp { version, release: *digest })
    });
    let apps = apps.collect();
    let services = programs.opened().map(|(id, opened)| (id.clone(), opened.version())).collect();
    let config = out.config.clone();
    let (arch, runtime, agent) = (config.arch.clone(), config.runtime.clone(), config.agent.clone());
    let profile = config.profile;
    let inventory = Inventory { meta: out.meta(), apps, services, profile, arch, runtime, agent };
    out.publish(out.own(EdgeTopic::Inventory), &inventory, Send::State);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn topics(out: &mut Out) -> Vec<String> {
        let topic = |effect: crate::effect::Effect| match effect.act {
            Act::Publish(topic, ..) => {
                Some(topic.to_string().rsplit('/').next().unwrap_or_default().to_owned())
            }
            _ => None,
        };
        out.take_step().effects.into_iter().filter_map(topic).collect()
    }

    #[test]
    fn a_status_comes_on_connecting_then_when_due_and_never_twice_in_a_moment() {
        let (mut reports, mut out) = (Reports::default(), samples::out());
        let (programs, mut wanted) = (Programs::default(), samples::wanted());
        let mode = Mode::Operating;
        let mut seen = Seen { programs: &programs, wanted: &mut wanted, faults: 0, mode };
        reports.due(&mut seen, &mut out);
        assert_eq!((topics(&mut out), reports.wake_at(&out)), (vec![], None), "nobody hears it");
        out.connected = true;
        reports.connected(&mut seen, &mut out);
        assert_eq!(topics(&mut out), ["avail", "status", "inventory"]);
        out.status_due = true;
        reports.due(&mut seen, &mut out);
        assert_eq!((topics(&mut out), reports.wake_at(&out)), (vec![], Some(REPORT_MS)));
        out.now.mono_ms = REPORT_MS;
        reports.due(&mut seen, &mut out);
        assert_eq!(topics(&mut out), ["status"]);
        let next = reports.wake_at(&out).unwrap();
        assert!((STATUS_MS * 9 / 10..=STATUS_MS).contains(&(next - REPORT_MS)), "{next}");
        reports.stopped(&seen, &mut out);
        assert_eq!(topics(&mut out), ["status", "avail"]);
    }
}
