//! What simulated equipment answers, well and badly, and which files it refuses.

use super::*;

const FILE: &str = r#"
    [device.aircon.setpoint]
    type = "number"
    min = 16
    max = 30
    access = "rw"
    initial = 20

    [device.aircon.room]
    type = "number"
    initial = 30
    follows = { point = "setpoint", per_s = 1 }

    [device.aircon.power]
    type = "bool"
    access = "rw"
    initial = false

    [device.meter.energy]
    type = "number"
    unit = "kWh"
    initial = 5.0
    rises_per_s = 0.5
"#;

fn with(fault: &str) -> Equipment {
    Equipment::parse("equipment.toml", &format!("{FILE}\n[[fault]]\n{fault}")).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    Equipment::parse("equipment.toml", text).unwrap_err().problems
}

#[test]
fn a_point_follows_its_target_and_stops_there() {
    let mut equipment = Equipment::parse("equipment.toml", FILE).unwrap();
    let mut room = |now_ms| equipment.read("aircon", "room", now_ms).unwrap().as_f64().unwrap();
    assert_eq!([room(0), room(4_000), room(60_000), room(50_000)], [30.0, 26.0, 20.0, 20.0]);
}

#[test]
fn a_new_setting_acts_from_its_time_on() {
    let mut equipment = Equipment::parse("equipment.toml", FILE).unwrap();
    equipment.write("aircon", "setpoint", &Value::Integer(30), 5_000).unwrap();
    assert_eq!(equipment.read("aircon", "room", 7_000), Ok(Value::Number(27.0)));
}

#[test]
fn a_meter_rises() {
    let mut equipment = Equipment::parse("equipment.toml", FILE).unwrap();
    assert_eq!(equipment.read("meter", "energy", 3_000), Ok(Value::Number(6.5)));
}

#[test]
fn noise_stays_within_its_bound_and_repeats_with_its_seed() {
    let text = FILE.replace("rises_per_s = 0.5", "noise = 0.25");
    let readings = |seed: u32| -> Vec<f64> {
        let mut equipment = Equipment::parse("equipment.toml", &format!("seed = {seed}\n{text}")).unwrap();
        (0..100).map(|_| equipment.read("meter", "energy", 0).unwrap().as_f64().unwrap()).collect()
    };
    assert!(readings(1).iter().all(|reading| (4.75..=5.25).contains(reading)));
    assert!(
        readings(1).iter().any(|reading| *reading > 5.1) && readings(1).iter().any(|reading| *reading < 4.9)
    );
    assert_eq!(readings(1), readings(1));
    assert_ne!(readings(1), readings(2));
}

#[test]
fn what_cannot_be_set_is_refused_and_changes_nothing() {
    let mut equipment = Equipment::parse("equipment.toml", FILE).unwrap();
    let mut write =
        |device, point, value: Value| equipment.write(device, point, &value, 0).unwrap_err().to_string();
    assert_eq!(write("aircon", "room", Value::Number(1.0)), "aircon/room cannot be set");
    assert_eq!(
        write("aircon", "setpoint", Value::Number(31.0)),
        "aircon/setpoint: 31.0 is not a number from 16 to 30"
    );
    assert_eq!(write("aircon", "smell", Value::Number(1.0)), "there is no aircon/smell");
    assert_eq!(write("oven", "heat", Value::Number(1.0)), "there is no oven/heat");
    assert_eq!(equipment.read("aircon", "setpoint", 0), Ok(Value::Number(20.0)));
}

#[test]
fn a_fault_begins_at_its_time_and_ends_after_its_length() {
    let mut equipment = with("device = 'meter'\nafter = '8s'\nfor = '5s'\nbehaviour = 'silent'");
    let mut energy = |now_ms| equipment.read("meter", "energy", now_ms);
    assert!(energy(7_999).is_ok());
    assert_eq!(energy(8_000), Err(HostError::Unreachable("meter/energy".to_owned())));
    assert!(energy(12_999).is_err());
    assert!(energy(13_000).is_ok());
}

