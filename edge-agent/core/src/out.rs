//! The way out: whatever an edge records, keeps, publishes or has done passes here, and nobody else emits.
//!
//! Each room is given it for the time of one input. What is recorded is numbered here, so that a record and what
//! follows from it are in one step, in the order in which they were said.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::journal::{Ack, Body, Lane};
use flotilla_schemas::report::{EventReport, Meta};
use flotilla_schemas::time::{Now, rfc3339};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{AppId, ServiceId, Topic, Value};
use serde::Serialize;

use crate::config::Config;
use crate::effect::{Act, Effect, EffectId, Persist, Send, Step};
use crate::journal::{Acked, Journal, Range};
use crate::open::{Open, Waiter};

/// What is said of one input, and what saying it needs.
pub(crate) struct Out {
    pub config: Arc<Config>,
    pub now: Now,
    pub connected: bool,
    /// The disk takes no more: only faults are recorded.
    pub storage_full: bool,
    pub journal: Journal,
    pub open: Open,
    /// The status is to be reported soon.
    pub status_due: bool,
    /// The inventory too.
    pub inventory_due: bool,
    /// Messages so far: each has its number.
    messages: u64,
    step: Step,
}

impl Out {
    pub fn new(config: Arc<Config>, journal: Journal, now: Now) -> Self {
        Self {
            config,
            now,
            connected: false,
            storage_full: false,
            journal,
            open: Open::default(),
            status_due: false,
            inventory_due: false,
            messages: 0,
            step: Step::default(),
        }
    }

    /// All that was said since the last time.
    pub fn take_step(&mut self) -> Step {
        std::mem::take(&mut self.step)
    }

    /// Has something done for which nobody waits.
    pub fn effect(&mut self, act: Act) {
        let id = self.open.next();
        if act.is_answered() {
            self.open.await_answer(id, Waiter::Nobody, None);
        }
        self.step.effects.push(Effect { id, act });
    }

    /// Has something done for which somebody waits, no longer than so much if it is bounded.
    pub fn effect_for(&mut self, waiter: Waiter, act: Act, patience_ms: Option<u64>) -> EffectId {
        let id = self.open.next();
        let give_up_at = patience_ms.map(|patience| self.now.mono_ms.saturating_add(patience));
        self.open.await_answer(id, waiter, give_up_at);
        self.step.effects.push(Effect { id, act });
        id
    }

