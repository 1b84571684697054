//! What simulated equipment answers, well and badly, and which files are refused.

use super::*;

const FILE: &str = r#"
    [device.aircon]
    driver = "simulated"

    [device.aircon.point.setpoint]
    type = "number"
    min = 16
    max = 30
    access = "rw"
    initial = 20

    [device.aircon.point.room]
    type = "number"
    initial = 30
    follows = { point = "setpoint", per_s = 1 }

    [device.aircon.point.power]
    type = "bool"
    access = "rw"
    initial = false

    [device.meter]
    driver = "simulated"
    timeout = "2s"

    [device.meter.point.energy]
    type = "number"
    unit = "kWh"
    initial = 5.0
    rises_per_s = 0.5
"#;

fn parse(text: &str) -> Simulator {
    Simulator::parse("equipment.toml", text).unwrap()
}

fn with(device: &str, fault: &str) -> Simulator {
    parse(&format!("{FILE}\n[[device.{device}.fault]]\n{fault}"))
}

fn problems(text: &str) -> Vec<String> {
    Simulator::parse("equipment.toml", text).unwrap_err().problems
}

fn app(name: &str) -> AppId {
    AppId::new(name).unwrap()
}

fn number(answer: Answer<Value>) -> f64 {
    answer.result.unwrap().as_f64().unwrap()
}

#[test]
fn a_point_follows_its_target_and_stops_there() {
    let mut simulator = parse(FILE);
    let mut room = |now_ms| number(simulator.read(&app("any"), "aircon", "room", now_ms));
    assert_eq!([room(0), room(4_000), room(60_000), room(50_000)], [30.0, 26.0, 20.0, 20.0]);
}

#[test]
fn a_new_setting_acts_from_its_time_on() {
    let mut simulator = parse(FILE);
    simulator.write(&app("any"), "aircon", "setpoint", &Value::Integer(30), 5_000).result.unwrap();
    assert_eq!(number(simulator.read(&app("any"), "aircon", "room", 7_000)), 27.0);
}

#[test]
fn a_meter_rises() {
    assert_eq!(number(parse(FILE).read(&app("any"), "meter", "energy", 3_000)), 6.5);
}

#[test]
fn noise_stays_within_its_bound_and_repeats_with_its_seed() {
    let text = FILE.replace("rises_per_s = 0.5", "noise = 0.25");
    let readings = |seed: u64| -> Vec<f64> {
        let seeded = text.replace("timeout = \"2s\"", &format!("seed = {seed}"));
        let mut simulator = parse(&seeded);
        (0..100).map(|_| number(simulator.read(&app("any"), "meter", "energy", 0))).collect()
    };
    assert!(readings(1).iter().all(|reading| (4.75..=5.25).contains(reading)));
    assert!(
        readings(1).iter().any(|reading| *reading > 5.1) && readings(1).iter().any(|reading| *reading < 4.9)
    );
    assert_eq!(readings(1), readings(1));
    assert_ne!(readings(1), readings(2));
}

#[test]
fn what_cannot_be_set_is_refused_before_the_device_is_asked() {
    let mut simulator = with("aircon", "behaviour = 'silent'\nafter_reads = 1");
    let mut write = |device, point, value: Value| {
        simulator.write(&app("any"), device, point, &value, 0).result.unwrap_err()
    };
    let text = |error: HostError| (error.kind(), error.code(), error.to_string());
    let invalid = |text: &str| (None, "invalid", text.to_owned());
    assert_eq!(text(write("aircon", "room", Value::Number(1.0))), invalid("aircon/room cannot be set"));
    assert_eq!(
        text(write("aircon", "setpoint", Value::Number(31.0))),
        invalid("aircon/setpoint: 31.0 is not a number from 16 to 30")
    );
    let unknown = |text: &str| (None, "unknown", text.to_owned());
    assert_eq!(text(write("aircon", "smell", Value::Number(1.0))), unknown("there is no aircon/smell"));
    assert_eq!(text(write("oven", "heat", Value::Number(1.0))), unknown("there is no oven/heat"));
    assert_eq!(number(simulator.read(&app("any"), "aircon", "setpoint", 0)), 20.0);
}

#[test]
fn a_fault_begins_at_its_time_and_ends_after_its_length() {
    let mut simulator = with("meter", "after = '8s'\nfor = '5s'\nbehaviour = 'silent'");
    let mut energy = |now_ms| simulator.read(&app("any"), "meter", "energy", now_ms).result;
    assert!(energy(7_999).is_ok());
    let error = energy(8_000).unwrap_err();
    assert_eq!(error, HostError::Unreachable("meter/energy does not answer".to_owned()));
    assert_eq!(error.kind(), Some("equipment.unreachable"));
    assert!(energy(12_999).is_err());
    assert!(energy(13_000).is_ok());
}

#[test]
fn a_fault_begins_after_so_many_reads_of_its_point() {
    let mut simulator = with("aircon", "point = 'room'\nafter_reads = 2\nbehaviour = 'nonsense'");
    simulator.read(&app("any"), "aircon", "setpoint", 0).result.unwrap();
    let mut room = || number(simulator.read(&app("any"), "aircon", "room", 0));
    assert_eq!([room(), room(), room(), room()], [30.0, 30.0, 6553.5, 6553.5]);
}

