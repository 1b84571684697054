//! The driver of simulated devices: gives the simulation a clock, and waits as long as it says.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flotilla_sandbox::{Answer, HostError, Reply, Section, Simulated};
use flotilla_schemas::Value;

use super::driver::Driver;

/// A device that was switched on when its file was read.
struct Device {
    simulated: Mutex<Simulated>,
    on_since: Instant,
}

/// Reads what a section says of a simulated device.
pub fn read(section: &mut Section) -> Option<Box<dyn Driver>> {
    let simulated = Mutex::new(Simulated::of(section)?);
    Some(Box::new(Device { simulated, on_since: Instant::now() }))
}

impl Device {
    async fn ask<T>(&self, act: impl FnOnce(&mut Simulated, u64) -> Answer<T>) -> Result<T, HostError> {
        let now_ms = u64::try_from(self.on_since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answer = act(&mut self.simulated.lock().unwrap_or_else(PoisonError::into_inner), now_ms);
        if answer.after_ms > 0 {
            tokio::time::sleep(Duration::from_millis(answer.after_ms)).await;
        }
        answer.result
    }
}

impl Driver for Device {
    fn read<'a>(&'a self, point: &'a str) -> Reply<'a, Value> {
        Box::pin(self.ask(move |device, now_ms| device.read(point, now_ms)))
    }

    fn write<'a>(&'a self, point: &'a str, value: &'a Value) -> Reply<'a, ()> {
        Box::pin(self.ask(move |device, now_ms| device.write(point, value, now_ms)))
    }
}
