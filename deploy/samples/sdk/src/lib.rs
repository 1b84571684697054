//! What an app needs to be a guest on an edge: the bindings of `fleet:edge`, short words for the common calls, and
//! a panic hook that brings the message of a panic out through the log.
//!
//! An app writes its world, generates its bindings with this package's in place of its own
//! (`with: { "fleet:edge/types@0.1.0": fleet_guest::types }`), implements the operations and ends with
//! [`app!`]. What it never calls it does not import.

wit_bindgen::generate!({ path: "../../../schemas/wit", world: "app", generate_all });

pub use fleet::edge::{clock, device_read, device_write, events, kv, log, types};
pub use types::{Fault, Value};

/// Reads a point that holds a number. Anything else that the device says is the fault `implausible`.
pub fn read_number(device: &str, point: &str) -> Result<f64, Fault> {
    match device_read::read(device, point)? {
        Value::Number(number) => Ok(number),
        Value::Integer(number) => Ok(number as f64),
        other => Err(Fault::new("implausible", &format!("{device} says {other:?} for {point}"))),
    }
}

/// Emits an event of one number.
pub fn emit_number(event: &str, field: &str, number: f64) -> Result<(), Fault> {
    events::emit(event, &[(field.to_owned(), Value::Number(number))])
}

impl Fault {
    /// A fault of the app's own; `code` in kebab case.
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned() }
    }
}

/// Brings the message and place of a panic out as an error in the log: the trap that follows carries neither.
pub extern "C" fn log_panics() {
    std::panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string())));
}

/// Exports a type's operations: `app!(AirConditioner)`, beside the bindings that `generate!` made. The panic hook
/// is set before the first of them runs.
#[macro_export]
macro_rules! app {
    ($app:ident) => {
        export!($app);

        #[used]
        #[unsafe(link_section = ".init_array")]
        static LOG_PANICS: extern "C" fn() = $crate::log_panics;
    };
}
