//! The way in: each input, message and answer goes to the room that it concerns.

use flotilla_schemas::command::{Command, Order};

use super::Core;
use crate::command;
use crate::door::{self, Heard};
use crate::effect::EffectId;
use crate::equipment::Wish;
use crate::input::{Input, Outcome};
use crate::open::Waiter;
use crate::wanted::Change;

impl Core {
    /// Hands an input to the room that it concerns.
    pub(super) fn take(&mut self, input: Input) {
        let out = &mut self.out;
        match input {
            Input::Tick => {}
            Input::Connected => self.connected(),
            Input::Disconnected => out.connected = false,
            Input::Message { topic, payload, sig } => {
                let heard = door::open(&topic, payload, sig.as_ref(), &self.centers, out);
                heard.into_iter().for_each(|heard| self.heard(heard));
            }
            Input::Done { id, outcome } => {
                if let Some(waiter) = out.open.answered(id) {
                    self.done(id, waiter, outcome);
                }
            }
            Input::AppEvent { app, name, fields } => self.programs.app_event(&app, name, fields, out),
            Input::Ill { app, point, failure } => {
                let course = self.equipment.ill(app, point, failure, false, out);
                self.go(course);
            }
            Input::Write { write: number, app, point, value } => {
                let service = self.programs.running(&app);
                self.equipment.write(Wish { number, app, point, value, service }, out);
            }
            Input::Vitals { memory_bytes, disk_free_bytes } => {
                self.reports.vitals(memory_bytes, disk_free_bytes)
            }
            Input::Storage { error } => {
                out.storage_full = error.is_some();
                let verdict = self.faults.storage(error, out);
                self.treat(verdict);
            }
            Input::Stop => self.stop(),
        }
    }

    fn connected(&mut self) {
        self.out.connected = true;
        self.programs.connected(self.out.now.mono_ms);
        self.out.journal.connected();
        self.report(|reports, seen, out| reports.connected(seen, out));
        self.faults.connected(&mut self.out);
    }

    fn heard(&mut self, heard: Heard) {
        let out = &mut self.out;
        match heard {
            Heard::Chunk(bytes) => self.programs.chunk(&bytes, out),
            Heard::Echo(app, kind) => self.faults.echo(&app, &kind, out),
            Heard::Catalog(catalog) => self.wanted.catalog.take(catalog, out),
            Heard::Desired(desired, came) => {
                for change in self.wanted.take(desired, came, out) {
                    self.changed(change);
                }
            }
            Heard::Ack(ack) => {
                if out.acked(&ack) {
                    let center = &ack.center;
                    out.warn(format!(
                        "{center} holds other records than this journal: its disk was restored or cloned"
                    ));
                    out.rename_journal();
                    let verdict = self.faults.forked(center, out);
                    self.treat(verdict);
                }
            }
            Heard::Answer(answer) => {
                let verdict = self.faults.answered(answer, out);
                self.treat(verdict);
            }
            Heard::Command(command) => self.commanded(&command),
        }
    }

    fn changed(&mut self, change: Change) {
        match change {
            Change::Policy(list) => {
                let version = self.faults.adopt(&list, &mut self.out);
                self.out.record_event("countermeasures-adopted", [("list-ver", version.into())]);
            }
            Change::Service(id, service, n) => {
                self.out.record_event("service-wanted", [("service", id.as_str().into()), ("n", n.into())]);
                self.programs.want(id, service, &mut self.out);
            }
        }
    }

    fn commanded(&mut self, command: &Command) {
        let Some(order) = self.commands.take(command, &mut self.out) else { return };
        match order {
            Order::RestartApp(app) => {
                let restarted = self.programs.restart_app(&app, &mut self.out);
                let result = restarted.map(|done| done.to_string()).map_err(|error| error.to_string());
                command::done(&command.id, result, &mut self.out);
            }
            Order::ShowDesired => command::show(&command.id, self.wanted.newest(), &mut self.out),
        }
    }

    /// Hands an answer to who waits for it.
    fn done(&mut self, id: EffectId, waiter: Waiter, outcome: Outcome) {
        let (programs, out) = (&mut self.programs, &mut self.out);
        match (waiter, outcome) {
            (Waiter::Download(digest), outcome) => {
                programs.looked(id, digest, outcome, &self.wanted.catalog, out);
            }
            (Waiter::Script(service), outcome) => programs.script_read(&service, id, outcome, out),
            (Waiter::Load(app), outcome) => programs.loaded(&app, id, outcome, out),
            (Waiter::Call(app), outcome) => programs.called(&app, id, outcome, out),
            (Waiter::Write, outcome) => {
                let course = self.equipment.written(id, outcome, out);
                self.go(course);
            }
            (Waiter::Probe(point), outcome) => {
                let courses = self.equipment.probed(&point, outcome, out);
                self.go(courses);
            }
            (Waiter::Nobody, Outcome::Failed(failure)) => out.warn(failure.message),
            (Waiter::Lane(lane), _) => out.journal.lanes.lane_mut(lane).answered(out.now.mono_ms),
            (Waiter::Nobody, _) => {}
        }
    }

    /// Whoever waited long enough goes on as if it had failed.
    pub(super) fn give_up(&mut self, id: EffectId, waiter: Waiter) {
        let (programs, out) = (&mut self.programs, &mut self.out);
        match waiter {
            Waiter::Download(digest) => programs.look_overdue(id, digest, out),
            Waiter::Script(service) => programs.script_overdue(&service, id, out),
            Waiter::Load(app) => programs.load_overdue(&app, id, out),
            Waiter::Call(app) => programs.call_overdue(&app, id, out),
            Waiter::Write => {
                let course = self.equipment.write_overdue(id, out);
                self.go(course);
            }
            Waiter::Probe(point) => self.equipment.probe_overdue(&point),
            Waiter::Lane(_) | Waiter::Nobody => {}
        }
    }
}
