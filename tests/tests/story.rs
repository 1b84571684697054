//! The demo's story, and what may disturb it, played by both cores without any I/O.

use center_core::{Answer, Request};
use fleet_tests::sim::{Behaviour, Model, Weather, World, oracle};
use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::How;
use flotilla_schemas::journal::Lane;
use flotilla_schemas::release::ReleaseName;
use flotilla_schemas::{AppId, Topic};

/// Plays the story to its end; time for healing included.
fn play(edges: usize, weather: Weather) -> World {
    let mut world = World::new(edges, weather);
    world.assemble();
    world.publish_and_start();
    world.until(120_000, "the fault is opened and cured", cured);
    world.pass(90_000);
    oracle::check(&world);
    oracle::check_complete(&world);
    world
}

fn cured(world: &World) -> bool {
    oracle::faults(world, "e1").values().any(|told| told.closed == Some(How::Cured))
}

#[test]
fn the_center_knows_of_each_script_on_each_edge_which_version_is_there() {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.pass(5_000);
    let (script, edge) = (ReleaseName::Script("air-conditioner".parse().unwrap()), "e1".parse().unwrap());
    let row = world.center.core.distribution(&script, &edge).unwrap();
    assert_eq!((row.installed.as_str(), row.latest.as_str(), row.waits.as_str()), ("1.0.0", "1.0.0", ""));
    let topic = Topic::Distribution(script, edge);
    assert!(world.broker.retained().any(|(retained, _)| *retained == topic));
}

#[test]
fn the_story_is_played_in_milliseconds() {
    let mut world = play(3, Weather::Calm);
    let faults: Vec<_> = oracle::faults(&world, "e1").into_values().collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].measures, [(1, Measure::Restart), (2, Measure::Replace)]);
    assert_eq!((faults[0].by_center.as_slice(), faults[0].seen), ([true, true].as_slice(), 2));
    assert!(oracle::faults(&world, "e2").is_empty() && oracle::faults(&world, "e3").is_empty());
    assert!(world.edge("e1").apps[&"aircon-south".parse().unwrap()].calls.len() > 10);
    assert!(world.is_loaded("e2", "aircon-north") && !world.is_loaded("e1", "aircon-north"));
    for edge in ["e1", "e2", "e3"] {
        assert!(!world.is_loaded(edge, "meter") && !world.is_on_disk(edge, "meter"), "{edge}");
        assert!(world.edge(edge).loads[&"meter".parse().unwrap()] > 5, "it was loaded for each run");
    }
    assert_eq!(world.edge("e2").loads[&"aircon-north".parse().unwrap()], 1, "a resident is loaded once");
    let open = world.broker.retained().filter(|(topic, _)| topic.to_string().contains("/fault/")).count();
    assert_eq!(open, 0, "a closed fault is emptied");
}

#[test]
fn every_message_may_come_twice() {
    let mut world = play(2, Weather::Twice);
    let calm = play(2, Weather::Calm).edge("e2").apps[&"aircon-north".parse().unwrap()].calls.len();
    assert_eq!(world.edge("e2").apps[&"aircon-north".parse().unwrap()].calls.len(), calm);
    let faults: Vec<_> = oracle::faults(&world, "e1").into_values().collect();
    assert_eq!(faults[0].measures, [(1, Measure::Restart), (2, Measure::Replace)]);
}

#[test]
fn any_message_may_be_lost() {
    let deliveries = {
        let mut world = World::new(1, Weather::Calm);
        world.assemble();
        world.publish_and_start();
        world.until(120_000, "the fault is cured", cured);
        world.broker.delivered()
    };
    assert!(deliveries > 100, "{deliveries}");
    for lost in 0..deliveries {
        let play = std::panic::catch_unwind(|| play(1, Weather::Without(lost)));
        assert!(play.is_ok(), "without delivery {lost} of {deliveries}");
    }
}

#[test]
fn a_decision_that_a_broker_dropped_is_sent_again() {
    let decided = |lost| {
        let mut world = World::new(1, lost);
        world.assemble();
        world.publish_and_start();
        let delivered = world.broker.delivered();
        world.pass(80_000);
        oracle::check(&world);
        (delivered, world)
    };
    let (deliveries, _) = decided(Weather::Calm);
    for lost in deliveries - 8..deliveries {
        let (_, world) = decided(Weather::Without(lost));
        for service in ["air-conditioner", "meter"] {
            let ran = oracle::records(&world, "e1", Lane::Reading).any(|record| {
                serde_json::to_string(record).unwrap().contains(&format!("\"service\":\"{service}\""))
            });
            assert!(ran, "{service} never ran without delivery {lost} of {deliveries}");
        }
    }
}

