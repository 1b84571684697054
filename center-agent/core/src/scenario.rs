//! A center's life, played without any I/O: every step is written to a disk of the test, so that it can crash.

use std::collections::BTreeMap;

use flotilla_schemas::command::{Command, Order, Reply};
use flotilla_schemas::countermeasure::{By, Countermeasures, Measure, Rule};
use flotilla_schemas::desired::{Desired, Slot, Trigger, Wanted, Work};
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
    app, batch, center_key, closed, edge_key, fault, fleet, publisher, restoration, script, status,
};
use crate::{
    Answer, CommandError, Config, Core, EARLY_MAX, Effect, Held, Input, PULSE_MS, PublishError, QUIET_MS,
    REPLY_MS_MAX, Refusal, Request, Row, ServiceStart, ServiceStop, Step, Write,
};

struct Center {
    core: Core,
    disk: BTreeMap<String, Row>,
    broker: BTreeMap<Topic, Vec<u8>>,
    mono_ms: u64,
}

fn core(disk: &BTreeMap<String, Row>) -> Core {
    let (center, session) = ("c1".parse().unwrap(), "s1".parse().unwrap());
    let config = Config { center, fleet: fleet(), session, agent: "0".into(), records: 0 };
    Core::from_records(config, disk.values().cloned(), Now::new(0, 1_800_000_000_000))
}

impl Center {
    /// A center with an empty disk, before any connection.
    fn new() -> Self {
        let (disk, broker) = (BTreeMap::new(), BTreeMap::new());
        Self { core: core(&disk), disk, broker, mono_ms: 0 }
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
            let sig = topic.is_signed().then(|| self.signer(&topic).sign(&topic.to_string(), &payload));
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
        self.core = core(&self.disk);
    }

    fn pass(&mut self, ms: u64) -> Vec<Effect> {
        self.mono_ms += ms;
        self.give(Input::Tick)
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        let now = Now::new(self.mono_ms, 1_800_000_000_000 + self.mono_ms as i64);
        let Step { persist, effects, wake_at } = self.core.handle(input, now);
        assert!(wake_at.unwrap() > self.mono_ms, "it would spin");
        for write in persist {
            match write {
                Write::Put(row) => _ = self.disk.insert(row.key(), *row),
                Write::Remove(key) => _ = self.disk.remove(&key),
            }
        }
        for effect in &effects {
            if let Effect::Publish { topic, payload, retain: true } = effect {
                self.broker.insert(topic.clone(), payload.clone());
            }
        }
        effects
    }

    fn edge_says<T: Serialize>(&mut self, edge: &str, rest: &str, message: &T) -> Vec<Effect> {
        let text = format!("fleet/v1/edge/{edge}/{rest}");
        let payload = serde_json::to_vec(message).unwrap();
        let sig = Some(edge_key(edge).sign(&text, &payload));
        let topic = text.parse().unwrap();
        self.give(Input::Message { topic, payload, sig, retained: false })
    }

