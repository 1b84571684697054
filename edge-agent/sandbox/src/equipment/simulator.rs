//! A whole equipment file, simulated: what an app would be told by an edge with this file, without any device.

use std::collections::BTreeMap;

use flotilla_schemas::{AppId, Value};

use super::file::{EquipmentError, EquipmentFile};
use super::misbehaviour::Behaviour;
use super::simulated::{Answer, Simulated};
use super::{Device, Point};
use crate::host::HostError;

/// The simulated devices of one edge.
///
/// ```
/// use flotilla_sandbox::Simulator;
/// use flotilla_schemas::{AppId, Value};
/// let app = AppId::new("thermostat")?;
/// let mut simulator = Simulator::parse("equipment.toml", r#"
///     [device.aircon]
///     driver = "simulated"
///
///     [device.aircon.point.setpoint]
///     type = "number"
///     min = 16
///     max = 30
///     unit = "°C"
///     access = "rw"
///     initial = 24
///
///     [device.aircon.point.room]
///     type = "number"
///     unit = "°C"
///     initial = 28
///     follows = { point = "setpoint", per_s = 0.5 }
///
///     [[device.aircon.fault]]
///     point = "room"
///     after = "20s"
///     behaviour = "silent"
/// "#)?;
/// assert_eq!(simulator.read(&app, "aircon", "room", 0).result, Ok(Value::Number(28.0)));
/// assert_eq!(simulator.read(&app, "aircon", "room", 2_000).result, Ok(Value::Number(27.0)));
/// assert!(simulator.write(&app, "aircon", "setpoint", &Value::Number(99.0), 2_000).result.is_err());
/// assert_eq!(simulator.read(&app, "aircon", "room", 20_000).result.unwrap_err().code(), "unreachable");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Simulator {
    devices: BTreeMap<String, (Device, Simulated)>,
}

impl Simulator {
    /// Reads the content of an equipment file, as [`EquipmentFile::parse`] and [`Simulated::of`] say. Devices with
    /// another driver are stood in for: their points hold the least of their range until they are set, and what
    /// only their driver knows of them is not looked at.
    ///
    /// # Errors
    /// All that is unknown, missing or of the wrong type.
    pub fn parse(name: &str, text: &str) -> Result<Self, EquipmentError> {
        let mut file = EquipmentFile::parse(name, text);
        let mut simulated = BTreeMap::new();
        for section in file.sections() {
            let device = if section.driver == Simulated::DRIVER {
                Simulated::of(section)
            } else {
                section.leave();
                Some(Simulated::standing_in(section))
            };
            simulated.extend(device.map(|device| (section.name.clone(), device)));
        }
        let devices = file.finish()?.into_iter();
        let joined = devices.filter_map(|(name, device)| {
            let simulated = simulated.remove(&name)?;
            Some((name, (device, simulated)))
        });
        Ok(Self { devices: joined.collect() })
    }

    /// What there is: device, point, and what the point is, in the order of their names.
    pub fn points(&self) -> impl Iterator<Item = (&str, &str, &Point)> {
        self.devices.iter().flat_map(|(device, (known, _))| {
            known.points.iter().map(move |(name, point)| (device.as_str(), name.as_str(), point))
        })
    }

    /// What an app is told that reads a point, `now_ms` milliseconds after the equipment was switched on.
    pub fn read(&mut self, app: &AppId, device: &str, point: &str, now_ms: u64) -> Answer<Value> {
        let found = match self.find(app, device, point, false) {
            Ok(found) => found,
            Err(error) => return Answer { after_ms: 0, result: Err(error) },
        };
        let (known, info, simulated) = found;
        let answer = simulated.read(point, now_ms).within(known, device, point);
        let result = answer.result.and_then(|value| info.admit(device, point, value));
        Answer { result, ..answer }
    }

    /// What an app is told that sets a point, `now_ms` milliseconds after the equipment was switched on.
    pub fn write(
        &mut self,
        app: &AppId,
        device: &str,
        point: &str,
        value: &Value,
        now_ms: u64,
    ) -> Answer<()> {
        let checked = self.find(app, device, point, true).and_then(|(known, info, simulated)| {
            Ok((known, info.check(device, point, value.clone())?, simulated))
        });
        match checked {
            Ok((known, value, simulated)) => {
                simulated.write(point, &value, now_ms).within(known, device, point)
            }
            Err(error) => Answer { after_ms: 0, result: Err(error) },
        }
    }

    /// A point that the app may read, or set.
    fn find(
        &mut self,
        app: &AppId,
        device: &str,
        point: &str,
        set: bool,
    ) -> Result<(&Device, &Point, &mut Simulated), HostError> {
        let unknown = || HostError::Unknown(format!("{device}/{point}"));
        let (known, simulated) = self.devices.get_mut(device).ok_or_else(unknown)?;
        let info = known.points.get(point).ok_or_else(unknown)?;
        info.may(app, device, point, set)?;
        Ok((known, info, simulated))
    }

    /// Every device is well, whatever its file says.
    pub fn heal(&mut self) {
        self.devices.values_mut().for_each(|(_, simulated)| simulated.heal());
    }

    /// From now on and for ever a device, or one point of it, behaves so; false if there is no such device or point.
    pub fn misbehave(&mut self, device: &str, point: Option<&str>, behaviour: Behaviour) -> bool {
        self.devices.get_mut(device).is_some_and(|(_, simulated)| simulated.misbehave(point, behaviour))
    }
}

impl<T> Answer<T> {
    /// The answer, or at the device's time-out that there is none.
    fn within(self, device: &Device, name: &str, point: &str) -> Self {
        if self.after_ms < device.timeout_ms {
            return self;
        }
        Self { after_ms: device.timeout_ms, result: Err(device.late(name, point)) }
    }
}