#[test]
fn an_edge_that_is_cut_off_helps_itself_and_reports_later() {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.until(30_000, "it runs", |world| world.is_loaded("e1", "aircon-north"));
    let now = world.now();
    world.edges.get_mut(&"e1".parse().unwrap()).unwrap().disconnect(&mut world.broker, now);
    world.until(60_000, "the edge decides by its own list", cured);
    let faults: Vec<_> = oracle::faults(&world, "e1").into_values().collect();
    assert_eq!(faults[0].by_center, [false, false]);
    let now = world.now();
    world.edges.get_mut(&"e1".parse().unwrap()).unwrap().connect(&mut world.broker, now);
    world.pass(10_000);
    oracle::check(&world);
    oracle::check_complete(&world);
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_and_the_edge_goes_on_without_network() {
    for cut_ms in (500..12_500).step_by(250) {
        let mut world = World::new(1, Weather::Calm);
        world.assemble();
        world.publish_and_start();
        world.pass(cut_ms);
        let before = world.edge("e1").apps[&"aircon-north".parse().unwrap()].calls.len();
        let now = world.now();
        let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
        edge.crash(&mut world.broker, now);
        world.pass(20_000);
        let edge = world.edge("e1");
        let south = edge.apps[&"aircon-south".parse().unwrap()].calls.len();
        let went_on = edge.apps[&"aircon-north".parse().unwrap()].calls.len() + south > before;
        assert!(went_on, "cut at {cut_ms}: {:?}", edge.warnings);
        let now = world.now();
        world.edges.get_mut(&"e1".parse().unwrap()).unwrap().connect(&mut world.broker, now);
        world.pass(60_000);
        oracle::check(&world);
        oracle::check_complete(&world);
        assert!(cured(&world), "cut at {cut_ms}");
    }
}

#[test]
fn a_center_that_dies_is_not_missed_and_learns_all_of_it_later() {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.until(30_000, "it runs", |world| world.is_loaded("e1", "aircon-north"));
    let now = world.now();
    world.center.crash(&mut world.broker, now);
    world.until(60_000, "the edge decides by its own list", cured);
    let now = world.now();
    world.center.connect(&mut world.broker, now);
    world.pass(90_000);
    oracle::check(&world);
    oracle::check_complete(&world);
}

#[test]
fn a_new_script_alone_changes_the_next_run_and_touches_no_app() {
    let mut world = World::new(2, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.pass(10_000);
    let north = "aircon-north".parse().unwrap();
    let (loads, before) = (world.edge("e2").loads.clone(), world.edge("e2").apps[&north].calls.clone());
    assert!(before.contains(&"hold".to_owned()));
    let shorter = |text: &str| text.replace("<hold celsius=\"23\"/>", "");
    let (release, apps) = world.samples.air_conditioner("1.1.0", shorter);
    world.center.disk.files.extend(world.samples.files.clone());
    let answer = world.ask(Request::PublishScript { release, apps });
    assert!(matches!(answer, Ok(Answer::Published(_))));
    world.pass(2_500);
    world.edge("e2").apps.get_mut(&north).unwrap().calls.clear();
    world.pass(2_000);
    let holds = world.edge("e2").apps[&north].calls.iter().filter(|call| *call == "hold").count();
    assert_eq!(holds, 1, "the run has one hold instead of two");
    assert_eq!(world.edge("e2").loads[&north], loads[&north]);
}

#[test]
fn another_event_list_on_one_edge_runs_the_other_program_there() {
    let mut world = World::new(3, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.pass(5_000);
    let start = center_core::ServiceStart {
        script: None,
        app: None,
        edges: vec!["e2".parse().unwrap()],
        events: Some("aircon-small".parse().unwrap()),
        trigger: Some(flotilla_schemas::desired::Trigger::EveryMs(2_000)),
    };
    world.ask(Request::Start("air-conditioner".parse().unwrap(), start)).unwrap();
    world.pass(1_000);
    let (north, south) = ("aircon-north".parse().unwrap(), "aircon-south".parse().unwrap());
    for edge in ["e2", "e3"] {
        world.edge(edge).apps.values_mut().for_each(|app| app.calls.clear());
    }
    world.pass(5_000);
    assert!(
        world.edge("e2").apps[&north].calls.is_empty() && !world.edge("e2").apps[&south].calls.is_empty()
    );
    assert!(
        !world.edge("e3").apps[&north].calls.is_empty() && world.edge("e3").apps[&south].calls.is_empty()
    );
    let small = &world.edge("e2").apps[&south].calls;
    assert!(!small.contains(&"set-wind".to_owned()), "what the list maps to none does not happen: {small:?}");
}

#[test]
fn a_file_that_is_gone_is_fetched_again_and_the_edge_cures_itself() {
    let mut world = World::new(2, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.pass(10_000);
    let now = world.now();
    let edge = world.edges.get_mut(&"e2".parse().unwrap()).unwrap();
    edge.crash(&mut world.broker, now);
    edge.connect(&mut world.broker, now);
    world.pass(500);
    world.delete_file("e2", "<?xml");
    world.pass(20_000);
    let faults: Vec<_> = oracle::faults(&world, "e2").into_values().collect();
    assert!(faults.iter().all(|told| told.closed == Some(How::Cured)), "{faults:?}");
    assert!(oracle::records(&world, "e2", Lane::Fault).count() >= 3);
    oracle::check(&world);
}

#[test]
fn a_cure_counts_towards_the_next_one_under_the_standard_list_too() {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    let list = serde_json::from_value(serde_json::json!({"rule": []})).unwrap();
    world.ask(Request::SetCountermeasures(list)).unwrap();
    world.until(120_000, "the fault is opened and cured", cured);
    world.pass(5_000);
    let order = flotilla_schemas::command::Order::RestartApp("aircon-north".parse().unwrap());
    let now = world.now();
    world.center.ask(Request::Command("e1".parse().unwrap(), order), &mut world.broker, now);
    world.pass(10_000);
    let again: Vec<_> =
        oracle::faults(&world, "e1").into_values().filter(|told| told.closed.is_none()).collect();
    assert_eq!(again.len(), 1);
    assert_eq!(
        again[0].measures.first(),
        Some(&(4, Measure::Tell)),
        "restart, restart and replace are used up"
    );
}

#[test]
fn an_app_in_quarantine_waits_for_a_person_also_over_a_power_cut() {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    let rule = serde_json::json!({"kind": "app.*", "measures": ["quarantine"]});
    let list = serde_json::from_value(serde_json::json!({"rule": [rule]})).unwrap();
    world.ask(Request::SetCountermeasures(list)).unwrap();
    let north: AppId = "aircon-north".parse().unwrap();
    world.until(60_000, "it is put away", |world| {
        oracle::faults(world, "e1").values().any(|told| !told.measures.is_empty())
    });
    let calls = world.edge("e1").apps[&north].calls.len();
    world.pass(10_000);
    let now = world.now();
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    edge.crash(&mut world.broker, now);
    edge.connect(&mut world.broker, now);
    world.pass(10_000);
    assert_eq!(world.edge("e1").apps[&north].calls.len(), calls, "it is not called");
    assert!(world.edge("e1").loads[&"meter".parse().unwrap()] > 3, "other services go on");
    world.edge("e1").apps.insert(north.clone(), Model::new(Behaviour::Good));
    let now = world.now();
    let order = flotilla_schemas::command::Order::RestartApp(north.clone());
    world.center.ask(Request::Command("e1".parse().unwrap(), order), &mut world.broker, now);
    world.settle();
    let Some(Ok(Answer::Reply(reply))) = world.center.reply() else { panic!("no reply") };
    assert_eq!(reply.message, "aircon-north is released from quarantine and started anew");
    world.pass(5_000);
    assert!(!world.edge("e1").apps[&north].calls.is_empty());
    assert!(cured(&world));
}

#[test]
fn a_person_undoes_a_replacement() {
    let mut world = play(1, Weather::Calm);
    let order = flotilla_schemas::command::Order::RestartApp("aircon-north".parse().unwrap());
    let now = world.now();
    let request = Request::Command("e1".parse().unwrap(), order);
    assert_eq!(world.center.ask(request, &mut world.broker, now), None, "the edge is asked");
    world.settle();
    let reply = world.center.reply();
    let Some(Ok(Answer::Reply(reply))) = reply else { panic!("{reply:?}") };
    assert_eq!(
        (reply.done, reply.message.as_str()),
        (true, "aircon-north runs again in place of aircon-south")
    );
    world.pass(100);
    assert!(oracle::faults(&world, "e1").len() == 2, "it still traps, and that is a new fault");
}
