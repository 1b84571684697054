//! One fleet with every profile of a gateway: what each leaves out, it does without, and nothing else.

use center_core::{Refusal, Request, ServiceStop};
use fleet_tests::sim::{Behaviour, Weather, World, oracle};
use flotilla_schemas::AppId;
use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::How;
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::release::ReleaseName;
use flotilla_schemas::report::{Profile, ReleaseRow};

const FULL: Profile = Profile::FULL;
const UNTREATED: Profile = Profile { reliability: false, ..FULL };
const UNSCRIPTED: Profile = Profile { scripts: false, ..FULL };
const BARE: Profile = Profile { scripts: false, ..UNTREATED };
/// Room for one app of 4 MiB and its code, not for two.
const MEMORY: Profile = Profile { disk: false, memory_bytes_max: Some(6 << 20), ..UNSCRIPTED };

const TRAPS: Behaviour = Behaviour::TrapsFromReading(5);

fn fleet(edges: &[(Profile, Behaviour)]) -> World {
    let mut world = World::of(edges, Weather::Calm);
    world.assemble();
    world.publish();
    world
}

/// Stops a service on e1.
fn stop(world: &mut World, service: &str) {
    let stop = ServiceStop { edges: vec!["e1".parse().unwrap()] };
    world.ask(Request::Stop(service.parse().unwrap(), stop)).unwrap();
    world.pass(5_000);
}

/// What e1 says of an app.
fn row(world: &World, app: &str) -> ReleaseRow {
    let name = ReleaseName::App(app.parse().unwrap());
    let edge = world.center.core.edge(&"e1".parse().unwrap()).unwrap();
    edge.releases.into_iter().find(|row| row.release == name).unwrap()
}

fn calls(world: &World, edge: &str, app: &str) -> usize {
    world.edges[&edge.parse().unwrap()].apps[&app.parse::<AppId>().unwrap()].calls.len()
}

/// How often the edge recorded that something failed, without treating it.
fn failures(world: &World, edge: &str) -> usize {
    let failed = |body: &Body| matches!(body, Body::Event { name, .. } if name == "failed");
    oracle::records(world, edge, Lane::Event).filter(|record| failed(&record.body)).count()
}

#[test]
fn one_fleet_has_every_profile_and_the_registry_shows_which() {
    let profiles = [FULL, UNTREATED, UNSCRIPTED, BARE, MEMORY];
    let edges: Vec<_> = profiles.into_iter().map(|profile| (profile, TRAPS)).collect();
    let mut world = fleet(&edges);
    for edge in ["e1", "e2", "e3", "e4", "e5"] {
        world.start_app(&format!("room-{edge}"), "aircon-north", edge).unwrap();
    }
    world.pass(120_000);
    oracle::check(&world);
    let told: Vec<_> =
        world.center.core.edges().into_iter().map(|edge| edge.profile.unwrap().to_string()).collect();
    assert_eq!(
        told,
        ["full", "no reliability", "no scripts", "no scripts, no reliability", "no scripts, no disk, 6 MiB"]
    );
    for edge in ["e1", "e3", "e5"] {
        let faults: Vec<_> = oracle::faults(&world, edge).into_values().collect();
        assert_eq!(faults.len(), 1, "{edge}: {faults:?}");
        assert_eq!(faults[0].measures, [(1, Measure::Restart), (2, Measure::Replace)], "{edge}");
        assert_eq!(
            (faults[0].closed, faults[0].by_center.as_slice()),
            (Some(How::Cured), [true, true].as_slice())
        );
        assert!(calls(&world, edge, "aircon-south") > 40 && failures(&world, edge) == 0, "{edge}");
    }
    for edge in ["e2", "e4"] {
        assert!(oracle::faults(&world, edge).is_empty(), "{edge}");
        assert_eq!(calls(&world, edge, "aircon-south"), 0, "{edge}: nothing is put in its place");
        let (called, failed) = (calls(&world, edge, "aircon-north"), failures(&world, edge));
        assert!(called > 40 && failed == called - 4, "{edge}: {failed} of {called}, on its own trigger");
    }
}

