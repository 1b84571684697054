//! A small gateway as real processes: an edge without scripts, whose app runs by its own operation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

mod lab;

use lab::{Lab, samples, text};

#[test]
fn an_app_that_traps_by_itself_is_restored_as_the_centers_list_says() {
    // The sensor of this room answers nonsense from its 17th reading on.
    let mut lab = Lab::new(samples().join("equipment/e2.toml"));
    lab.options = " --without scripts";
    for part in ["broker", "center", "edge"] {
        lab.start(part);
    }
    lab.until("the edge is known", || lab.try_run("edges").is_ok_and(|edges| edges.contains("no scripts")));
    lab.publish_apps();
    lab.run(&format!("countermeasures set {}", samples().join("countermeasures.toml").display()));
    lab.run("service start room --app aircon-north --on e1 --every 100ms");

    lab.until("it is restored", || !lab.bodies("closed").is_empty());
    let faults: Vec<_> = lab.bodies("fault").into_iter().map(|(_, body)| body).collect();
    let kinds = faults.iter().map(|fault| (text(fault, "/app"), text(fault, "/kind"))).collect::<Vec<_>>();
    assert!(kinds.iter().all(|kind| *kind == ("aircon-north", "app.trap.unreachable")), "{kinds:?}");
    let measures = lab.bodies("restoration");
    let measure = |(_, body): &(i64, serde_json::Value)| {
        format!("{} {} {}", text(body, "/center"), text(body, "/measure"), text(body, "/cause"))
    };
    assert_eq!(
        measures.iter().map(measure).collect::<Vec<_>>(),
        ["c1 restart equipment.implausible", "c1 replace equipment.implausible"]
    );
    assert_eq!(text(&lab.bodies("closed")[0].1, "/how"), "cured");
    let copes =
        || lab.bodies("event").iter().filter(|(_, body)| text(body, "/source") == "aircon-south").count();
    let before = copes();
    lab.until("the other maker's program runs on", || copes() > before);
}
