//! What an edge must not be moved by: strangers, old and wrong messages, a clock in 1970, a full disk.

use center_core::Place;
use edge_core::Input;
use fleet_tests::sim::{Weather, World, oracle, place};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::time::Now;
use flotilla_schemas::{Digest, Topic};

/// One edge that runs both services.
fn running() -> World {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.pass(1_000);
    world
}

fn key(id: &str) -> SecretKey {
    SecretKey::from_seed(id.parse().unwrap(), *Digest::of(id.as_bytes()).bytes())
}

/// What the edge keeps, without what it records.
fn kept(world: &mut World) -> Vec<(String, Vec<u8>)> {
    world.edge("e1").kept().into_iter().filter(|(key, _)| key != "safe").collect()
}

fn give(world: &mut World, topic: &str, payload: &[u8], signer: Option<&SecretKey>) {
    let topic: Topic = topic.parse().unwrap();
    let sig = signer.map(|key| key.sign(&place(&topic), payload));
    let now = world.now();
    let input = Input::Message { topic, payload: payload.to_vec(), sig };
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    edge.give(input, &mut world.broker, now);
}

const TOPICS: [&str; 9] = [
    "to/e1/desired",
    "to/e1/ack",
    "to/e1/answer",
    "to/e1/command",
    "to/e2/desired",
    "catalog/targets",
    "blob/00",
    "edge/e1/fault/aircon-north/app.error",
    "intent/service/air-conditioner",
];

#[test]
fn nonsense_on_every_topic_changes_nothing_and_stops_nothing() {
    let mut world = running();
    let before = kept(&mut world);
    let (center, stranger) = (key("c1"), key("stranger"));
    for topic in TOPICS {
        for payload in ["", "{}", "nonsense", "{\"v\":1}", "\u{fffd}"] {
            for signer in [None, Some(&center), Some(&stranger)] {
                give(&mut world, topic, payload.as_bytes(), signer);
            }
        }
    }
    assert_eq!(kept(&mut world), before);
    let runs = oracle::records(&world, "e1", Lane::Reading).count();
    world.pass(5_000);
    assert!(oracle::records(&world, "e1", Lane::Reading).count() > runs);
    let warnings = &world.edge("e1").warnings;
    assert!(warnings.iter().any(|text| text.contains("it has no signature")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("not a key that is trusted")), "{warnings:?}");
}

/// The desired state that the broker retains, changed and signed again by the center's own key.
fn changed(world: &World, change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let topic: Topic = "to/e1/desired".parse().unwrap();
    let payload = world.broker.retained().find(|(t, _)| **t == topic).unwrap().1;
    let mut desired: serde_json::Value = serde_json::from_slice(payload).unwrap();
    change(&mut desired);
    serde_json::to_vec(&desired).unwrap()
}

#[test]
fn a_desired_state_that_is_old_or_anothers_is_refused() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 5] = [
        ("another fleet", |desired| desired["fleet"] = "other".into()),
        ("another edge", |desired| desired["edge"] = "e2".into()),
        ("a state that was deleted", |desired| desired["edge_epoch"] = "gone".into()),
        ("an era that is over", |desired| {
            let mut item = desired["items"]["service/meter"].take();
            item["key"]["era"] = 0.into();
            desired["items"] = serde_json::json!({"service/another": item});
        }),
        ("a number out of the blue", |desired| {
            desired["items"]["service/meter"]["key"]["n"] = (1_u64 << 40).into();
        }),
    ];
    let mut world = running();
    let before = kept(&mut world);
    for (what, change) in changes {
        let payload = changed(&world, |desired| {
            desired["items"]["service/meter"]["value"] = "gone".into();
            let n = desired["items"]["service/meter"]["key"]["n"].as_u64().unwrap();
            desired["items"]["service/meter"]["key"]["n"] = (n + 1).into();
            change(desired);
        });
        give(&mut world, "to/e1/desired", &payload, Some(&key("c1")));
        assert_eq!(kept(&mut world), before, "{what}");
    }
    let newer = changed(&world, |desired| {
        desired["items"]["service/meter"]["value"] = "gone".into();
        let n = desired["items"]["service/meter"]["key"]["n"].as_u64().unwrap();
        desired["items"]["service/meter"]["key"]["n"] = (n + 1).into();
    });
    let topic: Topic = "to/e1/desired".parse().unwrap();
    let elsewhere = key("c1").sign(&place(&"to/e2/desired".parse().unwrap()), &newer);
    for sig in [None, Some(key("stranger").sign(&place(&topic), &newer)), Some(elsewhere)] {
        let now = world.now();
        let input = Input::Message { topic: topic.clone(), payload: newer.clone(), sig };
        world.edges.get_mut(&"e1".parse().unwrap()).unwrap().give(input, &mut world.broker, now);
        assert_eq!(kept(&mut world), before, "not signed by a center for this edge");
    }
    let older = changed(&world, |desired| {
        desired["items"]["service/meter"]["value"] = "gone".into();
        desired["items"]["service/meter"]["key"]["n"] = 1.into();
    });
    give(&mut world, "to/e1/desired", &older, Some(&key("c1")));
    assert_eq!(kept(&mut world), before, "a lower key");
    give(&mut world, "to/e1/desired", &newer, Some(&key("c1")));
    assert_ne!(kept(&mut world), before, "and what is right is taken");
}