#[test]
fn an_answer_of_another_type_or_beyond_the_range_is_not_believed() {
    let mut simulator = with("aircon", "behaviour = 'nonsense'");
    let mut answer = |point| simulator.read(&app("any"), "aircon", point, 0).result;
    let error = answer("power").unwrap_err();
    assert_eq!((error.code(), error.kind()), ("range", Some("equipment.range")));
    assert_eq!(error.to_string(), "aircon/power answers \"---\" is not true or false");
    assert!(answer("setpoint").unwrap_err().to_string().contains("6553.5 is not a number from 16 to 30"));
    assert_eq!(answer("room"), Ok(Value::Number(6553.5)), "where the file gives no range there is none");
    let mut simulator = with("aircon", "point = 'room'\nvalue = 'NaN'");
    assert_eq!(simulator.read(&app("any"), "aircon", "room", 0).result.unwrap_err().code(), "range");
}

#[test]
fn what_lies_beyond_is_beyond_every_type() {
    let of = |ty: &str| {
        let point = format!("[device.d]\ndriver = 'simulated'\n[device.d.point.p]\naccess = 'rw'\n{ty}");
        let mut simulator = parse(&point);
        assert!(simulator.read(&app("any"), "d", "p", 0).result.is_ok(), "{ty}");
        assert!(simulator.misbehave("d", Some("p"), Behaviour::Beyond));
        assert_eq!(simulator.read(&app("any"), "d", "p", 0).result.unwrap_err().code(), "range", "{ty}");
    };
    of("type = 'bool'\ninitial = true");
    of("type = 'integer'\ninitial = 1");
    of("type = 'integer'\nmin = 0\nmax = 9\ninitial = 1");
    of("type = 'integer'\nmin = 0\ninitial = 1");
    of("type = 'number'\ninitial = 1");
    of("type = 'number'\nmax = 9\ninitial = 1");
    of("type = 'number'\nmin = 1e300\ninitial = 1e300");
    of("type = 'text'\nmax = 9\ninitial = 'x'");
    of("type = 'choice'\nof = ['low']\ninitial = 'low'");
}

#[test]
fn a_device_that_refuses_is_not_set() {
    let mut simulator = with("aircon", "for = '1s'\nbehaviour = 'refuse'");
    let error = simulator.write(&app("any"), "aircon", "power", &Value::Bool(true), 0).result.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("rejected", "aircon refuses power"));
    assert_eq!(simulator.read(&app("any"), "aircon", "power", 1_000).result, Ok(Value::Bool(false)));
}

#[test]
fn a_late_answer_counts_up_to_the_devices_time_out_and_no_longer() {
    let mut simulator = with("meter", "slow = '1999ms'");
    assert_eq!(
        simulator.read(&app("any"), "meter", "energy", 0),
        Answer { after_ms: 1_999, result: Ok(Value::Number(5.0)) }
    );
    assert!(simulator.misbehave("meter", None, Behaviour::Slow(1)));
    let late = HostError::Slow("meter/energy did not answer within 2000 ms".to_owned());
    assert_eq!(
        simulator.read(&app("any"), "meter", "energy", 0),
        Answer { after_ms: 2_000, result: Err(late) }
    );
}

#[test]
fn a_late_device_has_done_what_it_was_asked() {
    let mut simulator = with("aircon", "for = '1s'\nslow = '2s'");
    let late = simulator.write(&app("any"), "aircon", "power", &Value::Bool(true), 0);
    assert_eq!((late.after_ms, late.result.unwrap_err().kind()), (TIMEOUT_MS, Some("equipment.slow")));
    assert_eq!(simulator.read(&app("any"), "aircon", "power", 1_000).result, Ok(Value::Bool(true)));
}

#[test]
fn only_what_is_there_misbehaves() {
    let mut simulator = parse(FILE);
    assert!(!simulator.misbehave("oven", None, Behaviour::Silent));
    assert!(!simulator.misbehave("aircon", Some("smell"), Behaviour::Silent));
    assert!(simulator.misbehave("aircon", None, Behaviour::Silent));
    assert_eq!(simulator.read(&app("any"), "aircon", "room", 0).result.unwrap_err().code(), "unreachable");
    assert!(simulator.read(&app("any"), "meter", "energy", 0).result.is_ok());
}

#[test]
fn a_device_with_another_driver_is_stood_in_for() {
    let text =
        FILE.replace("driver = \"simulated\"\n    timeout", "driver = \"modbus\"\n    host = 1\n    timeout");
    let mut simulator = parse(&text.replace("rises_per_s = 0.5", "register = 7\n access = \"rw\"\n min = 3"));
    assert_eq!(number(simulator.read(&app("any"), "meter", "energy", 9_000)), 3.0);
    simulator.write(&app("any"), "meter", "energy", &Value::Number(4.0), 9_000).result.unwrap();
    assert_eq!(number(simulator.read(&app("any"), "meter", "energy", 9_000)), 4.0);
}

