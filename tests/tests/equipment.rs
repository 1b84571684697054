//! What an edge makes of equipment that does not answer well, and of what apps set, decided without any I/O.

use center_core::Request;
use edge_core::{FLAP_MS, Failure, ILL_MAX, Input, REFUSAL_MS, WELL_MS};
use fleet_tests::sim::{Behaviour, Model, Weather, World, oracle};
use flotilla_schemas::countermeasure::{Countermeasures, Measure};
use flotilla_schemas::fault::{Closed, Fault, How, kind};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::{PointId, Value};

fn world() -> World {
    let mut world = World::new(1, Weather::Calm);
    world.assemble();
    world
}

fn room() -> PointId {
    PointId::new("aircon", "room")
}

/// From now on a point does not answer well, and an app notices.
fn fall_ill(world: &mut World, point: &PointId, kind: &str) {
    let failure = Failure::new(kind, format!("{point} is ill"));
    world.edge("e1").ill.insert(point.clone(), failure.clone());
    let app = "north".parse().unwrap();
    world.tell("e1", Input::Ill { app, point: point.clone(), failure });
}

/// An app sets a point, which the device takes or refuses.
fn set(world: &mut World, write: u64, point: &PointId, refused: bool) {
    world.edge("e1").refusal = refused.then(|| Failure::new(kind::EQUIPMENT_REFUSED, "no"));
    let (app, point, value) = ("north".parse().unwrap(), point.clone(), Value::Integer(21));
    world.tell("e1", Input::Write { write, app, point, value });
}

fn opened(world: &World) -> Vec<Fault> {
    let fault = |body: &Body| match body {
        Body::Fault(fault) => Some(fault.clone()),
        _ => None,
    };
    oracle::records(world, "e1", Lane::Fault).filter_map(|record| fault(&record.body)).collect()
}

fn closed(world: &World) -> Vec<Closed> {
    let closed = |body: &Body| match body {
        Body::Closed(closed) => Some(closed.clone()),
        _ => None,
    };
    oracle::records(world, "e1", Lane::Fault).filter_map(|record| closed(&record.body)).collect()
}

/// What dashboards see of the edge's open faults.
fn reported(world: &World) -> Vec<serde_json::Value> {
    let faults = world.broker.retained().filter(|(topic, _)| topic.to_string().contains("/fault/"));
    faults.map(|(_, payload)| serde_json::from_slice(payload).unwrap()).collect()
}

#[test]
fn a_device_that_does_not_answer_is_one_fault_that_names_it_and_ends_by_itself() {
    let mut world = world();
    fall_ill(&mut world, &room(), kind::EQUIPMENT_UNREACHABLE);
    for _ in 0..5 {
        fall_ill(&mut world, &room(), kind::EQUIPMENT_UNREACHABLE);
        fall_ill(&mut world, &PointId::new("aircon", "power"), kind::EQUIPMENT_UNREACHABLE);
    }
    world.pass(60_000);
    let faults = opened(&world);
    assert_eq!((faults.len(), faults[0].point.clone(), faults[0].app.as_str()), (1, Some(room()), "north"));
    assert_eq!(oracle::faults(&world, "e1").values().next().unwrap().measures, [(1, Measure::Tell)]);
    let report = &reported(&world)[0];
    assert_eq!((report["device"].as_str(), report["point"].as_str()), (Some("aircon"), Some("room")));
    assert_eq!(report["kind"], kind::EQUIPMENT_UNREACHABLE);

    world.edge("e1").ill.clear();
    world.pass(WELL_MS + 2_000);
    let closed = closed(&world);
    assert_eq!((closed.len(), closed[0].how), (1, How::Cured));
    assert!(closed[0].open_ms >= 60_000, "{closed:?}");
    assert_eq!(reported(&world).len(), 0);
    oracle::check(&world);
}

#[test]
fn a_device_must_be_well_for_a_while() {
    let mut world = world();
    fall_ill(&mut world, &room(), kind::EQUIPMENT_SLOW);
    world.edge("e1").ill.clear();
    world.pass(WELL_MS);
    fall_ill(&mut world, &room(), kind::EQUIPMENT_SLOW);
    world.edge("e1").ill.clear();
    world.pass(WELL_MS);
    assert!(closed(&world).is_empty());
    world.pass(2_000);
    assert_eq!((opened(&world).len(), closed(&world).len()), (1, 1));
}

#[test]
fn each_kind_and_each_point_is_a_fault_of_its_own() {
    let mut world = world();
    fall_ill(&mut world, &room(), kind::EQUIPMENT_SLOW);
    fall_ill(&mut world, &room(), kind::EQUIPMENT_RANGE);
    fall_ill(&mut world, &PointId::new("aircon", "power"), kind::EQUIPMENT_SLOW);
    let told: Vec<_> =
        opened(&world).iter().map(|f| format!("{} {}", f.kind, f.point.clone().unwrap())).collect();
    assert_eq!(
        told,
        ["equipment.slow aircon/room", "equipment.range aircon/room", "equipment.slow aircon/power"]
    );
}

#[test]
fn a_device_that_comes_and_goes_opens_few_faults_and_then_one_that_stays() {
    let mut world = world();
    for _ in 0..1_000 {
        fall_ill(&mut world, &room(), kind::EQUIPMENT_UNREACHABLE);
        world.pass(1_000);
        world.edge("e1").ill.clear();
        world.pass(6_000);
    }
    assert_eq!((opened(&world).len(), closed(&world).len()), (3, 2));
    world.pass(10_000);
    assert_eq!(closed(&world).len(), 3);
    world.pass(FLAP_MS);
    fall_ill(&mut world, &room(), kind::EQUIPMENT_UNREACHABLE);
    world.edge("e1").ill.clear();
    world.pass(WELL_MS + 2_000);
    assert_eq!(closed(&world).len(), 4, "what was well for long is believed as soon as at first");
}