#[test]
fn a_command_is_done_once_and_for_its_session_alone() {
    let mut world = running();
    let command = |session: &str, id: &str| {
        let order = serde_json::json!({"restart-app": "aircon-north"});
        let command = serde_json::json!({"v": 1, "edge": "e1", "session": session, "id": id, "order": order});
        serde_json::to_vec(&command).unwrap()
    };
    let done = |world: &World| {
        let done = |body: &Body| matches!(body, Body::Command { done: true, .. });
        oracle::records(world, "e1", Lane::Fault).filter(|record| done(&record.body)).count()
    };
    for _ in 0..3 {
        give(&mut world, "to/e1/command", &command("e1-0", "x-1"), Some(&key("c1")));
    }
    assert_eq!(done(&world), 1);
    give(&mut world, "to/e1/command", &command("another", "x-2"), Some(&key("c1")));
    assert_eq!(done(&world), 1);
}

#[test]
fn a_clock_in_1970_is_marked_and_deletes_nothing() {
    let mut world = running();
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    let before = edge.disk.blobs.len();
    for mono_ms in (1_000..40_000).step_by(500) {
        edge.give(Input::Tick, &mut world.broker, Now::new(world.now_ms + mono_ms, mono_ms as i64));
        while edge.work(&mut world.broker, Now::new(world.now_ms + mono_ms, mono_ms as i64)) {}
    }
    assert!(edge.disk.blobs.len() >= before);
    let last = oracle::records(&world, "e1", Lane::Reading).last().unwrap();
    assert!(!last.clock_ok && last.ts < 100_000, "{last:?}");
}

#[test]
fn on_a_full_disk_the_apps_go_on_and_faults_are_still_told() {
    let mut world = running();
    let now = world.now();
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    let full = |error: Option<&str>| Input::Storage { error: error.map(str::to_owned) };
    edge.give(full(Some("no space left on device")), &mut world.broker, now);
    let calls = |world: &mut World| {
        let apps = &world.edge("e1").apps;
        apps.values().map(|app| app.calls.len()).sum::<usize>()
    };
    let (events, before) = (oracle::records(&world, "e1", Lane::Reading).count(), calls(&mut world));
    world.pass(10_000);
    assert!(calls(&mut world) > before, "the apps go on");
    assert_eq!(oracle::records(&world, "e1", Lane::Reading).count(), events, "readings are not recorded");
    let shown = |world: &World| {
        world.broker.retained().any(|(topic, _)| topic.to_string().ends_with("fault/system/storage.full"))
    };
    assert!(shown(&world), "dashboards see it");
    let now = world.now();
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    edge.give(full(None), &mut world.broker, now);
    world.pass(5_000);
    assert!(!shown(&world) && oracle::records(&world, "e1", Lane::Reading).count() > events);
}

#[test]
fn a_center_that_holds_other_records_makes_the_journal_begin_anew() {
    let mut world = running();
    let epoch = |world: &World| {
        let status =
            world.broker.retained().find(|(topic, _)| topic.to_string().ends_with("e1/status")).unwrap().1;
        serde_json::from_slice::<serde_json::Value>(status).unwrap()["journal_epoch"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = epoch(&world);
    let ack = serde_json::json!({
        "v": 1, "center": "c1", "epoch": before, "lane": 1, "from": 1, "upto": 1, "fork": true
    });
    give(&mut world, "to/e1/ack", &serde_json::to_vec(&ack).unwrap(), Some(&key("c1")));
    world.pass(30_000);
    assert_ne!(epoch(&world), before);
    let renamed = |place: &Place| place.epoch.as_str() != before && place.lane == Lane::Event;
    let at_center = world.center.disk.records().filter(|(place, ..)| renamed(place));
    assert!(at_center.count() > 3, "what is held is sent again under the new name");
}
