//! An edge that is killed in the middle of its work, as real processes on a real disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

mod lab;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Lab, samples};

/// The numbers of the edge's records that the center has, by lane.
fn at_center(lab: &Lab) -> BTreeMap<u64, Vec<u64>> {
    numbers(&lab.try_run("events e1 --json").unwrap_or_default())
}

/// Lane and number of each record in lines of JSON, in order.
fn numbers(lines: &str) -> BTreeMap<u64, Vec<u64>> {
    let mut lanes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| value.get(name).or_else(|| value.get("record")?.get(name))?.as_u64();
        if let (Some(lane), Some(seq)) = (number("lane"), number("seq")) {
            lanes.entry(lane).or_default().push(seq);
        }
    }
    lanes.values_mut().for_each(|seqs| seqs.sort_unstable());
    lanes
}

#[test]
fn a_killed_edge_goes_on_without_the_network_and_nothing_that_it_journaled_is_lost() {
    let mut lab = Lab::new(samples().join("equipment/e1.toml"));
    for part in ["broker", "center", "edge"] {
        lab.start(part);
    }
    lab.until("the edge is known", || lab.try_run("edges").is_ok_and(|edges| edges.contains("e1")));
    lab.publish_and_start();
    lab.until("it runs", || at_center(&lab).get(&2).is_some_and(|readings| readings.len() > 10));

    lab.kill("broker");
    std::thread::sleep(Duration::from_secs(1));
    lab.kill("edge");
    let dead = numbers(&lab.run("journal e1 --json"));
    assert!(dead.values().map(Vec::len).sum::<usize>() > 10, "the dead folder is readable: {dead:?}");

    lab.start("edge");
    std::thread::sleep(Duration::from_secs(2));
    lab.kill("edge");
    let alone = numbers(&lab.run("journal e1 --json"));
    assert!(alone.get(&2).unwrap().last() > dead.get(&2).unwrap().last(), "it went on without the network");

    lab.start("broker");
    lab.start("edge");
    let has_all = || {
        let center = at_center(&lab);
        alone.iter().all(|(lane, seqs)| {
            seqs.iter().all(|seq| center.get(lane).is_some_and(|there| there.binary_search(seq).is_ok()))
        })
    };
    lab.until("the center has every record", has_all);
    for (lane, seqs) in at_center(&lab) {
        assert!(seqs.windows(2).all(|pair| matches!(pair, [a, b] if b - a == 1)), "lane {lane} is dense");
    }
}
