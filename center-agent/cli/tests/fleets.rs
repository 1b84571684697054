//! Two fleets as real processes at one broker, with an edge and a center of the same ids: to each it is as if the other
//! were not there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

mod lab;

use lab::{Lab, samples};
use serde_json::Value;

/// What e1 is, as its center shows it.
fn edge(lab: &Lab) -> Option<Value> {
    serde_json::from_str(&lab.try_run("edge show e1 --json").ok()?).ok()
}

fn keep_apart(mut fleet: Lab, mut north: Lab) {
    fleet.start("broker");
    for lab in [&mut fleet, &mut north] {
        lab.options = " --without scripts";
        lab.start("center");
        lab.start("edge");
        lab.until("its center knows the edge", || edge(lab).is_some_and(|edge| edge["online"] == true));
    }
    fleet.publish_apps();
    fleet.run("service start room --app aircon-north --on e1 --every 100ms");
    fleet.until("it runs", || fleet.bodies("event").len() > 5);

    let (ours, theirs) = (edge(&fleet).unwrap(), edge(&north).unwrap());
    assert_ne!(ours["key"], theirs["key"]);
    assert_eq!((&ours["online"], &theirs["online"]), (&true.into(), &true.into()));
    assert_eq!(theirs["status"]["fleet"], "north");
    assert_eq!((&theirs["desired"], &theirs["releases"]), (&serde_json::json!({}), &serde_json::json!([])));
    assert_eq!(north.run("app list --json"), "");
    let of_an_app = |(_, body): &(i64, Value)| body["source"] == "aircon-north";
    assert!(!north.bodies("event").iter().any(of_an_app));
    for log in [&fleet, &north].map(|lab| lab.folder.path().join("edge.log")) {
        assert_eq!(
            std::fs::read_to_string(log).unwrap().matches("connected").count(),
            1,
            "nobody took it over"
        );
    }
}

#[test]
fn fleets_at_an_open_broker_see_nothing_of_each_other() {
    let fleet = Lab::new(samples().join("equipment/e1.toml"));
    let north = fleet.beside("north");
    keep_apart(fleet, north);
}

#[test]
fn fleets_at_a_broker_with_an_access_file_see_nothing_of_each_other() {
    let mut fleet = Lab::new(samples().join("equipment/e1.toml"));
    let mut north = fleet.beside("north");
    let access = fleet.folder.path().join("access.toml");
    fleet.let_in("fleet", &access);
    north.let_in("north", &access);
    keep_apart(fleet, north);
}
