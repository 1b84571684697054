//! What a broker gives back, loses and lets through.

use super::*;

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
        let topic: Topic = "to/e1/desired".parse().unwrap();
        let payload = serde_json::to_vec(desired).unwrap();
        let sig = Some(center_key().sign(&place(&topic), &payload));
        center.give(Input::Message { topic, payload, sig, retained: false });
        center.pass(PAUSE_MS_MIN);
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
    assert!(started > before.items.values().map(|item| item.key().n).max().unwrap());
}

#[test]
fn a_number_that_no_center_signed_counts_for_nobody() {
    let mut center = Center::operating();
    let mut edge = status("e1", 1);
    edge.n_max = JUMP_MAX;
    center.edge_shows(&edge);
    center.edge_shows(&status("e2", 1));
    let Ok(Answer::Countermeasures(list)) = center.set_list(&[Measure::Restart]) else { panic!("refused") };
    assert_eq!(list.version, 3, "the edges' own documents have the first two");
    assert_eq!(center.desired("e2").unwrap().items[&Slot::Policy].key().n, 3);
    center.crash();
    center.connect();
    assert!(
        matches!(center.set_list(&[Measure::Tell]), Ok(Answer::Countermeasures(list)) if list.version == 4),
        "it is retained, and heard again"
    );
}

fn orders(effects: &[Effect]) -> Vec<Order> {
    sent::<Command>(effects, "to/e1/command")
        .into_iter()
        .map(|command| command.order.read().unwrap())
        .collect()
}

#[test]
fn a_center_that_has_lost_everything_finds_its_numbers_again_through_an_edge() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    let before = center.desired("e1").unwrap();
    let n_max = before.items.values().map(|item| item.key().n).max().unwrap();
    let topic = place(&"to/e1/desired".parse().unwrap());
    let text = serde_json::to_string(&before).unwrap();
    (center.disk, center.broker) = Default::default();
    center.crash();
    center.connect();
    let mut edge = Status { n_max, ..status("e1", 2) };
    assert_eq!(orders(&center.edge_shows(&edge)), [Order::ShowDesired]);
    edge.meta.seq = 3;
    assert!(orders(&center.edge_shows(&edge)).is_empty(), "once a minute");
    let mut shown =
        Shown { v: 1, edge: "e1".parse().unwrap(), sig: edge_key("e1").sign(&topic, text.as_bytes()), text };
    assert!(warned(&center.edge_says("e1", "reply/desired", &shown)), "no center signed it");
    assert_eq!(center.desired("e1"), None);
    shown.sig = center_key().sign(&topic, shown.text.as_bytes());
    center.edge_says("e1", "reply/desired", &shown);
    assert_eq!(center.desired("e1").unwrap(), before);
    let Ok(Answer::Countermeasures(list)) = center.set_list(&[Measure::Restart]) else { panic!("refused") };
    assert_eq!(list.version, n_max + 1);
    center.mono_ms += crate::registry::ASK_MS_MIN;
    edge.meta.seq = 4;
    assert!(orders(&center.edge_shows(&edge)).is_empty(), "nothing is lacking any more");
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
    let topic: Topic = "catalog/targets".parse().unwrap();
    let ours = center.broker[&topic].clone();
    for payload in [Vec::new(), b"nonsense".to_vec()] {
        center.broker.insert(topic.clone(), payload.clone());
        center.give(Input::Message { topic: topic.clone(), payload, sig: None, retained: false });
        center.pass(PAUSE_MS_MIN);
        assert_eq!(center.broker[&topic], ours);
    }
}

#[test]
fn what_had_no_room_in_the_queue_goes_out_later_and_costs_no_answer() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    let topic: Topic = "catalog/targets".parse().unwrap();
    let ours = center.broker.remove(&topic).unwrap();
    center.give(Input::Request {
        id: 6,
        request: Request::Command("e1".parse().unwrap(), Order::RestartApp("a".parse().unwrap())),
    });
    center.mono_ms += REPLY_MS_MAX;
    center.core.unsent(&topic);
    let answered = center.pass(0);
    assert!(matches!(reply(&answered), Some(Err(Refusal::Command(CommandError::Silent(_))))));
    center.pass(PULSE_MS);
    assert_eq!(center.broker[&topic], ours);
}

#[test]
fn nonsense_on_every_topic_changes_nothing_and_stops_nothing() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    let (disk, apps) = (center.disk.clone(), center.core.apps());
    let rest = [
        "status",
        "avail",
        "inventory",
        "release/app/a",
        "journal/0/8b",
        "want",
        "reply/command",
        "fault/a/app.error",
    ];
    let edges = rest.iter().map(|rest| format!("edge/e1/{rest}"));
    let others = ["to/e1/desired", "intent/app/a", "intent/x/y", "catalog/targets", "blob/00", "peer/c1"];
    for topic in edges.chain(others.iter().map(|rest| (*rest).to_owned())) {
        for payload in ["", "{}", "nonsense", "{\"v\":1}"] {
            for signed in [false, true] {
                let topic: Topic = topic.parse().unwrap();
                let payload = payload.as_bytes().to_vec();
                let sig = signed.then(|| center.signer(&topic).sign(&place(&topic), &payload));
                center.give(Input::Message { topic, payload, sig, retained: false });
            }
        }
    }
    assert_eq!((center.disk.clone(), center.core.apps()), (disk, apps));
    assert!(center.start(&["e1"]).is_ok());
}
