//! Operations by name, with values of every type, and what an interface says of them.

use flotilla_sandbox::Host;
use flotilla_schemas::app::Operation;
use flotilla_schemas::{Type, Value};

use crate::edge::{SANDBOX, faulty, start, text, wasm};

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn every_type_goes_in_and_comes_back_the_same() {
    let (mut instance, _) = start(&faulty(60_000)).await;
    let everything = value(
        r#"[{"truth": true, "small": 255, "whole": -9223372036854775808, "number": -0.5, "text": "häuser",
             "shade": "light", "numbers": [1.5, 2.5], "point": {"x": -1, "y": 2, "label": null}},
            {"truth": false, "small": 0, "whole": 9223372036854775807, "number": 3.0, "text": "",
             "shade": "dark", "numbers": [], "point": {"x": 1, "y": -2, "label": "a ü"}}]"#,
    );
    assert_eq!(instance.call("echo", std::slice::from_ref(&everything)).await, Ok(everything));
}

#[tokio::test]
async fn a_whole_number_serves_where_a_number_is_taken() {
    let (mut instance, edge) = start(&faulty(60_000)).await;
    instance.call("write", &[text("aircon"), text("setpoint"), Value::Integer(21)]).await.unwrap();
    assert_eq!(edge.read("aircon", "setpoint").await, Ok(Value::Number(21.0)));
}

#[tokio::test]
async fn an_app_sees_the_edges_clock_and_keeps_values() {
    let (mut instance, edge) = start(&faulty(60_000)).await;
    edge.now_ms.store(1_790_000_000_000, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(instance.call("now", &[]).await, Ok(Value::Integer(1_790_000_000_000)));
    assert_eq!(instance.call("keep", &[text("last"), Value::Integer(12)]).await, Ok(Value::Integer(12)));
}

#[test]
fn an_interface_is_read_from_the_component() {
    let interface = SANDBOX.inspect(&wasm("aircon-north")).unwrap();
    assert_eq!(
        interface.imports.iter().map(String::as_str).collect::<Vec<_>>(),
        ["device-read", "device-write", "events", "log"]
    );
    let number = Type::Number { min: None, max: None };
    let wind = Type::Choice { of: ["low", "medium", "high"].map(str::to_owned).to_vec() };
    let operation = |name: &str, params: &[(&str, &Type)], result: Option<&Type>| Operation {
        name: name.to_owned(),
        params: params.iter().map(|(name, ty)| (name.to_string(), (*ty).clone())).collect(),
        result: result.cloned(),
    };
    assert_eq!(
        interface.operations,
        [
            operation("hold", &[("celsius", &number), ("tolerance", &number)], None),
            operation("read-room", &[], Some(&number)),
            operation("set-temperature", &[("celsius", &number)], None),
            operation("set-wind", &[("speed", &wind)], None),
            operation("start", &[], None),
            operation("stop", &[], None),
        ]
    );
}