    fn edge_shows(&mut self, status: &Status) -> Vec<Effect> {
        let topic: Topic = format!("fleet/v1/edge/{}/status", status.meta.edge).parse().unwrap();
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
        self.retained(&format!("fleet/v1/to/{edge}/desired"))
    }
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

fn held(batch: &Batch) -> Held {
    let upto = batch.first + batch.records.len() as u64 - 1;
    Held { from: 1, upto, want: None, fork: false, stored: batch.records.len() as u64 }
}

fn service(desired: &Desired) -> &Wanted {
    &desired.items[&Slot::Service("cooling".parse().unwrap())].value
}

#[test]
fn nothing_is_issued_before_the_broker_was_heard() {
    let mut center = Center::new();
    assert_eq!(center.ask(Request::PublishApp(app("a", "1.0.0", &[]))), Err(Refusal::Unswept));
    center.give(Input::Connected);
    center.pass(QUIET_MS - 1);
    assert!(center.broker.is_empty(), "{:?}", center.broker);
    center.pass(1);
    assert_eq!(center.broker[&"fleet/v1/center/c1/avail".parse().unwrap()], b"online");
    assert!(center.ask(Request::PublishApp(app("a", "1.0.0", &[]))).is_ok());
}

#[test]
fn what_is_asked_while_the_broker_is_heard_is_answered_then() {
    let mut center = Center::new();
    center.give(Input::Connected);
    let request = || Request::PublishApp(app("a", "1.0.0", &[]));
    let effects: Vec<Effect> = (0..=EARLY_MAX as u64)
        .flat_map(|id| center.give(Input::Request { id, request: request() }))
        .collect();
    assert_eq!(reply(&effects), Some(Err(Refusal::Unswept)), "one too many");
    assert!(matches!(reply(&center.pass(QUIET_MS)), Some(Ok(Answer::Published(_)))));
    let mut cut_off = Center::new();
    cut_off.give(Input::Connected);
    cut_off.give(Input::Request { id: 1, request: request() });
    assert_eq!(reply(&cut_off.give(Input::Disconnected)), Some(Err(Refusal::Unswept)));
}

#[test]
fn a_started_service_reaches_its_edge_with_the_catalog_that_it_needs() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    assert_eq!(center.desired("e1"), None, "nothing was decided for it");
    center.start(&["e1"]).unwrap();
    let (desired, catalog) =
        (center.desired("e1").unwrap(), center.retained::<Catalog>("fleet/v1/catalog/targets"));
    let catalog = catalog.unwrap();
    assert_eq!(desired.min_catalog, catalog.version);
    let Wanted::Service(service) = service(&desired) else { panic!("{desired:?}") };
    let Work::Script { release, .. } = &service.work else { panic!("{service:?}") };
    assert!(catalog.scripts.contains_key(release));
    assert!(service.apps.len() == 2 && service.apps.values().all(|app| catalog.releases.contains_key(app)));
    let stop = ServiceStop { edges: vec!["e1".parse().unwrap()] };
    center.ask(Request::Stop("cooling".parse().unwrap(), stop)).unwrap();
    let stopped = center.desired("e1").unwrap();
    let slot = Slot::Service("cooling".parse().unwrap());
    assert!(stopped.items[&slot].replaces(&desired.items[&slot]));
    assert_eq!(stopped.items[&slot].value, Wanted::Gone);
}

#[test]
fn a_script_release_keeps_the_lists_that_services_run_with() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    let mut publish = |version, list| {
        let (release, apps) = script("cooling", version, &[(list, &["a"])]);
        center.ask(Request::PublishScript { release, apps })
    };
    let refused = publish("1.1.0", "small");
    assert!(matches!(refused, Err(Refusal::Publish(PublishError::EventsInUse { .. }))), "{refused:?}");
    assert!(publish("1.1.0", "large").is_ok());
}

#[test]
fn a_release_that_the_catalog_has_no_room_for_changes_nothing() {
    let mut center = Center::operating();
    let mut release = app("a", "1.0.0", &[]).read().unwrap();
    release.wasm.chunks = vec![Digest::of(b""); CATALOG_BYTES_MAX / 64];
    let refused = center.ask(Request::PublishApp(Signed::new(&release, &publisher()).unwrap()));
    assert!(matches!(refused, Err(Refusal::Publish(PublishError::Full { .. }))), "{refused:?}");
    assert!(center.core.apps().is_empty() && center.disk.is_empty());
}

#[test]
fn what_another_center_wants_of_an_edge_is_joined_unless_it_was_for_a_former_journal() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    let ours = center.desired("e1").unwrap();
    let mut theirs = ours.clone();
    let slot = Slot::Service("heating".parse().unwrap());
    let item = ours.items[&Slot::Service("cooling".parse().unwrap())].clone();
    theirs.items = [(slot.clone(), item)].into();
    theirs.min_catalog = 900;
    let mut hear = |desired: &Desired| {
        let topic: Topic = "fleet/v1/to/e1/desired".parse().unwrap();
        let payload = serde_json::to_vec(desired).unwrap();
        let sig = Some(center_key().sign(&topic.to_string(), &payload));
        center.give(Input::Message { topic, payload, sig, retained: false });
        center.pass(PULSE_MS);
        center.desired("e1").unwrap()
    };
    let mut former = theirs.clone();
    former.edge_epoch = "former".parse().unwrap();
    assert_eq!(hear(&former), ours);
    let joined = hear(&theirs);
    assert_eq!((joined.items.len(), joined.min_catalog), (2, 900));
    assert!(joined.items.contains_key(&slot));
}

#[test]
fn an_edge_whose_state_was_deleted_is_told_anew() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    let mut wiped = status("e1", 2);
    wiped.journal_epoch = "other".parse().unwrap();
    center.edge_shows(&wiped);
    assert_eq!(center.desired("e1").unwrap().edge_epoch, wiped.journal_epoch);
}

