//! Equipment files with the keys of every driver: what is wrong is named all at once, and no file ends the agent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::time::Duration;

use edge_agent::equipment::Devices;
use flotilla_sandbox::Simulator;
use flotilla_schemas::AppId;

/// What files are put together from: a byte of the input picks a piece.
const PIECES: &[&str] = &[
    "[device.a]\n",
    "[device.a.point.p]\n",
    "[device.a.point.q]\n",
    "[[device.a.fault]]\n",
    "[device.b]\n",
    "[device.b.point.p]\n",
    "driver = \"simulated\"\n",
    "driver = \"modbus\"\n",
    "driver = \"mqtt\"\n",
    "driver = \"other\"\n",
    "timeout = \"1s\"\n",
    "timeout = \"999y\"\n",
    "readers = [\"a\"]\n",
    "writers = []\n",
    "type = \"number\"\n",
    "type = \"integer\"\n",
    "type = \"bool\"\n",
    "type = \"text\"\n",
    "type = \"choice\"\n",
    "type = \"list\"\n",
    "of = [\"x\", \"y\"]\n",
    "of = []\n",
    "min = -1\n",
    "max = 9\n",
    "max = 1e308\n",
    "min = nan\n",
    "unit = \"K\"\n",
    "access = \"rw\"\n",
    "access = \"w\"\n",
    "max_age = \"5s\"\n",
    "initial = 1\n",
    "initial = true\n",
    "initial = \"x\"\n",
    "initial = -inf\n",
    "follows = { point = \"q\", per_s = 1 }\n",
    "rises_per_s = 1e308\n",
    "noise = 1e308\n",
    "seed = 18446744073709551615\n",
    "seed = -1\n",
    "point = \"p\"\n",
    "after = \"1s\"\n",
    "after_reads = 1\n",
    "for = \"ever\"\n",
    "behaviour = \"silent\"\n",
    "behaviour = \"beyond\"\n",
    "behaviour = \"nonsense\"\n",
    "slow = \"2s\"\n",
    "value = 7\n",
    "address = \"h:1\"\n",
    "address = \":\"\n",
    "address = 65535\n",
    "address = 1\n",
    "unit = 1\n",
    "connect_timeout = \"1ms\"\n",
    "register = \"holding\"\n",
    "register = \"coil\"\n",
    "register = \"input\"\n",
    "data = \"f32\"\n",
    "data = \"u32\"\n",
    "words = \"little\"\n",
    "scale = 0\n",
    "scale = 0.1\n",
    "offset = inf\n",
    "broker = \"mqtt://h\"\n",
    "broker = \"mqtts://h\"\n",
    "broker = \"x\"\n",
    "ca = \"none.pem\"\n",
    "user = \"x\"\n",
    "password_file = \"none\"\n",
    "state = \"s/t\"\n",
    "state = \"+\"\n",
    "set = \"s/u\"\n",
    "pointer = \"/a\"\n",
    "pointer = \"a\"\n",
    "on = \"ON\"\n",
    "off = \"OFF\"\n",
    "fresh = \"1s\"\n",
    "= ",
    "\"",
    "[",
    "]\n",
    "{",
    "}",
    "#",
    "\n",
    "'''",
    "1979-05-27\n",
    "\u{0}",
];

fn file(picks: &[u8]) -> String {
    picks.iter().map(|pick| PIECES[usize::from(*pick) % PIECES.len()]).collect()
}

/// Reads a file as an edge and as a proof would, and asks what is there.
fn read(text: &str) {
    let edge = Devices::parse("equipment.toml", text);
    if let Err(error) = &edge {
        assert!(!error.problems.is_empty(), "{text}");
    }
    let Ok(mut simulator) = Simulator::parse("equipment.toml", text) else { return };
    let app = AppId::new("a").unwrap();
    let points: Vec<_> =
        simulator.points().map(|(device, point, _)| (device.to_owned(), point.to_owned())).collect();
    for (device, point) in points {
        for now_ms in [0, 1_000, u64::MAX] {
            if let Ok(value) = simulator.read(&app, &device, &point, now_ms).result {
                let _ = simulator.write(&app, &device, &point, &value, now_ms);
            }
        }
    }
}

