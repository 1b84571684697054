//! A simulated device: its points move by simple models, and it misbehaves on a schedule.
//!
//! There is no clock and no chance in here: time is an argument, noise comes from the file's seed, so the same file
//! and the same calls give the same answers. Type, range and access are not this device's business, as they are
//! none of a real one's.

use std::collections::BTreeMap;

use flotilla_schemas::{Type, Value};
use serde::Deserialize;

use super::file::Section;
use super::keys::Keys;
use super::misbehaviour::{Behaviour, Misbehaviour};
use crate::host::HostError;

/// What a device answers, and how long that takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// Milliseconds from the request to the answer.
    pub after_ms: u64,
    /// The answer.
    pub result: Result<T, HostError>,
}

/// A device that exists in memory alone.
#[derive(Debug, Clone)]
pub struct Simulated {
    name: String,
    points: BTreeMap<String, Point>,
    misbehaviours: Vec<Misbehaviour>,
}

#[derive(Debug, Clone)]
struct Point {
    ty: Type,
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
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Follows {
    point: String,
    per_s: f64,
}

impl Simulated {
    /// The name of this driver in an equipment file.
    pub const DRIVER: &str = "simulated";

    /// A device as its section describes it: each point's `initial` value; for a number also `follows = { point,
    /// per_s }` (moves towards another point of the device), `rises_per_s`, and `noise` (at most so much off,
    /// either way, by the device's `seed`).
    ///
    /// `[[device.NAME.fault]]` makes it, or one `point` of it, misbehave `after = "8s"` or `after_reads = 12`, `for`
    /// so long (`"5s"`, or `"ever"`, the default): its `behaviour` is `nonsense`, `beyond`, `silent` or `refuse`, it
    /// is `slow` by so much, or it says a fixed `value`.
    ///
    /// None if something is wrong, which the file then says.
    pub fn of(section: &mut Section) -> Option<Self> {
        let seed = section.keys.take("seed").unwrap_or(0);
        let mut faults = Vec::new();
        for mut keys in section.keys.list("fault") {
            faults.extend(Misbehaviour::read(&mut keys));
            section.keys.absorb(keys);
        }
        let count = section.points.len();
        let numbered = (seed..=u64::MAX).zip(&mut section.points);
        let read = |(seed, (name, section)): (u64, (&String, &mut super::PointSection))| {
            let ty = section.point.as_ref().map(|point| point.ty.clone());
            Some((name.clone(), Point::read(&mut section.keys, ty, seed)?))
        };
        let points: BTreeMap<String, Point> = numbered.filter_map(read).collect();
        let device = Self { name: section.name.clone(), points, misbehaviours: faults };
        if device.points.len() == count {
            device.check_names(section);
        }
        Some(device)
    }

    /// A device in the place of one with another driver: its points hold the least of their range until they are
    /// set.
    pub(super) fn standing_in(section: &Section) -> Self {
        let point = |(name, section): (&String, &super::PointSection)| {
            let ty = section.point.as_ref()?.ty.clone();
            let (value, model) = (least(&ty), Model::default());
            Some((name.clone(), Point { ty, value, model, moved_ms: 0 }))
        };
        let points = section.points.iter().filter_map(point).collect();
        Self { name: section.name.clone(), points, misbehaviours: Vec::new() }
    }

    /// Finds what is named but not there, once everything else is right.
    fn check_names(&self, section: &mut Section) {
        for (name, point) in &self.points {
            let is_number =
                |name: &str| self.points.get(name).is_some_and(|point| point.value.as_f64().is_some());
            let target = point.model.follows.as_ref().map(|follows| follows.point.as_str());
            if let Some(target) = target.filter(|target| !is_number(target))
                && let Some(section) = section.points.get_mut(name)
            {
                section.keys.problem::<()>("follows", format!("{} has no number {target}", self.name));
            }
        }
        for (n, fault) in self.misbehaviours.iter().enumerate() {
            if let Some(point) = fault.point.as_ref().filter(|point| !self.points.contains_key(*point)) {
                let what = format!("there is no {}/{point}", self.name);
                section.keys.problem::<()>(&format!("fault[{n}].point"), what);
            }
        }
    }

    /// From now on and for ever the device, or one point of it, behaves so; false if there is no such point.
    pub fn misbehave(&mut self, point: Option<&str>, behaviour: Behaviour) -> bool {
        let known = point.is_none_or(|point| self.points.contains_key(point));
        if known {
            self.misbehaviours.push(Misbehaviour::now(point, behaviour));
        }
        known
    }