#[test]
fn a_power_cut_forgets_no_device_that_is_ill() {
    let mut world = world();
    fall_ill(&mut world, &room(), kind::EQUIPMENT_UNREACHABLE);
    let now = world.now();
    let World { edges, broker, .. } = &mut world;
    let edge = edges.values_mut().next().unwrap();
    edge.crash(broker, now);
    edge.connect(broker, now);
    world.pass(10_000);
    assert!(closed(&world).is_empty());
    world.edge("e1").ill.clear();
    world.pass(WELL_MS + 2_000);
    assert_eq!((opened(&world).len(), closed(&world).len()), (1, 1));
}

#[test]
fn a_point_that_is_there_no_more_takes_its_fault_with_it() {
    let mut world = world();
    fall_ill(&mut world, &room(), kind::EQUIPMENT_RANGE);
    world.edge("e1").gone.insert(room());
    world.pass(2_000);
    assert_eq!(closed(&world)[0].how, How::Moot);
}

#[test]
fn no_more_faults_of_equipment_are_open_than_the_most_and_an_event_says_so() {
    let mut world = world();
    for n in 0..ILL_MAX + 5 {
        fall_ill(&mut world, &PointId::new("meter", format!("p{n}")), kind::EQUIPMENT_RANGE);
    }
    assert_eq!(opened(&world).len(), ILL_MAX);
    let events = oracle::events(&world, "e1");
    assert_eq!(events.iter().filter(|name| *name == "equipment-faults-at-their-most").count(), 1);
}

#[test]
fn what_an_app_sets_is_journaled_before_the_device_sees_it_and_confirmed_after() {
    let mut world = world();
    set(&mut world, 1, &room(), false);
    let bodies: Vec<_> = oracle::records(&world, "e1", Lane::Event).collect();
    let at = bodies.iter().position(|record| matches!(record.body, Body::Write { .. })).unwrap();
    let Body::Write { app, point, value, .. } = &bodies[at].body else { unreachable!() };
    assert_eq!((app.as_str(), point, value), ("north", &room(), &Value::Integer(21)));
    let Body::Written { write, point, error, .. } = &bodies[at + 1].body else {
        panic!("{:?}", bodies[at + 1])
    };
    assert_eq!((*write, point, error), (bodies[at].seq, &room(), &None));
}

#[test]
fn a_full_disk_keeps_no_app_from_setting_a_point_and_what_is_set_then_leaves_no_record() {
    let mut world = world();
    let records = |world: &World| {
        let of_writes = |body: &Body| matches!(body, Body::Write { .. } | Body::Written { .. });
        oracle::records(world, "e1", Lane::Event).filter(|record| of_writes(&record.body)).count()
    };
    world.tell("e1", Input::Storage { error: Some("no space left".into()) });
    set(&mut world, 1, &room(), false);
    assert_eq!((world.edge("e1").writes, records(&world)), (1, 0));
    let (app, point) = ("north".parse().unwrap(), room());
    let now = world.now();
    let World { edges, broker, .. } = &mut world;
    let edge = edges.values_mut().next().unwrap();
    edge.give(Input::Write { write: 2, app, point, value: Value::Integer(21) }, broker, now);
    edge.give(Input::Storage { error: None }, broker, now);
    world.settle();
    assert_eq!((world.edge("e1").writes, records(&world)), (2, 0), "no outcome without a beginning");
    set(&mut world, 3, &room(), false);
    assert_eq!(records(&world), 2);
}

#[test]
fn a_refusal_to_be_set_is_over_when_the_device_was_set_and_not_when_it_was_read() {
    let mut world = world();
    set(&mut world, 1, &room(), true);
    world.pass(REFUSAL_MS - 1_000);
    assert_eq!((opened(&world)[0].kind.as_str(), closed(&world).len()), (kind::EQUIPMENT_REFUSED, 0));
    set(&mut world, 2, &room(), false);
    world.pass(WELL_MS + 2_000);
    assert_eq!(closed(&world).len(), 1);

    set(&mut world, 3, &room(), true);
    world.pass(REFUSAL_MS + 2 * WELL_MS + 2_000);
    assert_eq!(closed(&world).len(), 2, "nobody was refused for long");
}

#[test]
fn an_app_that_fails_because_of_its_equipment_is_not_replaced_and_is_tried_at_once_when_that_is_well() {
    let mut world = world();
    world.edge("e1").ill.insert(room(), Failure::new(kind::EQUIPMENT_UNREACHABLE, "it is gone"));
    world.publish_and_start();
    world.ask(Request::SetCountermeasures(Countermeasures::default())).unwrap();
    world.pass(200_000);
    let faults = opened(&world);
    let app = |fault: &Fault| fault.service.is_some();
    assert!(faults.iter().filter(|fault| app(fault)).count() > 4, "it is tried again and again: {faults:?}");
    let told = |fault: &Fault| fault.message.starts_with("aircon/room: equipment.unreachable; ");
    assert!(faults.iter().filter(|fault| app(fault)).all(told), "{faults:?}");
    assert_eq!(faults.iter().filter(|fault| fault.point.is_some()).count(), 1);
    assert!(!oracle::events(&world, "e1").contains(&"replaced".to_owned()));
    assert!(closed(&world).is_empty());

    let good = Model::new(Behaviour::Good);
    let edge = world.edge("e1");
    edge.ill.clear();
    edge.apps.insert("aircon-north".parse().unwrap(), good);
    world.pass(WELL_MS + 3_000);
    assert_eq!(closed(&world).len(), 2, "the device's fault, and the app's");
}