#[test]
fn a_crash_forgets_nothing_that_was_answered() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    center.set_list(&[Measure::Restart]).unwrap();
    let (broker, services) = (center.broker.clone(), center.core.services());
    center.crash();
    assert_eq!(center.core.services(), services);
    assert_eq!(center.core.apps().len(), 2);
    center.broker.clear();
    center.connect();
    for (topic, payload) in
        broker.iter().filter(|(topic, _)| !matches!(topic, Topic::Edge(..) | Topic::Center(..)))
    {
        assert_eq!(center.broker.get(topic), Some(payload), "{topic}");
    }
}

#[test]
fn a_lost_disk_is_made_good_from_what_the_broker_retains() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    let before = center.desired("e1").unwrap();
    center.disk.clear();
    center.crash();
    center.connect();
    assert_eq!(center.desired("e1").unwrap(), before);
    assert_eq!(center.core.apps().len(), 2);
    let Ok(Answer::Service(view)) = center.start(&["e1"]) else { panic!("refused") };
    let started = view.on[&"e1".parse().unwrap()].started;
    assert!(started > before.items.values().map(|item| item.key.n).max().unwrap());
}

#[test]
fn a_number_that_an_edge_has_seen_is_never_given_again() {
    let mut center = Center::operating();
    let mut edge = status("e1", 1);
    edge.n_max = 77;
    center.edge_shows(&edge);
    let Ok(Answer::Countermeasures(list)) = center.set_list(&[Measure::Restart]) else { panic!("refused") };
    assert_eq!(list.version, 78);
    edge.meta.seq = 2;
    edge.n_max = u64::MAX;
    assert!(warned(&center.edge_shows(&edge)), "nobody has seen so many documents");
    assert!(
        matches!(center.set_list(&[Measure::Tell]), Ok(Answer::Countermeasures(list)) if list.version == 79)
    );
}

#[test]
fn a_fault_is_answered_at_once_and_escalates() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.set_list(&[Measure::Restart, Measure::Replace]).unwrap();
    let to = "fleet/v1/to/e1/answer";
    let first = batch("e1", 1, &[fault("f", 1, 1)]);
    let effects = center.edge_says("e1", "journal/0", &first);
    assert!(matches!(effects[0], Effect::Publish { .. }), "the answer goes before the disk");
    let answers: Vec<FaultAnswer> = sent(&effects, to);
    assert_eq!((answers[0].measure, answers[0].attempt), (Measure::Restart, 1));
    assert!(effects.contains(&Effect::Append(first.clone())));
    let again: Vec<FaultAnswer> = sent(&center.edge_says("e1", "journal/0", &first), to);
    assert_eq!(again, answers, "it may have been lost");
    let second = batch("e1", 2, &[restoration("f", 1), fault("f", 2, 2)]);
    let answers: Vec<FaultAnswer> = sent(&center.edge_says("e1", "journal/0", &second), to);
    assert_eq!((answers[0].measure, answers[0].attempt), (Measure::Replace, 2));
}

#[test]
fn what_is_on_disk_is_acknowledged_and_the_fault_table_follows() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    center.edge_says("e1", "journal/0", &records);
    assert!(center.core.faults(None, None).is_empty(), "it is not on disk yet");
    let effects = center.give(Input::Appended { batch: records.clone(), held: held(&records) });
    let acks: Vec<Ack> = sent(&effects, "fleet/v1/to/e1/ack");
    assert_eq!((acks[0].from, acks[0].upto, acks[0].fork), (1, 1, false));
    assert_eq!(center.core.faults(None, Some(true)).len(), 1);
    center.crash();
    assert_eq!(center.core.faults(None, Some(true)).len(), 1);
    let end = batch("e1", 2, &[restoration("f", 1), closed("f", 1)]);
    center.give(Input::Appended { held: held(&end), batch: end });
    assert_eq!(center.core.faults(None, Some(true)).len(), 0);
    assert_eq!(center.core.faults(None, Some(false)).len(), 1);
}

#[test]
fn a_forked_journal_is_said_to_be_and_not_believed() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    let held = Held { from: 1, upto: 9, want: None, fork: true, stored: 0 };
    let effects = center.give(Input::Appended { batch: records, held });
    let acks: Vec<Ack> = sent(&effects, "fleet/v1/to/e1/ack");
    assert!(acks[0].fork);
    assert!(center.core.faults(None, None).is_empty());
}

