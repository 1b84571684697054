//! The samples hold together: definitions, scripts and event lists fit, and the same script runs on either list.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use flotilla_schemas::Value;
use flotilla_script::{Call, Definition, EventList, Script, Step};

const AIR_CONDITIONER: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd");
const COOLING: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/script.xml");
const LARGE: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/events-large.json");
const SMALL: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/events-small.json");
const METER: &str = include_str!("../../../deploy/samples/scripts/meter/definition.dtd");
const READING: &str = include_str!("../../../deploy/samples/scripts/meter/script.xml");
const METER_EVENTS: &str = include_str!("../../../deploy/samples/scripts/meter/events.json");

fn plan(definition: &str, script: &str, events: &str) -> Vec<Step> {
    let definition = Definition::parse("definition.dtd", definition.as_bytes()).unwrap();
    let script = Script::parse("script.xml", script.as_bytes(), &definition).unwrap();
    let events = EventList::parse("events.json", events.as_bytes()).unwrap();
    events.check(&definition).unwrap();
    script.plan(&events).unwrap()
}

/// `app operation(args)` for every call.
fn calls(steps: &[Step]) -> Vec<String> {
    let call = |Call { app, operation, args }: &Call| {
        let args: Vec<String> = args.iter().map(Value::to_string).collect();
        format!("{app} {operation}({})", args.join(", "))
    };
    steps.iter().filter_map(|step| step.call.as_ref()).map(call).collect()
}

#[test]
fn a_large_gateway_does_all_that_the_script_says() {
    let expected = [
        "aircon-north start()",
        "aircon-north set-temperature(22.0)",
        "aircon-north set-wind(\"medium\")",
        "aircon-north read-room()",
        "aircon-north hold(22.0, 1.5)",
        "aircon-north read-room()",
        "aircon-north set-wind(\"low\")",
        "aircon-north hold(23.0, 1.0)",
        "aircon-north read-room()",
        "aircon-north stop()",
    ];
    assert_eq!(calls(&plan(AIR_CONDITIONER, COOLING, LARGE)), expected);
}

#[test]
fn a_small_gateway_runs_the_same_script_with_another_makers_app() {
    let large = calls(&plan(AIR_CONDITIONER, COOLING, LARGE));
    let without_wind = large.iter().filter(|call| !call.contains("set-wind"));
    let expected: Vec<String> =
        without_wind.map(|call| call.replace("aircon-north", "aircon-south")).collect();
    assert_eq!(calls(&plan(AIR_CONDITIONER, COOLING, SMALL)), expected);
}

#[test]
fn initialization_has_two_nested_parts_in_the_order_of_the_words() {
    let steps = plan(AIR_CONDITIONER, COOLING, LARGE);
    let events: Vec<String> = steps.iter().map(|step| step.event.to_string()).collect();
    let expected = [
        "start air-conditioner-control",
        "start initialization",
        "start air-conditioner-initialization",
        "start temperature",
        "text temperature",
        "end temperature",
        "start wind",
        "end wind",
        "end air-conditioner-initialization",
        "start temperature-initialization",
    ];
    assert_eq!(events[..expected.len()], expected);
    let places: Vec<(u32, u32)> = steps.iter().map(|step| (step.line, step.col)).take(6).collect();
    assert_eq!(places, [(2, 1), (3, 3), (4, 5), (5, 7), (5, 20), (5, 22)]);
}

#[test]
fn a_meter_is_read_in_the_units_that_the_script_names() {
    let expected = ["meter read-energy(\"kwh\")", "meter read-energy(\"wh\")"];
    assert_eq!(calls(&plan(METER, READING, METER_EVENTS)), expected);
}
