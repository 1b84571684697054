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
        self.give_all([(at, input)])
    }

    /// The same, of several that happen before any of them is heard by the other.
    fn give_all<const N: usize>(&mut self, inputs: [(usize, Input); N]) -> Option<Result<Answer, Refusal>> {
        let mut inputs = VecDeque::from(inputs);
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

#[test]
fn two_centers_that_saw_different_keys_of_an_edge_agree_on_one_of_them() {
    let mut two = Two::operating();
    let keys = [edge_key("e1"), crate::samples::key("e1", 99)];
    let shows = |key: &SecretKey, seq: u64| Status { key: key.public(), ..status("e1", seq) };
    two.give_all([0, 1].map(|at| {
        let topic = "edge/e1/status".parse().unwrap();
        let payload = serde_json::to_vec(&shows(&keys[at], 1)).unwrap();
        (at, message(&topic, &payload, &keys[at]))
    }));
    for key in &keys {
        (0..2).for_each(|at| two.edge_shows(at, &shows(key, 2), key));
    }
    let believed = |core: &Core| core.edge(&"e1".parse().unwrap()).unwrap().key;
    assert_eq!(believed(&two.cores[0]), believed(&two.cores[1]));
    (0..120).for_each(|_| two.pass(1000));
    assert!(two.said("intent/edge/e1") <= 4, "{:?}", two.said);
}

#[test]
fn two_centers_that_start_one_service_on_different_edges_at_once_lose_neither() {
    let mut two = Two::operating();
    let first: flotilla_schemas::EdgeId = "g0".parse().unwrap();
    let same = |edge: &flotilla_schemas::EdgeId| edge.bucket() == first.bucket();
    let second = (1..).map(|n| format!("g{n}").parse().unwrap()).find(same).unwrap();
    for edge in [&first, &second] {
        let key = edge_key(edge.as_str());
        (0..2).for_each(|at| two.edge_shows(at, &status(edge.as_str(), 1), &key));
    }
    two.ask(0, Request::PublishApp(app("a", "1.0.0", &[])));
    let (release, apps) = script("cooling", "1.0.0", &[("large", &["a"])]);
    two.ask(0, Request::PublishScript { release, apps });
    let start = |edge: &flotilla_schemas::EdgeId| {
        let edges = vec![edge.clone()];
        let start = ServiceStart { script: None, app: None, edges, events: None, trigger: None };
        Input::Request { id: 1, request: Request::Start("cooling".parse().unwrap(), start) }
    };
    two.give_all([(0, start(&first)), (1, start(&second))]);
    two.pass(PULSE_MS);
    for core in &two.cores {
        assert_eq!(core.services()[0].on.len(), 2);
    }
    for edge in [&first, &second] {
        let (desired, _) = &two.broker[&format!("to/{edge}/desired").parse().unwrap()];
        let desired: Desired = serde_json::from_slice(desired).unwrap();
        assert!(matches!(service(&desired), Wanted::Service(_)), "{edge}");
    }
    let part = format!("intent/service/cooling/{:02x}", first.bucket());
    let (document, _) = &two.broker[&part.parse().unwrap()];
    let document: crate::Document = serde_json::from_slice(document).unwrap();
    assert!(matches!(document.body, crate::Body::Service(part) if part.on.len() == 2));
    let said = two.said(&part);
    (0..120).for_each(|_| two.pass(1000));
    assert_eq!(two.said(&part), said, "they wrote the same");
}