#[test]
fn faults_that_came_before_the_sweep_are_answered_after_it() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.set_list(&[Measure::Restart]).unwrap();
    center.crash();
    center.give(Input::Connected);
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    let to = "fleet/v1/to/e1/answer";
    let early: Vec<FaultAnswer> = sent(&center.edge_says("e1", "journal/0", &records), to);
    assert!(early.is_empty());
    center.give(Input::Appended { held: held(&records), batch: records });
    let answers: Vec<FaultAnswer> = sent(&center.pass(QUIET_MS), to);
    assert_eq!(answers.len(), 1);
}

#[test]
fn a_list_with_errors_is_refused_with_all_of_them_and_the_old_one_holds() {
    let mut center = Center::operating();
    center.set_list(&[Measure::Restart]).unwrap();
    let held = center.core.countermeasures();
    let refused = center.set_list(&[]);
    assert!(matches!(refused, Err(Refusal::Countermeasures(errors)) if errors.len() == 1));
    assert_eq!(center.core.countermeasures(), held);
}

#[test]
fn a_command_is_answered_by_the_edge_or_by_time() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let request = || Request::Command("e1".parse().unwrap(), Order::RestartApp("a".parse().unwrap()));
    let effects = center.give(Input::Request { id: 5, request: request() });
    assert_eq!(reply(&effects), None);
    let command: Command = sent(&effects, "fleet/v1/to/e1/command").remove(0);
    let message = "restarted".to_owned();
    let answer = Reply { v: 1, edge: command.edge, id: command.id, done: true, message };
    let effects = center.edge_says("e1", "reply/command", &answer);
    assert_eq!(reply(&effects), Some(Ok(Answer::Reply(answer))));
    center.give(Input::Request { id: 6, request: request() });
    let effects = center.pass(REPLY_MS_MAX);
    assert!(matches!(reply(&effects), Some(Err(Refusal::Command(CommandError::Silent(_))))));
}

#[test]
fn chunks_of_the_catalog_are_sent_and_others_are_not() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    let known = app("a", "1.0.0", &["b"]).read().unwrap().wasm.chunks[0];
    let edge = "e1".parse().unwrap();
    let want = Want { v: 1, edge, chunks: vec![known, Digest::of(b"a secret of the center")] };
    let effects = center.edge_says("e1", "want", &want);
    let chunks = effects.iter().find_map(|effect| match effect {
        Effect::SendChunks(chunks) => Some(chunks.clone()),
        _ => None,
    });
    assert_eq!(chunks.unwrap().iter().map(|chunk| chunk.digest).collect::<Vec<_>>(), [known]);
    assert!(warned(&effects));
}

#[test]
fn what_a_stranger_retained_is_put_right() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    let topic: Topic = "fleet/v1/catalog/targets".parse().unwrap();
    let ours = center.broker[&topic].clone();
    for payload in [Vec::new(), b"nonsense".to_vec()] {
        center.broker.insert(topic.clone(), payload.clone());
        center.give(Input::Message { topic: topic.clone(), payload, sig: None, retained: false });
        center.pass(PULSE_MS);
        assert_eq!(center.broker[&topic], ours);
    }
}

#[test]
fn nonsense_on_every_topic_changes_nothing_and_stops_nothing() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    let (disk, apps) = (center.disk.clone(), center.core.apps());
    let rest =
        ["status", "avail", "inventory", "app/a", "journal/0", "want", "reply/command", "fault/a/app.error"];
    let edges = rest.iter().map(|rest| format!("edge/e1/{rest}"));
    let others = ["to/e1/desired", "intent/app/a", "intent/x/y", "catalog/targets", "blob/00", "peer/c1"];
    for topic in edges.chain(others.iter().map(|rest| (*rest).to_owned())) {
        for payload in ["", "{}", "nonsense", "{\"v\":1}"] {
            for signed in [false, true] {
                let topic: Topic = format!("fleet/v1/{topic}").parse().unwrap();
                let payload = payload.as_bytes().to_vec();
                let sig = signed.then(|| center.signer(&topic).sign(&topic.to_string(), &payload));
                center.give(Input::Message { topic, payload, sig, retained: false });
            }
        }
    }
    assert_eq!((center.disk.clone(), center.core.apps()), (disk, apps));
    assert!(center.start(&["e1"]).is_ok());
}
