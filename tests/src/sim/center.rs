//! A center without I/O: its core, and its disk.

use std::collections::VecDeque;

use center_core::{Answer, Config, Core, Effect, Input, Refusal, Request, Store, filters};
use flotilla_schemas::Topic;
use flotilla_schemas::digest::CHUNK_BYTES;
use flotilla_schemas::time::Now;

use crate::sim::broker::Broker;
use crate::sim::disk::Disk;
use crate::sim::samples::{fleet, key, place};

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
        step.at_once.into_iter().for_each(|effect| self.carry_out(effect, broker));
        self.disk.commit(&step.persist).unwrap();
        step.effects.into_iter().for_each(|effect| self.carry_out(effect, broker));
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
            Effect::Append(journaled) => {
                let held = self.disk.append(&journaled).unwrap();
                self.answers.push_back(Input::Appended { journaled, held });
            }
            Effect::Reply { answer, .. } => self.replies.push_back(answer),
            Effect::Note(_) => {}
        }
    }
}

fn boot(disk: &Disk, session: u64, now: Now) -> Core {
    let config = Config {
        center: "c1".parse().unwrap(),
        fleet: fleet(),
        session: format!("c1-{session}").parse().unwrap(),
        agent: "0".into(),
        records: disk.records().count() as u64,
    };
    Core::from_records(config, disk.rows().unwrap(), now)
}