#[test]
fn a_fault_begins_after_so_many_reads_of_its_point() {
    let mut equipment = with("device = 'aircon'\npoint = 'room'\nafter_reads = 2\nbehaviour = 'nonsense'");
    equipment.read("aircon", "setpoint", 0).unwrap();
    let mut room = || equipment.read("aircon", "room", 0).unwrap();
    assert_eq!([room(), room(), room(), room()], [30.0, 30.0, 6553.5, 6553.5].map(Value::Number));
}

#[test]
fn nonsense_fits_what_the_point_holds_and_a_value_does_not_have_to() {
    let mut equipment = with("device = 'aircon'\nbehaviour = 'nonsense'");
    assert_eq!(equipment.read("aircon", "power", 0), Ok(Value::Text("---".to_owned())));
    let mut equipment = with("device = 'aircon'\npoint = 'room'\nvalue = 'NaN'");
    assert_eq!(equipment.read("aircon", "room", 0), Ok(Value::Text("NaN".to_owned())));
}

#[test]
fn a_device_that_refuses_is_not_set() {
    let mut equipment = with("device = 'aircon'\nfor = '1s'\nbehaviour = 'refuse'");
    let error = equipment.write("aircon", "power", &Value::Bool(true), 0).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("rejected", "aircon refuses power"));
    assert_eq!(equipment.read("aircon", "power", 1_000), Ok(Value::Bool(false)));
}

#[test]
fn every_wrong_key_is_named_at_once() {
    let found = problems(
        r#"
        sead = 1
        [device.aircon.room]
        type = "numbr"
        [device.aircon.wind]
        type = "choice"
        of = ["low", "high"]
        initial = "fast"
        access = "w"
        noise = 1.0
        [[fault]]
        devise = "aircon"
        after = "soon"
        "#,
    );
    assert_eq!(
        found,
        [
            "sead: there is no such key",
            "device.aircon.room.type: unknown variant `numbr`, expected one of `bool`, `integer`, `number`, `text`, \
             `choice`, `list`, `record`, `option`",
            "device.aircon.room.initial: is missing",
            "device.aircon.wind.access: \"w\" is not r or rw",
            "device.aircon.wind.initial: \"fast\" is not one of low, high",
            "device.aircon.wind.type: only a number can follow, rise or be noisy",
            "fault[0].device: is missing",
            "fault[0].after: \"soon\" is not a length of time such as 8s or 500ms",
            "fault[0].behaviour: is missing: nonsense, silent or refuse, or a value",
            "fault[0].devise: there is no such key",
        ]
    );
}

#[test]
fn a_point_cannot_move_backwards_towards_its_target_or_by_no_number() {
    let text = FILE.replace("per_s = 1 ", "per_s = -1 ").replace("rises_per_s = 0.5", "noise = nan");
    let expected = [
        "device.aircon.room.follows.per_s: -1 is not a number of at least 0",
        "device.meter.energy.noise: NaN is not a number of at least 0",
    ];
    assert_eq!(problems(&text), expected);
    let infinite = FILE.replace("rises_per_s = 0.5", "rises_per_s = inf");
    assert!(problems(&infinite)[0].starts_with("device.meter.energy.rises_per_s: inf is not a number"));
}

#[test]
fn what_is_named_but_not_there_is_told() {
    let text = FILE.replace("point = \"setpoint\"", "point = \"power\"");
    let found =
        problems(&format!("{text}\n[[fault]]\ndevice = 'aircon'\npoint = 'smell'\nbehaviour = 'silent'"));
    let expected =
        ["device.aircon.room.follows: aircon has no number power", "fault[0]: there is no aircon/smell"];
    assert_eq!(found, expected);
}

#[test]
fn broken_toml_is_told_with_its_place() {
    assert_eq!(problems("a = 1\n  b = = 2").len(), 1);
    assert!(problems("a = 1\n  b = = 2")[0].starts_with("2:7: "), "{:?}", problems("a = 1\n  b = = 2"));
}

#[test]
fn more_entries_than_the_most_are_refused() {
    let faults = "[[fault]]\ndevice = 'meter'\nbehaviour = 'silent'\n".repeat(257);
    assert_eq!(problems(&format!("{FILE}\n{faults}")), ["fault: 257 entries, 256 are the most"]);
}