    /// It is well from now on, whatever its file says.
    pub fn heal(&mut self) {
        self.misbehaviours.clear();
    }

    /// What a point answers, `now_ms` milliseconds after the device was switched on. A device that misbehaves may
    /// answer a value of any type and size.
    pub fn read(&mut self, point: &str, now_ms: u64) -> Answer<Value> {
        let mut after_ms = 0;
        let result = self.measure(point, now_ms).and_then(|mut answer| {
            let Self { name, points, misbehaviours } = self;
            let ty = points.get(point).map_or(&Type::Bool, |point| &point.ty);
            for fault in misbehaviours.iter_mut().filter(|fault| fault.concerns(point)) {
                fault.count_read();
                if fault.is_on(now_ms) {
                    after_ms += fault.behaviour.delay_ms();
                    fault.behaviour.obey(name, point)?;
                    answer = fault.behaviour.distort(ty, answer);
                }
            }
            Ok(answer)
        });
        Answer { after_ms, result }
    }

    /// Sets a point, `now_ms` milliseconds after the device was switched on. Nothing has changed if it fails.
    pub fn write(&mut self, point: &str, value: &Value, now_ms: u64) -> Answer<()> {
        let mut after_ms = 0;
        let mut obey = || {
            for fault in self.misbehaviours.iter_mut().filter(|fault| fault.concerns(point)) {
                if fault.is_on(now_ms) {
                    after_ms += fault.behaviour.delay_ms();
                    fault.behaviour.obey(&self.name, point)?;
                }
            }
            Ok(())
        };
        let result = obey();
        if result.is_ok() {
            self.settle(now_ms);
            if let Some(point) = self.points.get_mut(point) {
                point.value = value.clone();
            }
        }
        Answer { after_ms, result }
    }

    /// What the point really is now, noise included.
    fn measure(&mut self, name: &str, now_ms: u64) -> Result<Value, HostError> {
        self.settle(now_ms);
        let point = self.points.get_mut(name);
        let point = point.ok_or_else(|| HostError::Unknown(format!("{}/{name}", self.name)))?;
        Ok(match point.value {
            Value::Number(number) => Value::Number(number + point.model.next_noise()),
            ref other => other.clone(),
        })
    }

    /// Moves all points up to now, so that a new setting acts only from now on.
    fn settle(&mut self, now_ms: u64) {
        let points = self.points.iter();
        let targets: BTreeMap<String, f64> =
            points.filter_map(|(name, point)| Some((name.clone(), point.value.as_f64()?))).collect();
        self.points.values_mut().for_each(|point| point.settle(&targets, now_ms));
    }
}

impl Point {
    fn read(keys: &mut Keys, ty: Option<Type>, seed: u64) -> Option<Self> {
        let initial = keys.need::<Value>("initial");
        let model = Model {
            follows: keys.take::<Follows>("follows"),
            rises_per_s: keys.take("rises_per_s").unwrap_or(0.0),
            noise: keys.take("noise").unwrap_or(0.0),
            seed,
        };
        let follows_per_s = model.follows.as_ref().map_or(0.0, |follows| follows.per_s);
        keys.within("follows.per_s", follows_per_s, Some(0.0));
        keys.within("rises_per_s", model.rises_per_s, None);
        keys.within("noise", model.noise, Some(0.0));
        let (ty, mut value) = (ty?, initial?);
        if let Err(error) = ty.check(&value) {
            keys.problem::<()>("initial", error);
        }
        match (&ty, value.as_f64()) {
            (Type::Number { .. }, Some(number)) => value = Value::Number(number),
            _ if model.follows.is_some() || model.rises_per_s != 0.0 || model.noise != 0.0 => {
                keys.problem::<()>("type", "only a number can follow, rise or be noisy");
            }
            _ => {}
        }
        Some(Self { ty, value, model, moved_ms: 0 })
    }

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

/// The least value of a type.
fn least(ty: &Type) -> Value {
    match ty {
        Type::Integer { min, .. } => Value::Integer(*min),
        Type::Number { min, max } => Value::Number(min.or(*max).unwrap_or(0.0)),
        Type::Text { .. } => Value::Text(String::new()),
        Type::Choice { of } => Value::Text(of.first().cloned().unwrap_or_default()),
        _ => Value::Bool(false),
    }
}
