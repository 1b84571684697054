//! A center without I/O: its core, and a disk with rows, records and files.

use std::collections::{BTreeMap, VecDeque};

use center_core::{
    Answer, Config, Core, Effect, Held, Input, Intervals, Refusal, Request, Row, Write, filters,
};
use flotilla_schemas::digest::CHUNK_BYTES;
use flotilla_schemas::journal::{Batch, Lane};
use flotilla_schemas::time::Now;
use flotilla_schemas::{Digest, EdgeId, EpochId, Json, Topic};

use crate::sim::broker::Broker;
use crate::sim::samples::{fleet, key, place};

/// Where a record stands in a store.
pub type At = (EdgeId, EpochId, Lane, u64);

/// What a power cut leaves.
#[derive(Debug, Default)]
pub struct Disk {
    rows: BTreeMap<String, Row>,
    pub records: BTreeMap<At, Json>,
    intervals: BTreeMap<(EdgeId, EpochId, Lane), Intervals>,
    pub files: BTreeMap<Digest, Vec<u8>>,
}

/// A simulated center.
pub struct Center {
    pub core: Core,
    pub disk: Disk,
    answers: VecDeque<Input>,
    replies: VecDeque<Result<Answer, Refusal>>,
    pub wake_at: Option<u64>,
    sessions: u64,
}

impl Center {
    pub fn new(now: Now) -> Self {
        let disk = Disk::default();
        let core = boot(&disk, 0, now);
        let (answers, replies) = (VecDeque::new(), VecDeque::new());
        Self { core, disk, answers, replies, wake_at: Some(now.mono_ms), sessions: 0 }
    }

    pub const CLIENT: &'static str = "center-c1";

    pub fn connect(&mut self, broker: &mut Broker, now: Now) {
        self.give(Input::Connected, broker, now);
        for filter in filters() {
            broker.subscribe(Self::CLIENT, &filter);
        }
    }

    pub fn crash(&mut self, broker: &mut Broker, now: Now) {
        broker.disconnect(Self::CLIENT);
        self.sessions += 1;
        self.answers.clear();
        self.core = boot(&self.disk, self.sessions, now);
    }

    pub fn work(&mut self, broker: &mut Broker, now: Now) -> bool {
        let Some(input) = self.answers.pop_front() else { return false };
        self.give(input, broker, now);
        true
    }

    /// Asks; the answer, if there is one at once.
    pub fn ask(
        &mut self,
        request: Request,
        broker: &mut Broker,
        now: Now,
    ) -> Option<Result<Answer, Refusal>> {
        self.give(Input::Request { id: 1, request }, broker, now);
        self.replies.pop_front()
    }

    pub fn reply(&mut self) -> Option<Result<Answer, Refusal>> {
        self.replies.pop_front()
    }

    pub fn give(&mut self, input: Input, broker: &mut Broker, now: Now) {
        let step = self.core.handle(input, now);
        for write in step.persist {
            match write {
                Write::Put(row) => _ = self.disk.rows.insert(row.key(), *row),
                Write::Remove(key) => _ = self.disk.rows.remove(&key),
            }
        }
        for effect in step.effects {
            self.carry_out(effect, broker);
        }
        self.wake_at = step.wake_at;
    }

    fn carry_out(&mut self, effect: Effect, broker: &mut Broker) {
        match effect {
            Effect::Publish { topic, payload, retain } => {
                let signed = topic.is_signed() && !payload.is_empty();
                let sig = signed.then(|| key("c1").sign(&place(&topic), &payload));
                broker.publish(&topic, payload, sig, retain);
            }
            Effect::SendChunks(chunks) => {
                for chunk in chunks {
                    let Some(file) = self.disk.files.get(&chunk.artifact) else { continue };
                    let bytes = file.chunks(CHUNK_BYTES).nth(chunk.index).unwrap().to_vec();
                    broker.publish(&Topic::Blob(chunk.digest.first()), bytes, None, false);
                }
            }
            Effect::Append(batch) => {
                let held = self.append(&batch);
                self.answers.push_back(Input::Appended { batch, held });
            }
            Effect::Reply { answer, .. } => self.replies.push_back(answer),
            Effect::Note(_) => {}
        }
    }

    fn append(&mut self, batch: &Batch) -> Held {
        let at = |seq| (batch.edge.clone(), batch.epoch.clone(), batch.lane, seq);
        let numbered = || (batch.first..).zip(&batch.records);
        let other =
            |(seq, record): (u64, &Json)| self.disk.records.get(&at(seq)).is_some_and(|held| held != record);
        let fork = numbered().any(other);
        let lane = (batch.edge.clone(), batch.epoch.clone(), batch.lane);
        let intervals = self.disk.intervals.entry(lane).or_default();
        let last = batch.last().unwrap();
        let mut stored = 0;
        if !fork && intervals.add(batch.first, last) {
            for (seq, record) in numbered() {
                stored += u64::from(self.disk.records.insert(at(seq), record.clone()).is_none());
            }
        }
        let intervals = intervals.clone();
        let (from, upto) = intervals.around(last).unwrap_or((last + 1, last));
        let lacking = intervals.lacking_from(batch.floor);
        let want = (lacking < from).then_some(lacking);
        Held { from, upto, want, fork, stored }
    }
}

fn boot(disk: &Disk, session: u64, now: Now) -> Core {
    let config = Config {
        center: "c1".parse().unwrap(),
        fleet: fleet(),
        session: format!("c1-{session}").parse().unwrap(),
        agent: "0".into(),
        records: disk.records.len() as u64,
    };
    Core::from_records(config, disk.rows.values().cloned(), now)
}
