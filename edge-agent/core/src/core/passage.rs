//! From room to room: what happened to the programs and the equipment reaches their faults, and what is decided about
//! these reaches the programs.

use flotilla_schemas::fault::How;

use super::Core;
use crate::equipment::Course;
use crate::fault::{Seen, Treatment, Verdict};
use crate::program::Happening;

impl Core {
    /// What happened to the programs, to their faults.
    pub(super) fn pass_on(&mut self) {
        for happening in self.programs.take_happened() {
            match happening {
                Happening::Failed { service, app, failure, place, began_ms } => {
                    let seen = Seen { service: Some(service.clone()), step: place, ..Seen::of(app, failure) };
                    match self.faults.failed(seen, &mut self.out) {
                        Treatment::Recorded => self.programs.go_on(&service, began_ms, &mut self.out),
                        Treatment::Fault(id, verdict) => {
                            self.programs.hold(&service, id);
                            self.treat(verdict);
                        }
                    }
                }
                Happening::Ran(service) => self.faults.close_of(&service, How::Cured, &mut self.out),
                Happening::Gone(service) => self.faults.close_of(&service, How::Moot, &mut self.out),
                Happening::Installed(service) => self.faults.retry(&service, &mut self.out),
            }
        }
    }

    /// What happened to the equipment, to its faults and to the apps that it let down.
    pub(super) fn go(&mut self, courses: impl IntoIterator<Item = Course>) {
        for course in courses {
            match course {
                Course::Ill { app, point, failure } => {
                    self.programs.let_down(&app, &point, &failure.kind, &self.out);
                    let seen = Seen { point: Some(point), ..Seen::of(app, failure) };
                    let verdict = self.faults.own(seen, &mut self.out);
                    self.treat(verdict);
                }
                Course::Again { app, point, kind, known } => {
                    self.programs.let_down(&app, &point, &kind, &self.out);
                    self.faults.ill_again(&known, &kind);
                }
                Course::Over(point, kind, how) => {
                    let app = self.faults.ill_over(&point, &kind, how, &mut self.out);
                    if let (Some(app), How::Cured) = (app, how) {
                        self.programs.try_sooner(&app, &self.faults.faulty(), self.out.now.mono_ms);
                    }
                }
            }
        }
    }

    /// Carries measures out, and has the services run again that they were for.
    pub(super) fn treat(&mut self, verdicts: impl IntoIterator<Item = Verdict>) {
        for verdict in verdicts {
            let done = self.programs.carry_out(&verdict.fault, verdict.measure, &mut self.out);
            if let Some(retry) = self.faults.treated(&verdict, done, &mut self.out) {
                self.programs.try_again(&retry.service, &retry.fault, retry.pause_ms, self.out.now.mono_ms);
            }
        }
    }
}
