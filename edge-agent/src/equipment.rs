//! The equipment behind the apps: simulated devices, shared by all apps of one edge.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use flotilla_sandbox::{Equipment, HostError};
use flotilla_schemas::Value;

/// Devices that were switched on when the agent started.
pub struct Devices {
    equipment: Mutex<Equipment>,
    on_since: Instant,
}

impl Devices {
    /// Switches the equipment on.
    pub fn new(equipment: Equipment) -> Self {
        Self { equipment: Mutex::new(equipment), on_since: Instant::now() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Equipment, u64) -> T) -> T {
        let now_ms = u64::try_from(self.on_since.elapsed().as_millis()).unwrap_or(u64::MAX);
        act(&mut self.equipment.lock().unwrap_or_else(PoisonError::into_inner), now_ms)
    }

    /// What a point answers now.
    pub fn read(&self, device: &str, point: &str) -> Result<Value, HostError> {
        self.with(|equipment, now_ms| equipment.read(device, point, now_ms))
    }

    /// Sets a point now.
    pub fn write(&self, device: &str, point: &str, value: &Value) -> Result<(), HostError> {
        self.with(|equipment, now_ms| equipment.write(device, point, value, now_ms))
    }
}
