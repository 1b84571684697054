//! What an edge's journal costs the network: little while no center is there, and one telling for what it cures alone.

use fleet_tests::sim::{Weather, World, oracle};
use flotilla_schemas::Topic;
use flotilla_schemas::fault::{How, kind};
use flotilla_schemas::journal::Lane;
use flotilla_schemas::topic::EdgeTopic;

fn topic(edge: &str, rest: EdgeTopic) -> Topic {
    Topic::Edge(edge.parse().unwrap(), rest)
}

/// How many batches of a lane an edge has published.
fn batches(world: &World, edge: &str, lane: Lane) -> u64 {
    world.broker.published(&topic(edge, EdgeTopic::Journal(lane.number())))
}

#[test]
fn a_center_that_is_away_costs_a_gateway_ever_less_and_has_all_within_one_pause() {
    let mut world = World::new(2, Weather::Calm);
    world.assemble();
    world.publish_and_start();
    world.pass(10_000);
    let now = world.now();
    world.center.crash(&mut world.broker, now);
    let count = |world: &World| Lane::ALL.map(|lane| batches(world, "e2", lane));
    let before = count(&world);
    world.pass(50_000);
    let sent: u64 = count(&world).iter().zip(before).map(|(after, before)| after - before).sum();
    assert!(sent <= 16, "{sent} batches in 50 s");
    let before = count(&world);
    world.pass(600_000);
    let sent: u64 = count(&world).iter().zip(before).map(|(after, before)| after - before).sum();
    assert!(sent <= 3 * 12, "{sent} batches in ten minutes");
    let now = world.now();
    world.center.connect(&mut world.broker, now);
    world.pass(edge_core::RESEND_MS_MAX + 1_000);
    oracle::check(&world);
    oracle::check_complete(&world);
}

#[test]
fn what_an_edge_cures_alone_is_told_once() {
    let mut world = World::new(2, Weather::Calm);
    world.assemble();
    world.publish();
    world.start("air-conditioner", Some("aircon-large"), 2_000);
    world.pass(10_000);
    let (app, kind) = ("system".parse().unwrap(), kind::MISMATCH.parse().unwrap());
    let (fault, lane) = (topic("e2", EdgeTopic::Fault(app, kind)), Lane::Fault);
    let before = (batches(&world, "e2", lane), world.broker.published(&fault));
    world.delete_file("e2", "<?xml");
    world.pass(20_000);
    let cured: Vec<_> = oracle::faults(&world, "e2").into_values().collect();
    assert!(matches!(&cured[..], [told] if told.closed == Some(How::Cured)), "{cured:?}");
    let records = oracle::records(&world, "e2", lane).count();
    assert!(records >= 3, "its opening, its measure and its end are on disk");
    let after = (batches(&world, "e2", lane), world.broker.published(&fault));
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    oracle::check_complete(&world);
}
