//! The equipment behind the apps: each device behind its driver, within the rules of the equipment file.
//!
//! ```text
//! app ──▶ read ──▶ may it? ──▶ cached? ──▶ request, in a task of its own ──▶ driver ──▶ device
//!         write ─▶ may it? ──▶ core journals ──▶ carry_out ──▶ request ────────┘
//!                                 core ◀── how the device answered
//! ```
//!
//! Each request ends at the device's time-out at the latest, and goes on to its end though the app that asked is
//! gone: how the device answered is known in any case. A fourth driver is a file beside the others and a line in
//! `DRIVERS`.

mod driver;
#[cfg(feature = "modbus")]
mod modbus;
mod mqtt;
mod simulated;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use edge_core::{Health, Input, Outcome};
use flotilla_sandbox::{Device, EquipmentError, EquipmentFile, HostError, Section};
use flotilla_schemas::fault::{Failure, kind};
use flotilla_schemas::{AppId, EdgeId, FleetId, PointId, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::answer::Answer;
use driver::Driver;

/// The most requests to one device that are under way or wait for their turn.
pub const REQUESTS_MAX: usize = 16;

/// Reads what is a driver's own in a device's section; none if something is wrong there.
type Make = fn(&mut Section) -> Option<Box<dyn Driver>>;

/// The drivers of this build, by their names in an equipment file.
const DRIVERS: &[(&str, Make)] = &[
    ("simulated", simulated::read),
    #[cfg(feature = "modbus")]
    ("modbus", modbus::read),
    ("mqtt", mqtt::read),
];

/// The devices of an equipment file, not in use yet.
pub struct Devices(Vec<Driven>);

/// The devices that the apps of one edge use.
pub struct Equipment {
    devices: BTreeMap<String, Arc<Driven>>,
    writes: Mutex<Writes>,
    inputs: mpsc::Sender<Input>,
}

/// A device and what drives it.
struct Driven {
    name: String,
    device: Device,
    driver: Box<dyn Driver>,
    turns: Semaphore,
    /// What the points answered last, and when.
    cache: Mutex<BTreeMap<String, (Value, Instant)>>,
}

/// Points that are to be set once that is journaled.
#[derive(Default)]
struct Writes {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    driven: Arc<Driven>,
    point: PointId,
    value: Value,
    app: oneshot::Sender<Result<(), HostError>>,
}

impl Devices {
    /// Reads the content of an equipment file; `name` is the file's, for messages.
    ///
    /// # Errors
    /// All that is wrong in it.
    pub fn parse(name: &str, text: &str) -> Result<Self, EquipmentError> {
        let mut file = EquipmentFile::parse(name, text);
        let mut drivers = BTreeMap::new();
        for section in file.sections() {
            let driver = find(section).and_then(|make| make(section));
            drivers.extend(driver.map(|driver| (section.name.clone(), driver)));
        }
        let joined = file.finish()?.into_iter().filter_map(|(name, device)| {
            let (driver, turns) = (drivers.remove(&name)?, Semaphore::new(REQUESTS_MAX));
            Some(Driven { name, device, driver, turns, cache: Mutex::default() })
        });
        Ok(Self(joined.collect()))
    }
}

/// What makes the driver that a section names.
fn find(section: &mut Section) -> Option<Make> {
    let found = DRIVERS.iter().find(|(name, _)| *name == section.driver).map(|(_, make)| *make);
    if found.is_none() {
        section.leave();
        if !section.driver.is_empty() {
            let names: Vec<&str> = DRIVERS.iter().map(|(name, _)| *name).collect();
            let what = format!("{:?} is no driver of this edge: it has {}", section.driver, names.join(", "));
            section.keys.problem::<()>("driver", what);
        }
    }
    found
}

impl Equipment {
    /// Takes the devices into use, on the current tokio runtime. How they answer is told the core by `inputs`.
    pub fn start(devices: Devices, fleet: &FleetId, edge: &EdgeId, inputs: mpsc::Sender<Input>) -> Self {
        devices.0.iter().for_each(|driven| driven.driver.start(fleet, edge));
        let devices = devices.0.into_iter().map(|driven| (driven.name.clone(), Arc::new(driven)));
        Self { devices: devices.collect(), writes: Mutex::default(), inputs }
    }

    fn find(&self, device: &str, point: &str) -> Result<(&Arc<Driven>, &flotilla_sandbox::Point), HostError> {
        let unknown = || HostError::Unknown(format!("{device}/{point}"));
        let driven = self.devices.get(device).ok_or_else(unknown)?;
        Ok((driven, driven.device.points.get(point).ok_or_else(unknown)?))
    }

    /// What a point answers an app, or has answered as lately as its file allows.
    ///
    /// # Errors
    /// The app may not, or the device did not answer well; then the core is told.
    pub async fn read(&self, app: &AppId, device: &str, point: &str) -> Result<Value, HostError> {
        let (driven, known) = self.find(device, point)?;
        known.may(app, device, point, false)?;
        if let Some(value) = driven.cached(point, known.max_age_ms) {
            return Ok(value);
        }
        let (driven, point, app) = (driven.clone(), point.to_owned(), app.clone());
        let inputs = self.inputs.clone();
        let request = async move {
            let result = driven.read(&point).await;
            if let Some(failure) = result.as_ref().err().and_then(failure) {
                let point = PointId::new(&driven.name, point);
                // Without a driver loop there is nobody to be told.
                let _ = inputs.send(Input::Ill { app, point, failure }).await;
            }
            result
        };
        tokio::spawn(request).await.unwrap_or_else(|error| Err(broken(&error)))
    }

    /// Sets a point for an app, once the core has journaled that it is to be.
    ///
    /// # Errors
    /// The app may not, the point does not take the value, or the device did not confirm it.
    pub async fn write(&self, app: &AppId, device: &str, point: &str, value: Value) -> Result<(), HostError> {
        let (driven, known) = self.find(device, point)?;
        known.may(app, device, point, true)?;
        let value = known.check(device, point, value)?;
        let (sender, answer) = oneshot::channel();
        let point = PointId::new(device, point);
        let waiting =
            Waiting { driven: driven.clone(), point: point.clone(), value: value.clone(), app: sender };
        let write = self.writes().put(waiting);
        let input = Input::Write { write, app: app.clone(), point, value };
        let ended = || HostError::Limit("the edge is ending".to_owned());
        self.inputs.send(input).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Sets the point that is journaled now; the answer is also the app's.
    pub fn carry_out(&self, answer: Answer, write: u64) {
        let Some(Waiting { driven, point, value, app }) = self.writes().waiting.remove(&write) else {
            return;
        };
        tokio::spawn(async move {
            let result = if app.is_closed() {
                Err(HostError::Limit("the app waited no longer: the device was not asked".to_owned()))
            } else {
                driven.write(&point.point, &value).await
            };
            let failed = |error: &HostError| {
                let other = || Failure::new(kind::WRITE, error.to_string());
                Outcome::Failed(failure(error).unwrap_or_else(other))
            };
            answer.give(result.as_ref().map_or_else(failed, |_| Outcome::Done)).await;
            let _ = app.send(result);
        });
    }

    /// Reads a point whose device did not answer well.
    pub fn probe(&self, answer: Answer, point: PointId) {
        let driven = self.find(&point.device, &point.point).map(|(driven, _)| driven.clone());
        tokio::spawn(async move {
            let health = match driven {
                Err(_) => Health::Gone,
                Ok(driven) => match driven.read(&point.point).await {
                    Ok(_) => Health::Well,
                    Err(error) => failure(&error).map_or(Health::Well, Health::Ill),
                },
            };
            answer.give(Outcome::Health(health)).await;
        });
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writes {
    fn put(&mut self, waiting: Waiting) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, waiting);
        self.last
    }
}

impl Driven {
    fn cached(&self, point: &str, max_age_ms: u64) -> Option<Value> {
        let (value, since) = self.cache().get(point)?.clone();
        (since.elapsed() < Duration::from_millis(max_age_ms)).then_some(value)
    }

    fn cache(&self) -> MutexGuard<'_, BTreeMap<String, (Value, Instant)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, point: &str) -> Result<Value, HostError> {
        let Some(known) = self.device.points.get(point) else {
            return Err(HostError::Unknown(format!("{}/{point}", self.name)));
        };
        let answer = self.within(point, self.driver.read(point)).await;
        let result = answer.and_then(|value| known.admit(&self.name, point, value));
        if let (Ok(value), 1..) = (&result, known.max_age_ms) {
            self.cache().insert(point.to_owned(), (value.clone(), Instant::now()));
        }
        result
    }

    async fn write(&self, point: &str, value: &Value) -> Result<(), HostError> {
        let result = self.within(point, self.driver.write(point, value)).await;
        self.cache().remove(point);
        result
    }

    /// A request that waits its turn, and for the device, no longer than its time-out.
    async fn within<T>(
        &self,
        point: &str,
        request: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let Ok(_turn) = self.turns.try_acquire() else {
            let text = format!("{}/{point}: {REQUESTS_MAX} requests wait for the device already", self.name);
            return Err(HostError::Slow(text));
        };
        let limit = Duration::from_millis(self.device.timeout_ms);
        timeout(limit, request).await.unwrap_or_else(|_| Err(self.device.late(&self.name, point)))
    }
}

/// What the core is told of an error that is the equipment's.
fn failure(error: &HostError) -> Option<Failure> {
    Some(Failure::new(error.kind()?, error.to_string()))
}

/// A driver that panicked: the device cannot be reached by it.
fn broken(error: &tokio::task::JoinError) -> HostError {
    HostError::Unreachable(format!("the device's driver broke: {error}"))
}
