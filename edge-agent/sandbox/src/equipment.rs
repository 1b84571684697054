//! Simulated equipment: devices with points that move by simple models and misbehave on a schedule.
//!
//! What there is, how it moves and when it breaks is said in a file, `equipment.toml`; see [`Equipment::parse`].
//! There is no clock and no chance in here: time is an argument, noise comes from the file's seed, so the same file
//! and the same calls give the same answers.

mod fault;
mod file;

use std::collections::BTreeMap;

use flotilla_schemas::{Type, Value};

use fault::Fault;
pub use file::EquipmentError;

use crate::host::HostError;

/// The devices of one edge.
///
/// ```
/// use flotilla_sandbox::Equipment;
/// use flotilla_schemas::Value;
/// let mut equipment = Equipment::parse("equipment.toml", r#"
///     [device.aircon.setpoint]
///     type = "number"
///     min = 16
///     max = 30
///     unit = "°C"
///     access = "rw"
///     initial = 24
///
///     [device.aircon.room]
///     type = "number"
///     unit = "°C"
///     initial = 28
///     follows = { point = "setpoint", per_s = 0.5 }
///
///     [[fault]]
///     device = "aircon"
///     point = "room"
///     after = "20s"
///     behaviour = "silent"
/// "#)?;
/// assert_eq!(equipment.read("aircon", "room", 0), Ok(Value::Number(28.0)));
/// assert_eq!(equipment.read("aircon", "room", 2_000), Ok(Value::Number(27.0)));
/// assert!(equipment.write("aircon", "setpoint", &Value::Number(99.0), 2_000).is_err());
/// assert_eq!(equipment.read("aircon", "room", 20_000).unwrap_err().code(), "unreachable");
/// # Ok::<(), flotilla_sandbox::EquipmentError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Equipment {
    devices: BTreeMap<String, BTreeMap<String, Point>>,
    faults: Vec<Fault>,
}

/// What a point is.
#[derive(Debug, Clone, PartialEq)]
pub struct PointInfo {
    /// What it holds while the device is well.
    pub ty: Type,
    /// The unit of it, for people.
    pub unit: Option<String>,
    /// What may be done with it.
    pub access: Access,
}

/// What may be done with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It can be read, `r`.
    Read,
    /// It can be read and set, `rw`.
    ReadWrite,
}

#[derive(Debug, Clone)]
struct Point {
    info: PointInfo,
    value: Value,
    model: Model,
    moved_ms: u64,
}

/// How a number moves by itself.
#[derive(Debug, Clone, Default)]
struct Model {
    follows: Option<Follows>,
    rises_per_s: f64,
    noise: f64,
    seed: u64,
}

/// Moving towards another point of the device.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Follows {
    point: String,
    per_s: f64,
}

impl Equipment {
    /// What there is: device, point, and what the point is, in the order of their names.
    pub fn points(&self) -> impl Iterator<Item = (&str, &str, &PointInfo)> {
        self.devices.iter().flat_map(|(device, points)| {
            points.iter().map(move |(name, point)| (device.as_str(), name.as_str(), &point.info))
        })
    }

    /// What a point answers, `now_ms` milliseconds after the equipment was switched on. A device that misbehaves
    /// may answer a value of any type and size.
    ///
    /// # Errors
    /// There is no such point, or the device is silent or refuses, as its file says.
    pub fn read(&mut self, device: &str, point: &str, now_ms: u64) -> Result<Value, HostError> {
        let mut answer = self.measure(device, point, now_ms)?;
        for fault in self.faults.iter_mut().filter(|fault| fault.concerns(device, point)) {
            fault.count_read();
            if fault.is_on(now_ms) {
                fault.obey(device, point)?;
                answer = fault.distort(answer);
            }
        }
        Ok(answer)
    }

    /// Sets a point, `now_ms` milliseconds after the equipment was switched on.
    ///
    /// # Errors
    /// There is no such point, it cannot be set or not to that, or the device is silent or refuses, as its file
    /// says. Then nothing has changed.
    pub fn write(&mut self, device: &str, point: &str, value: &Value, now_ms: u64) -> Result<(), HostError> {
        let name = format!("{device}/{point}");
        let info = &self.point(device, point).ok_or_else(|| HostError::Unknown(name.clone()))?.info;
        if info.access == Access::Read {
            return Err(HostError::Rejected(format!("{name} cannot be set")));
        }
        info.ty.check(value).map_err(|error| HostError::Rejected(format!("{name}: {error}")))?;
        for fault in self.faults.iter_mut().filter(|fault| fault.concerns(device, point)) {
            if fault.is_on(now_ms) {
                fault.obey(device, point)?;
            }
        }
        self.settle(device, now_ms);
        if let Some(point) = self.devices.get_mut(device).and_then(|points| points.get_mut(point)) {
            point.value = value.clone();
        }
        Ok(())
    }

    fn point(&self, device: &str, point: &str) -> Option<&Point> {
        self.devices.get(device)?.get(point)
    }

    /// What the point really is now, noise included.
    fn measure(&mut self, device: &str, name: &str, now_ms: u64) -> Result<Value, HostError> {
        self.settle(device, now_ms);
        let points = self.devices.get_mut(device);
        let point = points.and_then(|points| points.get_mut(name));
        let point = point.ok_or_else(|| HostError::Unknown(format!("{device}/{name}")))?;
        Ok(match point.value {
            Value::Number(number) => Value::Number(number + point.model.next_noise()),
            ref other => other.clone(),
        })
    }

    /// Moves all points of a device up to now, so that a new setting acts only from now on.
    fn settle(&mut self, device: &str, now_ms: u64) {
        let Some(points) = self.devices.get_mut(device) else { return };
        let targets: BTreeMap<String, f64> =
            points.iter().filter_map(|(name, point)| Some((name.clone(), point.value.as_f64()?))).collect();
        points.values_mut().for_each(|point| point.settle(&targets, now_ms));
    }
}

impl Point {
    fn settle(&mut self, targets: &BTreeMap<String, f64>, now_ms: u64) {
        let elapsed_s = now_ms.saturating_sub(self.moved_ms) as f64 / 1000.0;
        self.moved_ms = self.moved_ms.max(now_ms);
        let Value::Number(number) = &mut self.value else { return };
        *number += self.model.rises_per_s * elapsed_s;
        let Some(follows) = &self.model.follows else { return };
        if let Some(target) = targets.get(&follows.point) {
            let way = follows.per_s * elapsed_s;
            *number += (target - *number).clamp(-way, way);
        }
    }
}

impl Model {
    /// The next deviation, from minus to plus `noise`: splitmix64.
    fn next_noise(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        self.noise * (2.0 * unit - 1.0)
    }
}

#[cfg(test)]
mod tests;