#[test]
fn an_edge_that_becomes_smaller_runs_no_script_and_no_app_beyond_its_memory_any_more() {
    let mut world = fleet(&[(FULL, Behaviour::Good)]);
    world.start("air-conditioner", Some("aircon-large"), 2_000);
    world.start_app("energy", "meter", "e1").unwrap();
    world.start_app("room", "aircon-south", "e1").unwrap();
    world.pass(10_000);
    let now = world.now();
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    edge.profile = Profile { scripts: false, memory_bytes_max: Some(4 << 20), ..FULL };
    edge.crash(&mut world.broker, now);
    edge.connect(&mut world.broker, now);
    let apps = ["aircon-north", "aircon-south", "meter"];
    let before = apps.map(|app| calls(&world, "e1", app));
    world.pass(30_000);
    assert_eq!(apps.map(|app| calls(&world, "e1", app)), before);
    let row = row(&world, "aircon-north");
    assert!(row.waits.contains("this edge runs no scripts"), "{row:?}");
    let open = world.center.core.faults(None, Some(true));
    assert!(open.len() == 2 && open.iter().all(|fault| fault.kind.as_str() == "app.too-large"), "{open:?}");
}

#[test]
fn a_script_is_not_started_on_an_edge_that_runs_none() {
    let mut world = fleet(&[(UNSCRIPTED, Behaviour::Good)]);
    let edges = vec!["e1".parse().unwrap()];
    let events = Some("aircon-large".parse().unwrap());
    let start = center_core::ServiceStart { script: None, app: None, edges, events, trigger: None };
    let request = center_core::Request::Start("air-conditioner".parse().unwrap(), start);
    let Err(Refusal::Service(error)) = world.ask(request) else { panic!("started") };
    assert!(format!("{error:?}").contains("NoScripts"), "{error:?}");
}

#[test]
fn apps_that_together_do_not_fit_run_each_in_turn() {
    for profile in [MEMORY, Profile { disk: true, ..MEMORY }, Profile { scripts: true, ..MEMORY }] {
        let mut world = fleet(&[(profile, Behaviour::Good)]);
        let apps = ["aircon-north", "aircon-south", "meter"];
        for app in apps {
            world.start_app(&format!("run-{app}"), app, "e1").unwrap();
        }
        world.until(60_000, "each has its turns", |world| {
            let loaded: Vec<_> = apps.into_iter().filter(|app| world.is_loaded("e1", app)).collect();
            assert!(loaded.len() <= 1, "{profile}: {loaded:?} are in memory together");
            apps.into_iter().all(|app| calls(world, "e1", app) >= 5)
        });
        let loads = apps.map(|app| world.edge("e1").loads[&app.parse().unwrap()]);
        assert!(loads.into_iter().all(|loads| loads > 1), "{profile}: {loads:?}");
        oracle::check(&world);
    }
}

#[test]
fn apps_and_the_files_of_those_that_wait_are_together_never_more_than_all_memory() {
    let code = |app: &str| format!("{app} 1.0.0 ").len() as u64 * 10_000;
    let (apps, app_bytes) = (["aircon-north", "aircon-south", "meter"], 4 << 20);
    // Room for an app and its file; for another's file besides; for both.
    for files in [2, 3, 4] {
        let max = app_bytes + files * code("aircon-north") + 1;
        let mut world = fleet(&[(Profile { memory_bytes_max: Some(max), ..MEMORY }, Behaviour::Good)]);
        for app in apps {
            world.start_app(&format!("run-{app}"), app, "e1").unwrap();
        }
        world.until(120_000, "each has its turns", |world| {
            let edge = &world.edges[&"e1".parse().unwrap()];
            let loaded = edge.loaded.iter().map(|app| app_bytes + code(app.as_str())).sum::<u64>();
            let held = loaded + edge.shelf_bytes();
            assert!(held <= max, "{held} bytes of {max}: {:?}", edge.loaded);
            apps.into_iter().all(|app| calls(world, "e1", app) >= 5)
        });
        oracle::check(&world);
    }
}

#[test]
fn an_app_that_does_not_come_keeps_none_that_is_there_from_its_turn() {
    let mut world = fleet(&[(MEMORY, Behaviour::Good)]);
    world.start_app("room", "aircon-north", "e1").unwrap();
    world.until(30_000, "it runs", |world| calls(world, "e1", "aircon-north") > 2);
    world.center.disk.files.clear();
    for app in ["aircon-south", "meter"] {
        world.start_app(&format!("run-{app}"), app, "e1").unwrap();
    }
    let before = calls(&world, "e1", "aircon-north");
    world.pass(30_000);
    assert!(calls(&world, "e1", "aircon-north") > before + 10);
}

