//! The rooms, and how what happens in one reaches the others. Nothing is decided here.

mod intake;
mod passage;

use std::sync::Arc;

use flotilla_schemas::report::Mode;
use flotilla_schemas::sign::Keys;
use flotilla_schemas::time::Now;
use flotilla_schemas::{EdgeId, EpochId};

use crate::command::Commands;
use crate::config::Config;
use crate::effect::{Act, Step};
use crate::equipment::Equipment;
use crate::fault::Faults;
use crate::found::{Found, Kept};
use crate::input::Input;
use crate::journal::Journal;
use crate::out::Out;
use crate::program::{Programs, is_unfit};
use crate::report::{Reports, Seen as Reported};
use crate::wanted::{Change, Wanted};

/// An edge's decisions.
pub struct Core {
    centers: Keys,
    stopping: bool,
    out: Out,
    wanted: Wanted,
    programs: Programs,
    faults: Faults,
    equipment: Equipment,
    commands: Commands,
    reports: Reports,
}

impl Core {
    /// The edge as it was kept. What cannot be read is left out with a warning in the first step: a value that this
    /// program does not know must not stop a gateway.
    pub fn from_records(config: Config, found: Found, now: Now) -> Self {
        let (centers, publishers) = (config.fleet.center_keys(), config.fleet.publishers());
        let journal = Journal::found(found.epoch, found.lanes);
        let mut core = Self {
            centers,
            stopping: false,
            out: Out::new(Arc::new(config), journal, now),
            wanted: Wanted::new(publishers),
            programs: Programs::default(),
            faults: Faults::default(),
            equipment: Equipment::default(),
            commands: Commands::default(),
            reports: Reports::default(),
        };
        for (key, value) in &found.values {
            match Kept::read(key, value) {
                Ok(kept) => core.found(kept),
                Err(error) => core.out.warn(format!("the kept value {key} is left out: {error}")),
            }
        }
        core.boot();
        core
    }

    fn found(&mut self, kept: Kept) {
        match kept {
            Kept::Safe(safe) => self.out.journal.take_safe(safe),
            Kept::Catalog(catalog) => self.wanted.catalog.found(catalog),
            Kept::Slot(slot, item) => self.wanted.found(slot, item),
            Kept::Service(id, kept) => self.programs.found_service(id, *kept),
            Kept::App(id, kept) => self.programs.found_app(id, kept),
            Kept::Fault(open) => self.faults.found(*open),
            Kept::Newest(came) => self.wanted.found_newest(*came),
        }
    }

    fn boot(&mut self) {
        for change in self.wanted.all(&mut self.out) {
            match change {
                Change::Policy(list) => _ = self.faults.adopt(&list, &mut self.out),
                Change::Service(id, service, _) => self.programs.want(id, service, &mut self.out),
            }
        }
        self.programs.reopen(self.wanted.catalog.publishers(), &self.out);
        for (service, fault) in self.faults.reboot(|id| self.programs.has(id), &mut self.out) {
            self.programs.hold(&service, fault);
        }
        self.equipment.reboot(self.faults.ill(), self.out.now.mono_ms);
        let (clock_ok, agent) = (self.out.now.clock_ok, self.out.config.agent.clone());
        self.out.record_event("started", [("clock-ok", clock_ok.into()), ("agent", agent.into())]);
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Now) -> Step {
        self.out.now = now;
        self.take(input);
        for (id, waiter) in self.out.open.overdue(now.mono_ms) {
            self.give_up(id, waiter);
        }
        self.pass_on();
        self.advance();
        let mut step = self.out.take_step();
        step.wake_at = self.wake_at();
        step
    }

    /// What follows from the state and the time, whatever the input was.
    fn advance(&mut self) {
        if !self.stopping {
            let verdicts = self.faults.due(&mut self.out);
            self.treat(verdicts);
            let unfit = self.programs.advance(&mut self.wanted.catalog, &mut self.out);
            let verdicts = self.faults.unfit(unfit, is_unfit, &mut self.out);
            self.treat(verdicts);
            self.pass_on();
            self.equipment.due(&mut self.out);
        }
        self.programs.ask(&mut self.out);
        self.out.send_due();
        self.report(|reports, seen, out| reports.due(seen, out));
    }

    fn wake_at(&self) -> Option<u64> {
        let out = &self.out;
        let journal = self.out.journal.wake_at().filter(|_| out.connected);
        let equipment = self.equipment.wake_at().filter(|_| !self.stopping);
        let rooms = [self.programs.wake_at(out.connected), self.faults.wake_at(), self.reports.wake_at(out)];
        rooms.into_iter().chain([journal, equipment, out.open.wake_at()]).flatten().min()
    }

    fn report<R>(&mut self, report: impl FnOnce(&mut Reports, &mut Reported<'_>, &mut Out) -> R) -> R {
        let mode = self.mode();
        let (programs, faults) = (&self.programs, self.faults.count());
        let mut seen = Reported { programs, wanted: &mut self.wanted, faults, mode };
        report(&mut self.reports, &mut seen, &mut self.out)
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.out.record_event("stopped", []);
        self.report(|reports, seen, out| reports.stopped(seen, out));
        self.out.send_due();
        self.out.effect(Act::Exit);
    }

    /// The edge.
    pub fn edge(&self) -> &EdgeId {
        &self.out.config.edge
    }

    /// The journal's epoch.
    pub fn epoch(&self) -> &EpochId {
        &self.out.journal.epoch
    }

    /// Whether the disk takes no more, as far as the core was told.
    pub fn is_storage_full(&self) -> bool {
        self.out.storage_full
    }

    /// What the edge is at.
    pub fn mode(&self) -> Mode {
        match (self.stopping, self.programs.any_quarantined() || self.faults.any_told()) {
            (true, _) => Mode::Stopped,
            (false, true) => Mode::Degraded,
            (false, false) => Mode::Operating,
        }
    }
}
