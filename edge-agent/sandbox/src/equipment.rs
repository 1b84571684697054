//! Equipment: devices with points, as a file describes them, and what an app may be told by one.
//!
//! ```text
//! equipment.toml ──▶ EquipmentFile ──▶ Device, Point         what all devices have in common
//!                         └──▶ a driver takes its own keys ──▶ Simulated, or one of the edge's that do I/O
//! ```
//!
//! The rules between an app and a device stand here once, for an edge with real devices and for a [`Simulator`]:
//! which app may read or set a point, which values it takes, and which answers are believed.

mod file;
mod keys;
mod misbehaviour;
mod simulated;
mod simulator;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::{AppId, Type, Value};

pub use file::{
    EquipmentError, EquipmentFile, FILE_BYTES_MAX, MAX_AGE_MS_MAX, PointSection, Section, TIMEOUT_MS,
    TIMEOUT_MS_MAX,
};
pub use keys::{ENTRIES_MAX, Keys};
pub use misbehaviour::Behaviour;
pub use simulated::{Answer, Simulated};
pub use simulator::Simulator;

use crate::host::HostError;

/// What all devices have in common, whatever drives them.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// How long a request may take, in milliseconds; then the device counts as slow.
    pub timeout_ms: u64,
    /// Its points by their names.
    pub points: BTreeMap<String, Point>,
}

/// What a point is.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// What it holds while the device is well.
    pub ty: Type,
    /// The unit of it, for people.
    pub unit: Option<String>,
    /// What may be done with it.
    pub access: Access,
    /// How long an answer stands for the device, in milliseconds; 0 means that each read asks it.
    pub max_age_ms: u64,
    /// The apps that may read it on this edge, if their manifest is granted it; none means all.
    pub readers: Option<BTreeSet<AppId>>,
    /// The apps that may set it on this edge, if their manifest is granted it; none means all.
    pub writers: Option<BTreeSet<AppId>>,
}

/// What may be done with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It can be read, `r`.
    Read,
    /// It can be read and set, `rw`.
    ReadWrite,
}

impl Device {
    /// What an app is told when a request took too long.
    pub fn late(&self, device: &str, point: &str) -> HostError {
        HostError::Slow(format!("{device}/{point} did not answer within {} ms", self.timeout_ms))
    }
}

impl Point {
    /// What an app is told of a device's answer: nothing that the file rules out. Whole numbers are numbers, where
    /// the point holds those.
    ///
    /// # Errors
    /// The answer is of another type, or beyond the range.
    pub fn admit(&self, device: &str, point: &str, answer: Value) -> Result<Value, HostError> {
        let value = self.typed(answer);
        let wrong = |error| HostError::Range(format!("{device}/{point} answers {error}"));
        self.ty.check(&value).map_err(wrong)?;
        Ok(value)
    }

    /// The value as the point takes it.
    ///
    /// # Errors
    /// The point cannot be set, or not to this: the device is not to be asked.
    pub fn check(&self, device: &str, point: &str, value: Value) -> Result<Value, HostError> {
        if self.access == Access::Read {
            return Err(HostError::Invalid(format!("{device}/{point} cannot be set")));
        }
        let value = self.typed(value);
        let wrong = |error| HostError::Invalid(format!("{device}/{point}: {error}"));
        self.ty.check(&value).map_err(wrong)?;
        Ok(value)
    }

    /// Whether this edge lets the app read it, or set it.
    ///
    /// # Errors
    /// Only other apps may.
    pub fn may(&self, app: &AppId, device: &str, point: &str, set: bool) -> Result<(), HostError> {
        let (apps, what) = if set { (&self.writers, "setting") } else { (&self.readers, "reading") };
        if apps.as_ref().is_none_or(|apps| apps.contains(app)) {
            return Ok(());
        }
        Err(HostError::Refused(format!("{what} {device}/{point} on this edge")))
    }

    fn typed(&self, value: Value) -> Value {
        match (&self.ty, value.as_f64()) {
            (Type::Number { .. }, Some(number)) => Value::Number(number),
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests;
