//! Faults outside of any run: of the edge itself, of apps that cannot run here at all, of devices.
//!
//! A fault of the edge itself is opened once, and closed when what is wrong is over: its next run is no proof of that.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::fault::{Failure, Fault, How, Kind, kind};
use flotilla_schemas::{AppId, CenterId, PointId};

use super::{Faults, Seen, Treatment, Verdict};
use crate::out::Out;

impl Faults {
    /// Something is wrong outside of any run.
    pub fn own(&mut self, seen: Seen, out: &mut Out) -> Option<Verdict> {
        match self.failed(seen, out) {
            Treatment::Fault(_, verdict) => verdict,
            Treatment::Recorded => None,
        }
    }

    /// A fault of the edge itself, about which only a person can do something.
    fn of_system(&mut self, failure: Failure, out: &mut Out) -> Option<Verdict> {
        let is_open = self.open.values().any(|open| is_of_system(&open.fault, failure.kind.as_str()));
        if is_open { None } else { self.own(Seen::of(AppId::system(), failure), out) }
    }

    /// A center holds other records than this journal wrote; a person is told.
    pub fn forked(&mut self, center: &CenterId, out: &mut Out) -> Option<Verdict> {
        let text = format!("{center} holds other records at the same positions of the journal");
        self.of_system(Failure::new(kind::JOURNAL_FORK, text), out)
    }

    /// The disk takes no more, or takes again.
    pub fn storage(&mut self, error: Option<String>, out: &mut Out) -> Option<Verdict> {
        match error {
            Some(error) => self.of_system(Failure::new(kind::STORAGE_FULL, error), out),
            None => {
                self.close_where(|fault| is_of_system(fault, kind::STORAGE_FULL), How::Cured, out);
                None
            }
        }
    }

    /// A fault for each app that is wanted and cannot run here; it closes when that is over.
    pub fn unfit(
        &mut self,
        unfit: BTreeMap<AppId, Failure>,
        is_unfit: impl Fn(&Kind) -> bool,
        out: &mut Out,
    ) -> Vec<Verdict> {
        let now: BTreeSet<_> =
            unfit.iter().map(|(app, failure)| (app.clone(), failure.kind.clone())).collect();
        let before = std::mem::replace(&mut self.unfit, now.clone());
        let of = |fault: &Fault| (fault.app.clone(), fault.kind.clone());
        let concerns = |fault: &Fault| fault.service.is_none() && is_unfit(&fault.kind);
        self.close_where(|fault| concerns(fault) && !now.contains(&of(fault)), How::Cured, out);
        let open: BTreeSet<_> =
            self.open.values().filter(|open| concerns(&open.fault)).map(|open| of(&open.fault)).collect();
        let is_new = |(app, failure): &(AppId, Failure)| {
            let key = (app.clone(), failure.kind.clone());
            !open.contains(&key) && !before.contains(&key)
        };
        let new: Vec<_> = unfit.into_iter().filter(is_new).collect();
        new.into_iter().filter_map(|(app, failure)| self.own(Seen::of(app, failure), out)).collect()
    }

    /// The device does not answer well in the same way again.
    pub fn ill_again(&mut self, point: &PointId, kind: &Kind) {
        for open in self.open.values_mut().filter(|open| is_at(&open.fault, point, kind)) {
            open.fault.count = open.fault.count.saturating_add(1);
        }
    }

    /// The device answers well again, or there is no such point any more; the app that it was seen in.
    pub fn ill_over(&mut self, point: &PointId, kind: &Kind, how: How, out: &mut Out) -> Option<AppId> {
        let app = self.open.values().find(|open| is_at(&open.fault, point, kind));
        let app = app.map(|open| open.fault.app.clone());
        self.close_where(|fault| is_at(fault, point, kind), how, out);
        app
    }

    /// The points of devices that do not answer well, and how.
    pub fn ill(&self) -> Vec<(PointId, Kind)> {
        let ill = |fault: &Fault| Some((fault.point.clone()?, fault.kind.clone()));
        self.open.values().filter_map(|open| ill(&open.fault)).collect()
    }
}

fn is_of_system(fault: &Fault, kind: &str) -> bool {
    fault.service.is_none() && fault.kind.as_str() == kind
}

fn is_at(fault: &Fault, point: &PointId, kind: &Kind) -> bool {
    fault.point.as_ref() == Some(point) && fault.kind == *kind
}
