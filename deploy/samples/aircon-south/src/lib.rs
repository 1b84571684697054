//! Air conditioner control by the maker South: distrusts its sensor. A reading that cannot be true, or none at all,
//! is let be known as the event `fallback`, and the last good one stands in for it.

wit_bindgen::generate!({
    path: ["../../../schemas/wit", "../wit"],
    world: "samples:climate/air-conditioner",
    with: { "fleet:edge/types@0.1.0": fleet_guest::types },
});

use std::cell::Cell;

use fleet_guest::{Value, device_write, emit_number, events, read_number};

const DEVICE: &str = "aircon";

/// What a room can have, in degrees Celsius.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -40.0..=60.0;

thread_local! {
    /// The last good reading or, until there is one, the temperature that was asked for, in degrees Celsius.
    static LAST: Cell<f64> = const { Cell::new(20.0) };
}

struct South;

/// The temperature of the room, in degrees Celsius, or the last good one.
fn room() -> Result<f64, Fault> {
    let said = read_number(DEVICE, "room");
    match said {
        Ok(celsius) if PLAUSIBLE.contains(&celsius) => {
            LAST.set(celsius);
            emit_number("room", "celsius", celsius)?;
        }
        doubtful => {
            let reason = match doubtful {
                Ok(celsius) => format!("no room has {celsius} degrees Celsius"),
                Err(fault) => fault.message,
            };
            let fields = [
                ("reason".to_owned(), Value::Text(reason)),
                ("celsius".to_owned(), Value::Number(LAST.get())),
            ];
            events::emit("fallback", &fields)?;
        }
    }
    Ok(LAST.get())
}

impl Guest for South {
    fn start() -> Result<(), Fault> {
        device_write::write(DEVICE, "power", &Value::Truth(true))
    }

    fn set_temperature(celsius: f64) -> Result<(), Fault> {
        device_write::write(DEVICE, "setpoint", &Value::Number(celsius))?;
        LAST.set(celsius);
        Ok(())
    }

    fn set_wind(speed: Wind) -> Result<(), Fault> {
        let name = match speed {
            Wind::Low => "low",
            Wind::Medium => "medium",
            Wind::High => "high",
        };
        device_write::write(DEVICE, "wind", &Value::Text(name.to_owned()))
    }

    fn read_room() -> Result<f64, Fault> {
        room()
    }

    fn hold(celsius: f64, tolerance: f64) -> Result<(), Fault> {
        let off = room()? - celsius;
        if off.abs() > tolerance {
            device_write::write(DEVICE, "setpoint", &Value::Number(celsius))
        } else {
            Ok(())
        }
    }

    fn stop() -> Result<(), Fault> {
        device_write::write(DEVICE, "power", &Value::Truth(false))
    }
}

fleet_guest::app!(South);
