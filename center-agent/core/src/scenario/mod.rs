//! A center's life, played without any I/O: every step is written to a disk of the test, so that it can crash.

mod broker;
mod decisions;
mod faults;
mod membership;
mod two;

use std::collections::BTreeMap;

use flotilla_schemas::command::{Command, Order, Reply, Shown};
use flotilla_schemas::countermeasure::{By, Countermeasures, Measure, Rule};
use flotilla_schemas::desired::{Desired, JUMP_MAX, Slot, Trigger, Wanted, Work};
use flotilla_schemas::fault::Answer as FaultAnswer;
use flotilla_schemas::journal::{Ack, Batch};
use flotilla_schemas::release::{CATALOG_BYTES_MAX, Catalog};
use flotilla_schemas::report::{Status, Want};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::time::Now;
use flotilla_schemas::{Digest, Signed, Topic};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::samples::{
    app, batch, center_key, closed, edge_key, fault, fleet, publisher, restoration, row, script, status,
};
use crate::{
    Answer, CommandError, Config, Core, EARLY_MAX, Effect, Held, Input, Journaled, PAUSE_MS_MIN, PULSE_MS,
    PublishError, QUIET_MS, REPLY_MS_MAX, Refusal, Request, Row, STATUS_MS, ServiceStart, ServiceStop, Step,
    Write,
};

struct Center {
    core: Core,
    disk: BTreeMap<String, Row>,
    broker: BTreeMap<Topic, Vec<u8>>,
    mono_ms: u64,
}

fn core(center: &str, disk: &BTreeMap<String, Row>) -> Core {
    let (center, session) = (center.parse().unwrap(), "s1".parse().unwrap());
    let config = Config { center, fleet: fleet(), session, agent: "0".into(), records: 0 };
    Core::from_records(config, disk.values().cloned(), Now::new(0, 1_800_000_000_000))
}

impl Center {
    /// A center with an empty disk, before any connection.
    fn new() -> Self {
        let (disk, broker) = (BTreeMap::new(), BTreeMap::new());
        Self { core: core("c1", &disk), disk, broker, mono_ms: 0 }
    }

    /// Connected, and through with its sweep of what the broker retains.
    fn operating() -> Self {
        let mut center = Self::new();
        center.connect();
        center
    }

    fn connect(&mut self) {
        self.give(Input::Connected);
        for (topic, payload) in self.broker.clone() {
            let sig = topic.is_signed().then(|| self.signer(&topic).sign(&place(&topic), &payload));
            self.give(Input::Message { topic, payload, sig, retained: true });
        }
        self.pass(QUIET_MS);
    }

    fn signer(&self, topic: &Topic) -> SecretKey {
        match topic {
            Topic::Edge(edge, _) => edge_key(edge.as_str()),
            _ => center_key(),
        }
    }

    fn crash(&mut self) {
        self.core = core("c1", &self.disk);
    }

    fn pass(&mut self, ms: u64) -> Vec<Effect> {
        self.mono_ms += ms;
        self.give(Input::Tick)
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        let now = Now::new(self.mono_ms, 1_800_000_000_000 + self.mono_ms as i64);
        let Step { at_once, persist, effects, wake_at, .. } = self.core.handle(input, now);
        assert!(wake_at.unwrap() > self.mono_ms, "it would spin");
        for write in persist {
            match write {
                Write::Put(row) => _ = self.disk.insert(row.key(), *row),
                Write::Remove(key) => _ = self.disk.remove(&key),
            }
        }
        let effects: Vec<Effect> = at_once.into_iter().chain(effects).collect();
        for effect in &effects {
            if let Effect::Publish { topic, payload, retain: true } = effect {
                self.broker.insert(topic.clone(), payload.clone());
            }
        }
        effects
    }

    fn edge_says<T: Serialize>(&mut self, edge: &str, rest: &str, message: &T) -> Vec<Effect> {
        let topic = format!("edge/{edge}/{rest}").parse().unwrap();
        let payload = serde_json::to_vec(message).unwrap();
        let sig = Some(edge_key(edge).sign(&place(&topic), &payload));
        self.give(Input::Message { topic, payload, sig, retained: false })
    }

    fn edge_shows(&mut self, status: &Status) -> Vec<Effect> {
        let topic: Topic = format!("edge/{}/status", status.meta.edge).parse().unwrap();
        self.broker.insert(topic, serde_json::to_vec(status).unwrap());
        self.edge_says(status.meta.edge.as_str(), "status", status)
    }

    fn ask(&mut self, request: Request) -> Result<Answer, Refusal> {
        let effects = self.give(Input::Request { id: 1, request });
        reply(&effects).expect("an answer")
    }

    fn publish_all(&mut self) {
        self.ask(Request::PublishApp(app("a", "1.0.0", &["b"]))).unwrap();
        self.ask(Request::PublishApp(app("b", "1.0.0", &[]))).unwrap();
        let (release, apps) = script("cooling", "1.0.0", &[("large", &["a"])]);
        self.ask(Request::PublishScript { release, apps }).unwrap();
    }

    fn start(&mut self, edges: &[&str]) -> Result<Answer, Refusal> {
        let edges = edges.iter().map(|edge| edge.parse().unwrap()).collect();
        let start = ServiceStart {
            script: None,
            app: None,
            edges,
            events: None,
            trigger: Some(Trigger::EveryMs(2000)),
        };
        self.ask(Request::Start("cooling".parse().unwrap(), start))
    }

    fn set_list(&mut self, measures: &[Measure]) -> Result<Answer, Refusal> {
        let (kind, by, measures) = ("app.*".into(), By::Center, measures.to_vec());
        let rule = Rule { kind, app: None, cause: None, by, window_s: 60, measures };
        let list = Countermeasures { rules: vec![rule], ..Countermeasures::default() };
        self.ask(Request::SetCountermeasures(list))
    }

    fn retained<T: DeserializeOwned>(&self, topic: &str) -> Option<T> {
        let payload = self.broker.get(&topic.parse().unwrap())?;
        Some(serde_json::from_slice(payload).unwrap())
    }

    fn desired(&self, edge: &str) -> Option<Desired> {
        self.retained(&format!("to/{edge}/desired"))
    }
}

/// What a message is signed for.
fn place(topic: &Topic) -> String {
    fleet().tree().text(topic)
}

fn reply(effects: &[Effect]) -> Option<Result<Answer, Refusal>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply { answer, .. } => Some(answer.clone()),
        _ => None,
    })
}

fn sent<T: DeserializeOwned>(effects: &[Effect], topic: &str) -> Vec<T> {
    let topic: Topic = topic.parse().unwrap();
    let message = |effect: &Effect| match effect {
        Effect::Publish { topic: at, payload, retain: false } if *at == topic => {
            Some(serde_json::from_slice(payload).unwrap())
        }
        _ => None,
    };
    effects.iter().filter_map(message).collect()
}

fn warned(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Note(note) if note.warn))
}

fn appended(batch: &Batch, held: Held) -> Input {
    let payload = serde_json::to_vec(batch).unwrap();
    let sig = edge_key(batch.edge.as_str()).sign("journal", &payload);
    Input::Appended { journaled: Box::new(Journaled { batch: batch.clone(), payload, sig }), held }
}

fn held(batch: &Batch) -> Held {
    let upto = batch.last().unwrap();
    Held { from: 1, upto, want: None, fork: false, stored: batch.records.len() as u64 }
}

fn service(desired: &Desired) -> Wanted {
    desired.items[&Slot::Service("cooling".parse().unwrap())].wanted().unwrap()
}