    /// Says something in the log.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.effect(Act::Warn(text.into()));
    }

    /// Keeps a value under a key, in place of the former.
    pub fn keep(&mut self, key: impl Into<String>, value: &impl Serialize) {
        let key = key.into();
        match serde_json::to_vec(value) {
            Ok(bytes) => self.step.persist.push(Persist::Put(key, bytes)),
            Err(error) => self.warn(format!("{key} cannot be written: {error}")),
        }
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: String) {
        self.step.persist.push(Persist::Delete(key));
    }

    /// Forgets all that an app keeps.
    pub fn forget_keys(&mut self, app: &AppId) {
        self.step.persist.push(Persist::DeleteKeys(app.clone()));
    }

    /// Publishes a message.
    pub fn publish(&mut self, topic: Topic, message: &impl Serialize, send: Send) {
        match serde_json::to_vec(message) {
            Ok(bytes) => self.effect(Act::Publish(topic, bytes, send)),
            Err(error) => self.warn(format!("{topic} cannot be written: {error}")),
        }
    }

    /// Empties a retained topic of this edge.
    pub fn clear(&mut self, rest: EdgeTopic) {
        self.effect(Act::Publish(self.own(rest), Vec::new(), Send::State));
    }

    /// A topic of this edge.
    pub fn own(&self, rest: EdgeTopic) -> Topic {
        Topic::Edge(self.config.edge.clone(), rest)
    }

    /// What a message of this edge begins with.
    pub fn meta(&mut self) -> Meta {
        self.messages += 1;
        let (edge, session) = (self.config.edge.clone(), self.config.session.clone());
        Meta { v: 1, edge, session, seq: self.messages, ts: self.now.wall_ms, clock_ok: self.now.clock_ok }
    }

    /// Writes a record, which is sent with all before it; its number.
    pub fn record(&mut self, lane: Lane, body: Body) -> u64 {
        let seq = self.write(lane, body);
        if lane == Lane::Fault {
            self.release();
        }
        self.make_room();
        seq
    }

    /// Writes a record about a fault that the edge treats alone: it is on disk like all else, and sent with what follows
    /// when that cannot wait, or is [released](Self::release).
    pub fn record_held(&mut self, body: Body) -> u64 {
        let seq = self.write(Lane::Fault, body);
        self.journal.lanes.lane_mut(Lane::Fault).hold();
        self.make_room();
        seq
    }

    /// What was held is sent.
    pub fn release(&mut self) {
        self.journal.lanes.lane_mut(Lane::Fault).release();
    }

    fn write(&mut self, lane: Lane, body: Body) -> u64 {
        let record = self.journal.append(lane, body, &self.config.session, self.now);
        let seq = record.seq;
        self.step.persist.push(Persist::Append(lane, Box::new(record)));
        // What is safe is kept along with a record, never with a commit of its own: it saves sending, nothing else.
        if let Some(safe) = self.journal.safe_to_keep() {
            self.keep("safe", &safe);
        }
        seq
    }

    /// Drops the oldest of the least important, and says so, when the journal is full.
    fn make_room(&mut self) {
        let Some((lane, below)) = self.journal.lanes.overflow(self.config.journal_bytes_max) else { return };
        self.trim(lane, below);
        let lane_number = lane.number();
        self.warn(format!("the journal is full: records of lane {lane_number} below {below} are dropped"));
        self.write(Lane::Fault, Body::Dropped { lane, floor: below });
    }

    fn trim(&mut self, lane: Lane, below: u64) {
        self.journal.lanes.lane_mut(lane).trimmed(below);
        self.step.persist.push(Persist::Trim(lane, below));
    }

    /// An event of the edge itself.
    pub fn record_event<const N: usize>(&mut self, name: &str, fields: [(&str, Value); N]) {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.event(AppId::system(), name.to_owned(), fields, Lane::Event, None);
    }

    /// An event: told to dashboards, and recorded while the disk takes records.
    pub fn event(
        &mut self,
        source: AppId,
        name: String,
        fields: BTreeMap<String, Value>,
        lane: Lane,
        service: Option<ServiceId>,
    ) {
        self.report_event(&source, &name, &fields);
        if !self.storage_full {
            self.record(lane, Body::Event { source, name, fields, service });
        }
    }

    fn report_event(&mut self, source: &AppId, name: &str, fields: &BTreeMap<String, Value>) {
        if !self.connected {
            return;
        }
        const TAKEN: [&str; 9] = ["v", "edge", "session", "seq", "ts", "clock_ok", "time", "event", "source"];
        let free = |name: &String| match TAKEN.contains(&name.as_str()) {
            true => format!("field_{name}"),
            false => name.clone(),
        };
        let fields = fields.iter().map(|(name, value)| (free(name), value.clone())).collect();
        let (event, time) = (name.to_owned(), rfc3339(self.now.wall_ms));
        let report = EventReport { meta: self.meta(), time, event, source: source.clone(), fields };
        self.publish(self.own(EdgeTopic::Event(source.clone())), &report, Send::Reading);
    }

    /// Sends what the journal has to send; without a connection nothing is.
    pub fn send_due(&mut self) {
        if !self.connected {
            return;
        }
        for (lane, range) in self.journal.due(self.now.mono_ms) {
            self.send_records(lane, range);
        }
    }

    /// Sends records, as far as the journal still has them.
    pub fn send_records(&mut self, lane: Lane, Range { first, last }: Range) {
        let floor = self.journal.lanes.lane(lane).floor;
        self.effect_for(Waiter::Lane(lane), Act::SendRecords { lane, first, last, floor }, None);
    }

    /// Takes a center's word on what it has; whether it holds other records than this journal wrote.
    pub fn acked(&mut self, ack: &Ack) -> bool {
        match self.journal.acked(ack, self.config.durable(), self.now.mono_ms) {
            Some(Acked::Below(below)) if below > self.journal.lanes.lane(ack.lane).floor => {
                self.trim(ack.lane, below);
                false
            }
            Some(Acked::Below(_)) | None => false,
            Some(Acked::Fork) => true,
        }
    }

    /// Gives the journal a new name, under which all that it holds is sent again.
    pub fn rename_journal(&mut self) {
        let epoch = self.journal.rename(&self.config.session);
        self.step.persist.push(Persist::Epoch(epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn persisted(out: &mut Out) -> Vec<String> {
        let name = |change: &Persist| match change {
            Persist::Append(lane, record) => format!("{} {}", lane.number(), record.seq),
            Persist::Trim(lane, below) => format!("trim {} {below}", lane.number()),
            Persist::Put(key, _) => key.clone(),
            other => format!("{other:?}"),
        };
        out.take_step().persist.iter().map(name).collect()
    }

    #[test]
    fn a_full_journal_drops_the_oldest_and_says_so() {
        let mut out = samples::out();
        for _ in 0..8 {
            out.record_event("x", []);
        }
        persisted(&mut out);
        out.config = Arc::new(Config { journal_bytes_max: 100, ..(*out.config).clone() });
        out.record_event("y", []);
        let persisted = persisted(&mut out);
        assert_eq!(persisted[..3], ["1 9", "trim 1 2", "0 1"], "{persisted:?}");
    }

    #[test]
    fn a_full_disk_takes_faults_alone_and_dashboards_are_told_all_the_same() {
        let mut out = samples::out();
        (out.connected, out.storage_full) = (true, true);
        out.record_event("x", []);
        let step = out.take_step();
        assert_eq!(step.persist, []);
        assert!(matches!(&step.effects[..], [Effect { act: Act::Publish(_, _, Send::Reading), .. }]));
        out.record(Lane::Fault, Body::Dropped { lane: Lane::Event, floor: 1 });
        assert_eq!(persisted(&mut out), ["0 1"]);
    }

    #[test]
    fn without_a_connection_nothing_is_sent() {
        let mut out = samples::out();
        out.record_event("x", []);
        out.send_due();
        assert_eq!(out.take_step().effects, []);
        out.connected = true;
        out.send_due();
        assert!(matches!(out.take_step().effects[0].act, Act::SendRecords { first: 1, last: 1, .. }));
    }

    #[test]
    fn a_field_of_an_app_takes_no_name_that_every_event_has() {
        let mut out = samples::out();
        out.connected = true;
        out.record_event("x", [("seq", 7.into())]);
        let step = out.take_step();
        let Act::Publish(_, payload, _) = &step.effects[0].act else { panic!("{step:?}") };
        let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
        assert_eq!((&event["field_seq"], &event["seq"]), (&7.into(), &1.into()));
    }
}
