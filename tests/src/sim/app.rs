//! Models of apps: what an operation answers, without a sandbox.

use std::collections::BTreeMap;

use flotilla_schemas::Value;
use flotilla_schemas::fault::{Failure, kind};

/// How an app behaves on one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Every operation succeeds.
    Good,
    /// From the n-th reading of the room on, from 1, in whatever instance, it traps.
    TrapsFromReading(u64),
}

/// An app on one edge, with what it has been asked so far.
#[derive(Debug, Clone)]
pub struct Model {
    behaviour: Behaviour,
    readings: u64,
    /// The operations that were called, in order.
    pub calls: Vec<String>,
}

/// What a call gives: events first, then its result.
pub struct Said {
    pub events: Vec<(String, BTreeMap<String, Value>)>,
    pub result: Result<Value, Failure>,
}

impl Model {
    /// A model that has not been called yet.
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, readings: 0, calls: Vec::new() }
    }

    /// What an operation answers now.
    pub fn call(&mut self, operation: &str) -> Said {
        self.calls.push(operation.to_owned());
        self.readings += u64::from(operation == "read-room");
        let trapped = match self.behaviour {
            Behaviour::Good => false,
            Behaviour::TrapsFromReading(from) => operation == "read-room" && self.readings >= from,
        };
        if trapped {
            let failure = Failure::new(kind::TRAP_UNREACHABLE, "the room cannot have 999 degrees");
            return Said { events: Vec::new(), result: Err(failure) };
        }
        let reading = |name: &str, unit: &str, value| {
            (name.to_owned(), BTreeMap::from([(unit.to_owned(), Value::Number(value))]))
        };
        let (events, result) = match operation {
            "read-room" => (vec![reading("room", "celsius", 22.5)], Value::Number(22.5)),
            "read-energy" => (vec![reading("energy", "kwh", 311.8)], Value::Number(311.8)),
            _ => (Vec::new(), Value::None),
        };
        Said { events, result: Ok(result) }
    }
}
