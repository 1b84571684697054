//! Two centers and one broker: what each says, the other hears.

use std::collections::VecDeque;

use super::*;
use crate::samples::other_center_key;

/// Both, with what the broker retains and who signed it.
struct Two {
    cores: [Core; 2],
    broker: BTreeMap<Topic, (Vec<u8>, SecretKey)>,
    mono_ms: u64,
    /// How many retained messages each topic has had.
    said: BTreeMap<Topic, usize>,
}

impl Two {
    fn operating() -> Self {
        let disk = BTreeMap::new();
        let (broker, said) = (BTreeMap::new(), BTreeMap::new());
        let mut two = Self { cores: [core("c1", &disk), core("c2", &disk)], broker, mono_ms: 0, said };
        (0..2).for_each(|at| _ = two.give(at, Input::Connected));
        two.pass(QUIET_MS);
        two
    }

    fn now(&self) -> Now {
        Now::new(self.mono_ms, 1_800_000_000_000 + self.mono_ms as i64)
    }

    /// What one center answers; whatever it has retained is heard by both, and what comes of that, until all is said.
    fn give(&mut self, at: usize, input: Input) -> Option<Result<Answer, Refusal>> {
        let mut inputs = VecDeque::from([(at, input)]);
        let mut answer = None;
        for round in 0.. {
            assert!(round < 10_000, "they race");
            let Some((at, input)) = inputs.pop_front() else { break };
            let now = self.now();
            let effects = self.cores[at].handle(input, now).effects;
            answer = answer.or(reply(&effects));
            for effect in effects {
                let Effect::Publish { topic, payload, retain: true } = effect else { continue };
                *self.said.entry(topic.clone()).or_default() += 1;
                let key = [center_key(), other_center_key()][at].clone();
                self.broker.insert(topic.clone(), (payload.clone(), key.clone()));
                inputs.extend((0..2).map(|to| (to, message(&topic, &payload, &key))));
            }
        }
        answer
    }

    fn pass(&mut self, ms: u64) {
        self.mono_ms += ms;
        (0..2).for_each(|at| _ = self.give(at, Input::Tick));
    }

    /// One of them hears an edge.
    fn edge_shows(&mut self, at: usize, status: &Status, key: &SecretKey) {
        let topic: Topic = format!("edge/{}/status", status.meta.edge).parse().unwrap();
        let payload = serde_json::to_vec(status).unwrap();
        self.give(at, message(&topic, &payload, key));
    }

    fn ask(&mut self, at: usize, request: Request) -> Answer {
        self.give(at, Input::Request { id: 1, request }).unwrap().unwrap()
    }

    fn said(&self, topic: &str) -> usize {
        self.said.get(&topic.parse().unwrap()).copied().unwrap_or_default()
    }
}

fn message(topic: &Topic, payload: &[u8], key: &SecretKey) -> Input {
    let sig = topic.is_signed().then(|| key.sign(&place(topic), payload));
    Input::Message { topic: topic.clone(), payload: payload.to_vec(), sig, retained: false }
}

#[test]
fn two_centers_of_other_opinions_on_an_edge_say_so_ever_more_seldom() {
    let mut two = Two::operating();
    let mut anew = status("e1", 1);
    anew.journal_epoch = "anew".parse().unwrap();
    let key = edge_key("e1");
    two.edge_shows(0, &status("e1", 1), &key);
    two.edge_shows(1, &anew, &key);
    two.ask(0, Request::SetCountermeasures(Countermeasures::default()));
    let topic = "to/e1/desired";
    let mut words = Vec::new();
    for _minute in 0..120 {
        (0..60).for_each(|_| two.pass(1000));
        words.push(two.said(topic));
    }
    assert!(words[0] <= 6, "{words:?}");
    assert!(words[119] - words[0] <= 14, "{words:?}");
    assert!(words[119] - words[60] <= 4, "{words:?}");
    two.pass(STATUS_MS);
    let (status, _) = &two.broker[&"center/c1/status".parse().unwrap()];
    let status: flotilla_schemas::report::CenterStatus = serde_json::from_slice(status).unwrap();
    assert!(status.repeated > 2, "it is counted");
}
