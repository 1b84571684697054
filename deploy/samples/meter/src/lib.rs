//! Reads the energy meter once and lets it be known. Nothing of it stays on the edge.

wit_bindgen::generate!({
    path: "../../../schemas/wit",
    inline: r#"
        package samples:energy@0.1.0;

        world meter {
            use fleet:edge/types@0.1.0.{fault};

            /// What energy is counted in.
            enum unit { wh, kwh }

            /// The energy used so far, in the given unit; also let be known as the event `energy`, in kWh.
            export read-energy: func(unit: unit) -> result<f64, fault>;
        }
    "#,
    with: { "fleet:edge/types@0.1.0": fleet_guest::types },
});

use fleet_guest::{emit_number, read_number};

struct Meter;

impl Guest for Meter {
    fn read_energy(unit: Unit) -> Result<f64, Fault> {
        let kwh = read_number("meter", "energy")?;
        emit_number("energy", "kwh", kwh)?;
        Ok(match unit {
            Unit::Wh => kwh * 1000.0,
            Unit::Kwh => kwh,
        })
    }
}

fleet_guest::app!(Meter);