/// For a second; `BOLERO_RANDOM_TEST_TIME_MS` or `BOLERO_RANDOM_ITERATIONS` make it longer.
#[test]
fn no_file_that_is_put_together_from_right_and_wrong_pieces_ends_the_agent() {
    bolero::check!()
        .with_max_len(96)
        .with_test_time(Duration::from_secs(1))
        .for_each(|picks| read(&file(picks)));
}

#[test]
fn no_bytes_end_the_agent() {
    bolero::check!()
        .with_test_time(Duration::from_millis(200))
        .for_each(|bytes| read(&String::from_utf8_lossy(bytes)));
}

#[cfg(feature = "modbus")]
#[test]
fn every_wrong_key_of_every_driver_is_named_at_once() {
    let text = r#"
        [device.a]
        driver = "modbus"
        address = "host:port"
        timeout = "100ms"
        connect_timeout = "100ms"
        [device.a.point.p]
        type = "text"
        address = 65535
        data = "u32"
        scale = 0
        [device.a.point.q]
        type = "bool"
        access = "rw"
        register = "discrete"
        address = 1
        data = "u16"
        [device.b]
        driver = "mqtt"
        broker = "tcp:1883"
        [device.b.point.p]
        type = "number"
        access = "rw"
        state = "a/+"
        on = "ON"
        [device.c]
        driver = "profibus"
        anything = 1
        [device.d]
        driver = "mqtt"
        broker = "mqtts://h"
        [device.e]
        driver = "mqtt"
        broker = "mqtt://h"
        user = "x"
    "#;
    let problems = Devices::parse("equipment.toml", text).err().unwrap().problems;
    assert_eq!(
        problems,
        [
            "device.a.address: \"host:port\" is not a host, or a host and a port",
            "device.a.connect_timeout: 100 ms is not from 1 to 99 ms",
            "device.a.point.p.register: is missing",
            "device.a.point.p.scale: 0 scales nothing",
            "device.a.point.p.address: 65535 is the last: there is none for the other half",
            "device.a.point.q.register: is one bit: data, words, scale and offset are for registers",
            "device.a.point.q.access: this register can be read alone, r",
            "device.b.broker: \"tcp:1883\" is not a broker: write mqtt://HOST, mqtts://HOST or either with :PORT",
            "device.b.point.p.state: \"a/+\" is not a topic without wildcards",
            "device.b.point.p.set: is missing: where it is set",
            "device.b.point.p.on: stands with another off, and for a bool",
            "device.c.driver: \"profibus\" is no driver of this edge: it has simulated, modbus, mqtt",
            "device.d.ca: is missing: the file that says whom to trust",
            "device.e.user: stands with a password_file",
        ]
    );
}

#[cfg(feature = "modbus")]
#[test]
fn a_point_that_can_be_set_lies_within_what_its_register_holds() {
    let problems = |ty: &str| {
        let text = format!(
            "[device.a]\ndriver = \"modbus\"\naddress = \"h\"\n[device.a.point.p]\nregister = \"holding\"\n\
             address = 0\n{ty}\n"
        );
        Devices::parse("equipment.toml", &text).err().map(|error| error.problems).unwrap_or_default()
    };
    let set = |rest: &str| problems(&format!("access = \"rw\"\n{rest}"));
    assert_eq!(set("type = \"integer\"\nmin = 0\nmax = 65535"), [""; 0]);
    assert_eq!(set("type = \"number\"\nmin = -50\nmax = 50\ndata = \"i16\"\nscale = 0.1"), [""; 0]);
    assert_eq!(
        set("type = \"integer\"\nmin = -50\nmax = 65536"),
        [
            "device.a.point.p.min: the register cannot hold -50",
            "device.a.point.p.max: the register cannot hold 65536"
        ]
    );
    assert_eq!(
        set("type = \"integer\"\nmin = 0\nmax = 25\nscale = 10"),
        ["device.a.point.p.max: the register cannot hold 25"]
    );
    assert_eq!(
        set("type = \"number\"\nmax = 1e300\ndata = \"f32\""),
        [
            "device.a.point.p.min: is missing: no register holds every number",
            "device.a.point.p.max: the register cannot hold 1e+300"
        ]
    );
    assert_eq!(
        problems("type = \"integer\"\nmin = -50"),
        [""; 0],
        "what is only read is checked when it is read"
    );
}
