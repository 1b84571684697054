//! Points that apps set: journaled, then done, then confirmed.

use flotilla_schemas::fault::kind;
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::{AppId, PointId, ServiceId, Value};

use super::{Course, Equipment};
use crate::effect::{Act, EffectId};
use crate::input::Outcome;
use crate::open::{DEVICE_MS, Waiter, overdue};
use crate::out::Out;

/// A point that is being set.
#[derive(Debug)]
pub(super) struct Write {
    /// The number of its record; none if the disk took none.
    record: Option<u64>,
    app: AppId,
    point: PointId,
    began_ms: u64,
}

/// What an app wants to set, in whose run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    /// The driver's number for it.
    pub number: u64,
    pub app: AppId,
    pub point: PointId,
    pub value: Value,
    pub service: Option<ServiceId>,
}

impl Equipment {
    /// An app wants to set a point: that is journaled, then done. While the disk takes nothing it is done all the same.
    pub fn write(&mut self, wish: Wish, out: &mut Out) {
        let Wish { number, app, point, value, service } = wish;
        let body = Body::Write { app: app.clone(), point: point.clone(), value, service };
        let record = (!out.storage_full).then(|| out.record(Lane::Event, body));
        let id = out.effect_for(Waiter::Write, Act::Write(number), Some(DEVICE_MS));
        self.writes.insert(id, Write { record, app, point, began_ms: out.now.mono_ms });
    }

    /// What came of it.
    pub fn written(&mut self, write: EffectId, outcome: Outcome, out: &mut Out) -> Option<Course> {
        let Write { record, app, point, began_ms } = self.writes.remove(&write)?;
        let failure = outcome.failure();
        if let Some(record) = record.filter(|_| !out.storage_full) {
            let error = failure.as_ref().map(|failure| failure.message.clone());
            let elapsed_ms = out.now.mono_ms - began_ms.min(out.now.mono_ms);
            let body = Body::Written { write: record, point: point.clone(), error, elapsed_ms };
            out.record(Lane::Event, body);
        }
        let Some(failure) = failure else {
            self.set_well(&point, out.now.mono_ms);
            return None;
        };
        self.ill(app, point, failure, true, out)
    }

    /// The device that was to be set does not answer.
    pub fn write_overdue(&mut self, write: EffectId, out: &mut Out) -> Option<Course> {
        self.written(write, Outcome::Failed(overdue(kind::EQUIPMENT_SLOW, "the device")), out)
    }
}
