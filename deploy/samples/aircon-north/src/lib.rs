//! Air conditioner control by the maker North: short, and sure of its equipment. A reading that cannot be true is,
//! to North, a broken promise: it stops there and then.

wit_bindgen::generate!({
    path: ["../../../schemas/wit", "../wit"],
    world: "samples:climate/air-conditioner",
    with: { "fleet:edge/types@0.1.0": fleet_guest::types },
});

use fleet_guest::{Value, device_write, emit_number, read_number};

const DEVICE: &str = "aircon";

struct North;

fn set(point: &str, value: Value) -> Result<(), Fault> {
    device_write::write(DEVICE, point, &value)
}

/// The temperature of the room, in degrees Celsius.
fn room() -> f64 {
    let celsius = read_number(DEVICE, "room").expect("the room's sensor answers with a number");
    assert!((-40.0..=60.0).contains(&celsius), "no room has {celsius} degrees Celsius");
    celsius
}

impl Guest for North {
    fn start() -> Result<(), Fault> {
        set("power", Value::Truth(true))
    }

    fn set_temperature(celsius: f64) -> Result<(), Fault> {
        set("setpoint", Value::Number(celsius))
    }

    fn set_wind(speed: Wind) -> Result<(), Fault> {
        let name = match speed {
            Wind::Low => "low",
            Wind::Medium => "medium",
            Wind::High => "high",
        };
        set("wind", Value::Text(name.to_owned()))
    }

    fn read_room() -> Result<f64, Fault> {
        let celsius = room();
        emit_number("room", "celsius", celsius)?;
        Ok(celsius)
    }

    fn hold(celsius: f64, tolerance: f64) -> Result<(), Fault> {
        if (Self::read_room()? - celsius).abs() > tolerance {
            set("setpoint", Value::Number(celsius))?;
        }
        Ok(())
    }

    fn stop() -> Result<(), Fault> {
        set("power", Value::Truth(false))
    }
}

fleet_guest::app!(North);
