//! An app that reads and sets a device over Modbus TCP, as real processes; the device is pymodbus's server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by it")]

mod lab;
#[path = "../../../tests/modbus/server.rs"]
mod server;

use lab::{Lab, free_port, samples, text};
use serde_json::Value;
use server::Server;

/// The faults of a kind: when each was opened, its point, and when it was cured.
fn faults(lab: &Lab, kind: &str) -> Vec<(i64, String, Option<i64>)> {
    let closed = lab.bodies("closed");
    let cured = |id: &str| {
        let mine =
            closed.iter().find(|(_, body)| text(body, "/fault") == id && text(body, "/how") == "cured");
        mine.map(|(ts, _)| *ts)
    };
    let opened = lab.bodies("fault").into_iter().filter(|(_, body)| text(body, "/kind") == kind);
    let fault = |(ts, body): (i64, Value)| {
        let point = format!("{}/{}", text(&body, "/point/device"), text(&body, "/point/point"));
        (ts, point, cured(text(&body, "/fault")))
    };
    opened.map(fault).collect()
}

/// Waits for a fault of the kind, has the device mended, and waits until the fault is closed.
fn falls_ill_and_recovers(lab: &Lab, kind: &str, points: &[&str], mend: impl FnOnce()) {
    lab.until(kind, || !faults(lab, kind).is_empty());
    let (opened, point, _) = faults(lab, kind).remove(0);
    assert!(points.contains(&point.as_str()), "{kind} of {point}");
    mend();
    lab.until(&format!("{kind} is cured"), || faults(lab, kind).iter().all(|fault| fault.2.is_some()));
    let cured = faults(lab, kind).remove(0).2.unwrap();
    eprintln!("{kind} of {point}: open for {} ms", cured - opened);
}

#[test]
fn an_app_reads_and_sets_a_modbus_device_and_each_way_it_fails_is_a_fault_of_its_own_kind() {
    let port = free_port();
    let Some(server) = Server::start(port) else { return };
    let folder = tempfile::tempdir().unwrap();
    let equipment = folder.path().join("equipment.toml");
    let sample = std::fs::read_to_string(samples().join("equipment/modbus.toml")).unwrap();
    std::fs::write(&equipment, sample.replace("192.0.2.10:502", &format!("127.0.0.1:{port}"))).unwrap();
    let mut lab = Lab::new(equipment);
    for part in ["broker", "center", "edge"] {
        lab.start(part);
    }
    lab.until("the edge is known", || lab.try_run("edges").is_ok_and(|edges| edges.contains("e1")));
    // An app that fails because its equipment does is started anew, and nothing worse.
    std::fs::write(
        lab.folder.path().join("list.toml"),
        "[[rule]]\nkind = \"app.*\"\nmeasures = [\"restart\"]\n",
    )
    .unwrap();
    lab.until("the center decides", || lab.try_run("countermeasures set list.toml").is_ok());
    lab.publish_and_start();

    lab.until("it runs", || lab.bodies("event").iter().any(|(_, body)| text(body, "/name") == "room"));
    let room = lab.bodies("event").into_iter().find(|(_, body)| text(body, "/name") == "room").unwrap().1;
    assert_eq!(room.pointer("/fields/celsius").and_then(Value::as_f64), Some(22.5), "{room}");
    lab.until("the device was set", || server.said("write 6 0 [220]") && server.said("write 5 0 [True]"));
    assert!(server.said("write 6 1 [1]"), "the wind is the second of its names");
    lab.until("that is confirmed", || {
        lab.bodies("written")
            .iter()
            .any(|(_, body)| text(body, "/point/point") == "setpoint" && body.get("error").is_none())
    });
    let wrote = lab.bodies("write").into_iter().find(|(_, body)| text(body, "/point/point") == "setpoint");
    assert_eq!(wrote.unwrap().1.get("value"), Some(&Value::from(22.0)));

    drop(server);
    let any = ["aircon/power", "aircon/setpoint", "aircon/wind", "aircon/room"];
    let mut server = None;
    falls_ill_and_recovers(&lab, "equipment.unreachable", &any, || server = Server::start(port));
    let mut server = server.unwrap();
    for (how, kind, point) in [
        ("beyond", "equipment.range", "aircon/room"),
        ("slow", "equipment.slow", "aircon/room"),
        ("refuse", "equipment.refused", "aircon/setpoint"),
    ] {
        server.behave(how);
        falls_ill_and_recovers(&lab, kind, &[point], || server.behave("well"));
    }
    let rooms = lab.bodies("event").iter().filter(|(_, body)| text(body, "/name") == "room").count();
    lab.until("it runs on", || {
        lab.bodies("event").iter().filter(|(_, body)| text(body, "/name") == "room").count() > rooms
    });
    assert!(lab.run("faults").contains("equipment.refused"), "a person sees it, too");
}