#[test]
fn the_apps_that_may_are_the_points_own_or_the_devices() {
    let text = FILE.replace("timeout = \"2s\"", "readers = ['north', 'south']\nwriters = []");
    let may = |text: &str, device: &str, point: &str, name: &str, set| {
        let (mut simulator, app) = (parse(text), app(name));
        let result = match set {
            true => simulator.write(&app, device, point, &Value::Number(1.0), 0).result,
            false => simulator.read(&app, device, point, 0).result.map(drop),
        };
        !matches!(result, Err(HostError::Refused(_)))
    };
    assert!(may(&text, "aircon", "room", "any", false) && may(&text, "aircon", "room", "any", true));
    assert!(may(&text, "meter", "energy", "north", false) && !may(&text, "meter", "energy", "north", true));
    assert!(!may(&text, "meter", "energy", "any", false));
    let own = text.replace("unit = \"kWh\"", "readers = ['any']");
    assert!(may(&own, "meter", "energy", "any", false) && !may(&own, "meter", "energy", "north", false));
}

#[test]
fn every_wrong_key_is_named_at_once() {
    let found = problems(
        r#"
        sead = 1
        [device.aircon]
        driver = "simulated"
        timeout = "2min"
        readers = ["Aircon"]
        [device.aircon.point.room]
        type = "numbr"
        [device.aircon.point.wind]
        type = "choice"
        of = ["low", "high"]
        initial = "fast"
        access = "w"
        noise = 1.0
        [[device.aircon.fault]]
        piont = "room"
        after = "soon"
        [device.meter]
        "#,
    );
    assert_eq!(
        found,
        [
            "sead: there is no such key",
            "device.aircon.timeout: 120000 ms is not from 1 to 60000 ms",
            "device.aircon.readers: \"Aircon\" is not an app id: 1 to 64 characters of a-z, 0-9 and -",
            "device.aircon.fault[0].after: \"soon\" is not a length of time such as 8s or 500ms",
            "device.aircon.fault[0].behaviour: is missing: nonsense, beyond, silent or refuse, or slow, or a value",
            "device.aircon.fault[0].piont: there is no such key",
            "device.aircon.point.room.type: unknown variant `numbr`, expected one of `bool`, `integer`, `number`, \
             `text`, `choice`, `list`, `record`, `option`",
            "device.aircon.point.room.initial: is missing",
            "device.aircon.point.wind.access: \"w\" is not r or rw",
            "device.aircon.point.wind.initial: \"fast\" is not one of low, high",
            "device.aircon.point.wind.type: only a number can follow, rise or be noisy",
            "device.meter.driver: is missing",
        ]
    );
}

#[test]
fn a_point_cannot_move_backwards_towards_its_target_or_by_no_number() {
    let text = FILE.replace("per_s = 1 ", "per_s = -1 ").replace("rises_per_s = 0.5", "noise = nan");
    let expected = [
        "device.aircon.point.room.follows.per_s: -1 is not a number of at least 0",
        "device.meter.point.energy.noise: NaN is not a number of at least 0",
    ];
    assert_eq!(problems(&text), expected);
    let infinite = FILE.replace("rises_per_s = 0.5", "rises_per_s = inf");
    assert!(problems(&infinite)[0].starts_with("device.meter.point.energy.rises_per_s: inf is not a number"));
}

#[test]
fn what_is_named_but_not_there_is_told() {
    let text = FILE.replace("point = \"setpoint\"", "point = \"power\"");
    let found = problems(&format!("{text}\n[[device.aircon.fault]]\npoint = 'smell'\nbehaviour = 'silent'"));
    let expected = [
        "device.aircon.fault[0].point: there is no aircon/smell",
        "device.aircon.point.room.follows: aircon has no number power",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_device_that_cannot_be_named_is_refused() {
    let found =
        problems("[device.'Air con']\ndriver = 'simulated'\n[device.a]\ndriver = 'simulated'\npoint.b = 1");
    assert_eq!(
        found,
        ["device: \"Air con\" is no name: 1 to 64 of a-z, 0-9, - and _", "device.a.point.b: is not a table"]
    );
}

#[test]
fn broken_toml_is_told_with_its_place() {
    assert_eq!(problems("a = 1\n  b = = 2").len(), 1);
    assert!(problems("a = 1\n  b = = 2")[0].starts_with("2:7: "), "{:?}", problems("a = 1\n  b = = 2"));
}

#[test]
fn more_than_the_most_is_refused() {
    let faults = "[[device.meter.fault]]\nbehaviour = 'silent'\n".repeat(ENTRIES_MAX + 1);
    let found = problems(&format!("{FILE}\n{faults}"));
    assert_eq!(found, ["device.meter.fault: 257 entries, 256 are the most"]);
    let long = format!("{FILE}#{}", " ".repeat(FILE_BYTES_MAX));
    assert_eq!(problems(&long), [format!("{} bytes, 1048576 are the most", long.len())]);
}
