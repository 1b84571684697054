//! What must hold at the end of every story, whatever the weather was.

use std::collections::{BTreeMap, BTreeSet};

use center_core::Place;
use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::How;
use flotilla_schemas::journal::{Body, Lane, Record};
use flotilla_schemas::{EdgeId, FaultId, Json};

use crate::sim::world::World;

/// A fault of one edge as its journal tells it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Told {
    /// How often it was seen.
    pub seen: u32,
    /// The measures, by attempt.
    pub measures: Vec<(u32, Measure)>,
    /// Whether each measure was a center's.
    pub by_center: Vec<bool>,
    /// How it ended.
    pub closed: Option<How>,
}

/// The faults of an edge, from every record that it ever wrote.
pub fn faults(world: &World, edge: &str) -> BTreeMap<FaultId, Told> {
    let mut faults: BTreeMap<FaultId, Told> = BTreeMap::new();
    for record in records(world, edge, Lane::Fault) {
        match &record.body {
            Body::Fault(fault) => faults.entry(fault.fault.clone()).or_default().seen += 1,
            Body::Restoration { fault, attempt, measure, center, .. } => {
                let told = faults.entry(fault.clone()).or_default();
                told.measures.push((*attempt, *measure));
                told.by_center.push(center.is_some());
            }
            Body::Closed(closed) => faults.entry(closed.fault.clone()).or_default().closed = Some(closed.how),
            _ => {}
        }
    }
    faults
}

/// Every record that an edge ever wrote in a lane.
pub fn records<'a>(world: &'a World, edge: &str, lane: Lane) -> impl Iterator<Item = &'a Record> {
    let ever = &world.edges[&edge.parse().unwrap()].disk.ever;
    ever.range((lane, 0)..=(lane, u64::MAX)).map(|(_, record)| record)
}

/// Names of the events that an edge's system let be known.
pub fn events(world: &World, edge: &str) -> Vec<String> {
    let name = |record: &Record| match &record.body {
        Body::Event { source, name, .. } if source.is_system() => Some(name.clone()),
        _ => None,
    };
    records(world, edge, Lane::Event).filter_map(name).collect()
}

/// What the center holds of an edge.
fn of_edge<'a>(world: &'a World, edge: &EdgeId) -> impl Iterator<Item = (&'a Place, u64, Json)> {
    world.center.disk.records().filter(move |(place, ..)| place.edge == *edge)
}

/// Panics if something happened that never may.
pub fn check(world: &World) {
    for edge in world.edges.values() {
        let mut at_center = BTreeSet::new();
        for (place, seq, record) in of_edge(world, &edge.id) {
            let written = edge.disk.ever.get(&(place.lane, seq)).map(|record| Json::of(record).unwrap());
            assert_eq!(written, Some(record), "{}: the center holds what was never written", edge.id);
            at_center.insert((place.lane, seq));
        }
        for (at, record) in &edge.disk.ever {
            let safe = at_center.contains(at) || edge.disk.journal.contains_key(at);
            assert!(safe, "{}: a record is lost: {record:?}", edge.id);
        }
        for (fault, told) in faults(world, edge.id.as_str()) {
            let attempts: BTreeSet<_> = told.measures.iter().map(|(attempt, _)| attempt).collect();
            assert_eq!(attempts.len(), told.measures.len(), "{fault}: an attempt was acted on twice");
            assert!(told.measures.is_sorted(), "{fault}: the ladder was climbed downwards: {told:?}");
        }
    }
}

/// Panics if a center lacks a record that an edge wrote. For the end of a story that was given time to heal.
pub fn check_complete(world: &World) {
    for edge in world.edges.values() {
        let held: BTreeSet<_> = of_edge(world, &edge.id).map(|(place, seq, _)| (place.lane, seq)).collect();
        let missing: Vec<_> = edge.disk.ever.keys().filter(|at| !held.contains(at)).collect();
        assert!(missing.is_empty(), "{}: the center lacks {missing:?}", edge.id);
    }
}
