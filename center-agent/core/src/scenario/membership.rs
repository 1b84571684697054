//! Who belongs to the fleet.

use super::*;
use crate::EdgeDocument;
use crate::samples::{key, row};

fn edge_of(seq: u64, key: &SecretKey) -> Status {
    Status { key: key.public(), ..status("e1", seq) }
}

fn shows(center: &mut Center, status: &Status, key: &SecretKey) -> Vec<Effect> {
    let topic: Topic = "edge/e1/status".parse().unwrap();
    let payload = serde_json::to_vec(status).unwrap();
    let sig = Some(key.sign(&place(&topic), &payload));
    center.broker.insert(topic.clone(), payload.clone());
    center.give(Input::Message { topic, payload, sig, retained: false })
}

fn retire(center: &mut Center, edge: &str) -> Result<Answer, Refusal> {
    center.ask(Request::Retire(edge.parse().unwrap()))
}

fn payload<'a>(center: &'a Center, topic: &str) -> Option<&'a [u8]> {
    center.broker.get(&topic.parse().unwrap()).map(Vec::as_slice)
}

#[test]
fn the_first_key_of_an_edge_becomes_a_document_once_the_broker_was_heard() {
    let mut center = Center::new();
    center.give(Input::Connected);
    center.edge_shows(&status("e1", 1));
    assert!(payload(&center, "intent/edge/e1").is_none(), "another center may have decided it");
    center.pass(QUIET_MS);
    let document: crate::Document = center.retained("intent/edge/e1").unwrap();
    let crate::Body::Edge(EdgeDocument { key, .. }) = document.body else { panic!() };
    assert_eq!(key, edge_key("e1").public());
}

#[test]
fn a_retired_edge_leaves_nothing_at_the_broker_and_is_not_heard_again() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    center.edge_says("e1", "release/app/a", &row("e1", "a", "1.0.0"));
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    center.give(appended(&records, held(&records)));
    assert!(retire(&mut center, "e1").is_ok() && retire(&mut center, "e1").is_ok(), "twice is once");
    center.pass(PULSE_MS);
    for topic in [
        "edge/e1/status",
        "edge/e1/release/app/a",
        "edge/e1/fault/a/app.trap.unreachable",
        "distribution/app/a/e1",
    ] {
        assert_eq!(payload(&center, topic), Some(&b""[..]), "{topic}");
    }
    let desired = center.desired("e1").unwrap();
    assert!(desired.retired && desired.items.is_empty());
    assert!(center.core.edges().is_empty() && center.core.faults(None, None).is_empty());
    center.edge_shows(&status("e1", 2));
    center.edge_says("e1", "journal/0/8b", &batch("e1", 2, &[fault("g", 1, 1)]));
    assert!(center.core.edges().is_empty(), "it is not heard");
    center.pass(PAUSE_MS_MIN);
    assert_eq!(payload(&center, "edge/e1/status"), Some(&b""[..]));
    center.crash();
    center.broker.insert("edge/e1/status".parse().unwrap(), serde_json::to_vec(&status("e1", 3)).unwrap());
    center.connect();
    assert!(center.core.edges().is_empty() && center.desired("e1").unwrap().retired);
    assert_eq!(payload(&center, "edge/e1/status"), Some(&b""[..]), "a tombstone stays");
}

#[test]
fn a_new_gateway_takes_over_the_id_of_the_old_one_once_people_say_so() {
    let mut center = Center::operating();
    let (old, new) = (edge_key("e1"), key("e1", 99));
    shows(&mut center, &edge_of(1, &old), &old);
    assert!(warned(&shows(&mut center, &edge_of(1, &new), &new)), "nobody said so");
    center.mono_ms += crate::warning::WARNING_MS;
    center.ask(Request::Replace("e1".parse().unwrap())).unwrap();
    assert!(warned(&shows(&mut center, &edge_of(2, &old), &old)), "the old one has had its time");
    let other = Status { journal_epoch: "other".parse().unwrap(), ..edge_of(1, &new) };
    shows(&mut center, &other, &new);
    let holds = |center: &Center| center.core.edge(&"e1".parse().unwrap()).unwrap().key;
    assert_eq!(holds(&center), new.public());
    center.mono_ms += 60_000;
    assert!(warned(&shows(&mut center, &edge_of(3, &old), &old)));
    center.crash();
    center.connect();
    assert_eq!(holds(&center), new.public());
}

#[test]
fn a_retired_edge_comes_back_as_another_gateway() {
    let mut center = Center::operating();
    let (old, new) = (edge_key("e1"), key("e1", 99));
    shows(&mut center, &edge_of(1, &old), &old);
    retire(&mut center, "e1").unwrap();
    center.ask(Request::Replace("e1".parse().unwrap())).unwrap();
    shows(&mut center, &edge_of(1, &new), &new);
    center.pass(PAUSE_MS_MIN);
    assert_eq!(center.core.edges().len(), 1);
    assert_ne!(payload(&center, "edge/e1/status"), Some(&b""[..]), "what it writes is its own");
}

#[test]
fn nothing_is_decided_about_an_edge_that_never_showed_itself() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let refused = retire(&mut center, "e9");
    assert!(matches!(refused, Err(Refusal::Edge { known, .. }) if known.len() == 1));
}