#[test]
fn a_service_whose_app_does_not_come_can_be_stopped() {
    let mut world = fleet(&[(MEMORY, Behaviour::Good)]);
    world.center.disk.files.clear();
    world.start_app("room", "aircon-north", "e1").unwrap();
    world.pass(10_000);
    stop(&mut world, "room");
    assert!(oracle::events(&world, "e1").contains(&"service-removed".to_owned()));
}

#[test]
fn what_an_app_keeps_is_forgotten_with_its_last_service() {
    let mut world = fleet(&[(MEMORY, Behaviour::Good)]);
    for service in ["one", "two"] {
        world.start_app(service, "aircon-north", "e1").unwrap();
    }
    world.until(30_000, "it runs", |world| calls(world, "e1", "aircon-north") > 4);
    for (service, left) in [("one", 1), ("two", 0)] {
        stop(&mut world, service);
        assert_eq!(world.edge("e1").disk.keys.len(), left);
    }
}

#[test]
fn an_edge_with_room_for_all_keeps_its_residents() {
    let mut world = fleet(&[(Profile { memory_bytes_max: Some(64 << 20), ..MEMORY }, Behaviour::Good)]);
    for app in ["aircon-north", "aircon-south"] {
        world.start_app(&format!("run-{app}"), app, "e1").unwrap();
    }
    world.pass(30_000);
    for app in ["aircon-north", "aircon-south"] {
        assert_eq!(world.edge("e1").loads[&app.parse().unwrap()], 1, "{app}");
    }
}

#[test]
fn an_app_that_is_larger_than_all_memory_is_refused_by_name_and_the_others_run() {
    let small = Profile { memory_bytes_max: Some(4 << 20), ..MEMORY };
    let mut world = fleet(&[(small, Behaviour::Good)]);
    world.start_app("energy", "meter", "e1").unwrap();
    world.pass(10_000);
    assert_eq!(calls(&world, "e1", "meter"), 0);
    let open = world.center.core.faults(None, Some(true));
    let [fault] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((fault.kind.as_str(), fault.app.as_str()), ("app.too-large", "meter"));
    assert!(
        fault.message.contains("meter 1.0.0 needs") && fault.message.contains("--memory-mib"),
        "{fault:?}"
    );
    let row = row(&world, "meter");
    assert!(row.waits.contains("more than the 4194304"), "{row:?}");
}

#[test]
fn a_power_cut_leaves_an_edge_without_a_disk_nothing_and_it_comes_back() {
    let mut world = fleet(&[(MEMORY, Behaviour::Good)]);
    world.start_app("room", "aircon-north", "e1").unwrap();
    world.until(30_000, "it runs", |world| calls(world, "e1", "aircon-north") > 2);
    let now = world.now();
    let edge = world.edges.get_mut(&"e1".parse().unwrap()).unwrap();
    edge.crash(&mut world.broker, now);
    edge.connect(&mut world.broker, now);
    let before = calls(&world, "e1", "aircon-north");
    world.until(60_000, "it runs again", |world| calls(world, "e1", "aircon-north") > before + 2);
}

#[test]
fn an_edge_that_no_machine_code_was_made_for_says_what_to_publish() {
    let mut world = World::of(&[(FULL, Behaviour::Good)], Weather::Calm);
    world.assemble();
    let foreign = world.samples.app_for("wasmtime-1/aarch64-linux/1", "aircon-north");
    world.center.disk.files.extend(world.samples.files.clone());
    world.ask(center_core::Request::PublishApp(foreign)).unwrap();
    world.start_app("room", "aircon-north", "e1").unwrap();
    world.pass(5_000);
    let open = world.center.core.faults(None, Some(true));
    let [fault] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((fault.kind.as_str(), fault.app.as_str()), ("app.runtime", "aircon-north"));
    let says = "has no machine code for simulated; publish its next version also with --target simulated";
    assert!(fault.message.contains(says), "{fault:?}");
    assert!(row(&world, "aircon-north").waits.contains(says));
    let mended = world.samples.app("aircon-north", "1.1.0", flotilla_schemas::app::Residence::Resident, &[]);
    world.center.disk.files.extend(world.samples.files.clone());
    world.ask(center_core::Request::PublishApp(mended)).unwrap();
    world.pass(20_000);
    assert!(world.center.core.faults(None, Some(true)).is_empty());
    assert!(calls(&world, "e1", "aircon-north") > 2);
    oracle::check(&world);
}
