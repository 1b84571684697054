//! The recorder: what happened becomes a numbered record, and the journal is sent until a center has it.

use std::collections::BTreeMap;

use flotilla_schemas::countermeasure::By;
use flotilla_schemas::journal::{Ack, Body, Lane, RECORD_BYTES_MAX, Record};
use flotilla_schemas::{AppId, Value};

use crate::core::Core;
use crate::effect::{Act, Persist};
use crate::fault::OpenFault;
use crate::journal::{Acked, Range};
use crate::open::Waiter;

/// The most events of one app between two of its calls; what is beyond is counted and dropped.
pub const EVENTS_MAX: u32 = 256;

impl Core {
    /// Writes a record; its number.
    pub(crate) fn record(&mut self, lane: Lane, body: Body) -> Record {
        let session = self.config.session.clone();
        let seq = self.lanes.lane(lane).head + 1;
        let mut record = Record { seq, ts: self.now.wall_ms, clock_ok: self.now.clock_ok, session, body };
        let mut bytes = size(&record);
        if bytes > RECORD_BYTES_MAX {
            shorten(&mut record);
            bytes = size(&record);
        }
        self.lanes.lane_mut(lane).append(bytes as u64, self.now.mono_ms);
        if lane == Lane::Fault {
            self.hold_or_release(&record.body);
        }
        self.step.persist.push(Persist::Append(lane, Box::new(record.clone())));
        self.keep_safe();
        self.make_room();
        record
    }

    /// What the edge treats alone is on disk like all else, and sent as a whole when it is over or a person is needed. It
    /// goes earlier with whatever cannot wait.
    fn hold_or_release(&mut self, body: &Body) {
        let alone = |id| self.faults.get(id).is_some_and(|open: &OpenFault| open.fault.by == By::Edge);
        let waits = match body {
            Body::Fault(fault) => fault.by == By::Edge,
            Body::Restoration { fault, .. } => alone(fault),
            _ => false,
        };
        let lane = self.lanes.lane_mut(Lane::Fault);
        if waits { lane.hold() } else { lane.release() }
    }

    /// What is safe is kept along with a record, never with a commit of its own: it saves sending, nothing else.
    fn keep_safe(&mut self) {
        let safe = Lane::ALL.map(|lane| self.lanes.lane(lane).safe);
        if self.kept_safe != safe {
            self.kept_safe = safe;
            self.keep("safe".to_owned(), &safe);
        }
    }

    /// At boot: what was safe then.
    pub(crate) fn take_safe(&mut self, safe: [u64; 3]) {
        self.kept_safe = safe;
        for (lane, safe) in Lane::ALL.into_iter().zip(safe) {
            self.lanes.lane_mut(lane).set_safe(safe);
        }
    }

    /// Drops the oldest of the least important, and says so, when the journal is full.
    fn make_room(&mut self) {
        let Some((lane, below)) = self.lanes.overflow(self.config.journal_bytes_max) else { return };
        self.trim(lane, below);
        self.warn(format!(
            "the journal is full: records of lane {} below {below} are dropped",
            lane.number()
        ));
        let body = Body::Dropped { lane, floor: below };
        self.record(Lane::Fault, body);
    }

    fn trim(&mut self, lane: Lane, below: u64) {
        self.lanes.lane_mut(lane).trimmed(below);
        self.step.persist.push(Persist::Trim(lane, below));
    }

    /// An event of the edge itself.
    pub(crate) fn record_event<const N: usize>(&mut self, name: &str, fields: [(&str, Value); N]) {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.event(AppId::system(), name.to_owned(), fields, Lane::Event);
    }

    /// An event of an app: a reading if all that it tells is numbers.
    pub(crate) fn app_event(&mut self, app: &AppId, name: String, fields: BTreeMap<String, Value>) {
        let count = &mut self.app(app.clone()).events;
        *count += 1;
        match (*count).cmp(&(EVENTS_MAX + 1)) {
            std::cmp::Ordering::Greater => return,
            std::cmp::Ordering::Equal => {
                return self.record_event("events-dropped", [("app", app.as_str().into())]);
            }
            std::cmp::Ordering::Less => {}
        }
        let reading = !fields.is_empty() && fields.values().all(|value| value.as_f64().is_some());
        self.event(app.clone(), name, fields, if reading { Lane::Reading } else { Lane::Event });
    }

    pub(crate) fn event(&mut self, source: AppId, name: String, fields: BTreeMap<String, Value>, lane: Lane) {
        self.report_event(&source, &name, &fields);
        if self.storage_full {
            return;
        }
        let service = self.service_running(&source);
        self.record(lane, Body::Event { source, name, fields, service });
    }

    /// Sends what is to be sent; without a connection nothing is.
    pub(crate) fn journal_due(&mut self) {
        if !self.connected {
            return;
        }
        for lane in Lane::ALL {
            let state = self.lanes.lane_mut(lane);
            for range in state.due(self.now.mono_ms) {
                self.send_records(lane, range);
            }
        }
    }

    /// Sends records, as far as the journal still has them.
    pub(crate) fn send_records(&mut self, lane: Lane, Range { first, last }: Range) {
        let floor = self.lanes.lane(lane).floor;
        self.effect_for(Waiter::Lane(lane), Act::SendRecords { lane, first, last, floor }, None);
    }

    pub(crate) fn journal_wake(&self) -> Option<u64> {
        let wakes = Lane::ALL.into_iter().filter_map(|lane| self.lanes.lane(lane).wake_at());
        if self.connected { wakes.min() } else { None }
    }

    pub(crate) fn ack(&mut self, ack: &Ack) {
        if ack.epoch != self.epoch {
            return;
        }
        let durable = usize::from(self.config.fleet.durable);
        let floor = self.lanes.lane(ack.lane).floor;
        match self.lanes.lane_mut(ack.lane).acked(ack, durable, self.now.mono_ms) {
            Acked::Below(below) if below > floor => self.trim(ack.lane, below),
            Acked::Below(_) => {}
            Acked::Fork => self.forked(ack),
        }
    }
}

fn size(record: &Record) -> usize {
    serde_json::to_vec(record).map_or(0, |bytes| bytes.len())
}

/// A record that is too long keeps what it is and loses what it says.
fn shorten(record: &mut Record) {
    match &mut record.body {
        Body::Event { fields, .. } => {
            fields.clear();
            fields.insert("shortened".to_owned(), Value::Bool(true));
        }
        Body::Fault(fault) => fault.backtrace.clear(),
        Body::Command { message, .. } => message.truncate(0),
        Body::Write { value, .. } => *value = Value::None,
        Body::Written { error, .. } => *error = error.as_ref().map(|_| "shortened".to_owned()),
        Body::Restoration { .. } | Body::Closed(_) | Body::Dropped { .. } | Body::Unknown => {}
    }
}
