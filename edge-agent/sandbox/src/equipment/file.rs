//! The file that says what equipment there is: read in whole, and every wrong key named at once.

use std::collections::BTreeMap;

use flotilla_schemas::{Type, Value};
use serde::de::DeserializeOwned;
use toml::Table;

use super::fault::{After, Behaviour, Fault};
use super::{Access, Equipment, Follows, Model, Point, PointInfo};

/// The most devices of one edge, points of one device and faults of all.
const ENTRIES_MAX: usize = 256;

/// What is the matter with a file of equipment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {file}: {}", .problems.join("; "))]
pub struct EquipmentError {
    /// The file.
    pub file: String,
    /// Each wrong key with the tables around it and what is wrong with it, in the order of their names.
    pub problems: Vec<String>,
}

impl Equipment {
    /// Reads the content of `equipment.toml`; `file` is its name, for messages.
    ///
    /// `[device.NAME.POINT]` describes a point: `type` (`bool`, `integer`, `number`, `text`, or `choice` with
    /// `of = […]`), `min`, `max`, `unit`, `access` (`r`, the default, or `rw`), `initial`; a number may also have
    /// `follows = { point, per_s }` (moves towards another point of the device), `rises_per_s` and `noise` (at most
    /// so much off, either way, by the file's `seed`).
    ///
    /// `[[fault]]` makes a `device`, or one `point` of it, misbehave `after = "8s"` or `after_reads = 12`, `for`
    /// so long (`"5s"`, or `"ever"`, the default): its `behaviour` is `nonsense`, `silent` or `refuse`, or it says
    /// a fixed `value`.
    ///
    /// # Errors
    /// All that is unknown, missing or of the wrong type.
    pub fn parse(file: &str, text: &str) -> Result<Self, EquipmentError> {
        let mut problems = Vec::new();
        let equipment = match text.parse() {
            Ok(root) => Self::read_keys(root, &mut problems),
            Err(error) => {
                problems.push(located(text, &error));
                Self { devices: BTreeMap::new(), faults: Vec::new() }
            }
        };
        if problems.is_empty() {
            equipment.check_names(&mut problems);
        }
        if problems.is_empty() {
            Ok(equipment)
        } else {
            Err(EquipmentError { file: file.to_owned(), problems })
        }
    }

    fn read_keys(root: Table, problems: &mut Vec<String>) -> Self {
        let mut keys = Keys::new(String::new(), root, problems);
        let seed = keys.take("seed").unwrap_or(0);
        let tables: BTreeMap<String, BTreeMap<String, Table>> = keys.take("device").unwrap_or_default();
        let fault_tables: Vec<Table> = keys.take("fault").unwrap_or_default();
        keys.finish();
        check_count("device", tables.len(), problems);
        check_count("fault", fault_tables.len(), problems);
        let mut devices = BTreeMap::new();
        for (device, tables) in tables {
            let points = points(&device, tables, seed, problems);
            devices.insert(device, points);
        }
        let numbered = fault_tables.into_iter().enumerate();
        let faults =
            numbered.filter_map(|(n, table)| fault(Keys::new(format!("fault[{n}]."), table, problems)));
        Self { faults: faults.collect(), devices }
    }

    /// Finds what is named but not there, once everything else is right.
    fn check_names(&self, problems: &mut Vec<String>) {
        for (device, points) in &self.devices {
            for (name, point) in points {
                let is_number =
                    |name: &str| points.get(name).is_some_and(|point| point.value.as_f64().is_some());
                let target = point.model.follows.as_ref().map(|follows| follows.point.as_str());
                if let Some(target) = target.filter(|target| !is_number(target)) {
                    problems.push(format!("device.{device}.{name}.follows: {device} has no number {target}"));
                }
            }
        }
        for (n, fault) in self.faults.iter().enumerate() {
            let points = self.devices.get(&fault.device);
            let known =
                points.is_some_and(|points| fault.point.as_ref().is_none_or(|p| points.contains_key(p)));
            if !known {
                let point = fault.point.as_ref().map(|point| format!("/{point}")).unwrap_or_default();
                problems.push(format!("fault[{n}]: there is no {}{point}", fault.device));
            }
        }
    }
}

fn check_count(path: &str, count: usize, problems: &mut Vec<String>) {
    if count > ENTRIES_MAX {
        problems.push(format!("{path}: {count} entries, {ENTRIES_MAX} are the most"));
    }
}

fn points(
    device: &str,
    tables: BTreeMap<String, Table>,
    seed: u64,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Point> {
    check_count(&format!("device.{device}"), tables.len(), problems);
    let numbered = (seed..).zip(tables);
    let read = |(seed, (name, table)): (u64, (String, Table))| {
        let keys = Keys::new(format!("device.{device}.{name}."), table, problems);
        Some((name, point(keys, seed)?))
    };
    numbered.filter_map(read).collect()
}

fn point(mut keys: Keys<'_>, seed: u64) -> Option<Point> {
    let ty = keys.ty();
    let initial = keys.need::<Value>("initial");
    let unit = keys.take("unit");
    let access =
        keys.one_of("access", &[("r", Access::Read), ("rw", Access::ReadWrite)]).unwrap_or(Access::Read);
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
    keys.finish();
    Some(Point { info: PointInfo { ty, unit, access }, value, model, moved_ms: 0 })
}

fn fault(mut keys: Keys<'_>) -> Option<Fault> {
    let (device, point) = (keys.need("device"), keys.take("point"));
    let after_ms = keys.duration("after");
    let after = match (after_ms, keys.take("after_reads")) {
        (Some(_), Some(_)) => keys.problem("after_reads", "stands beside after: one of them says when"),
        (Some(ms), None) => Some(After::Time(ms)),
        (None, Some(reads)) => Some(After::Reads(reads)),
        (None, None) => Some(After::Time(0)),
    };
    let for_ms = keys.duration("for");
    let behaviour = match (keys.take("behaviour"), keys.take("value")) {
        (Some(_), Some(_)) => keys.problem("value", "stands beside behaviour: one of them says how"),
        (None, None) => keys.problem("behaviour", "is missing: nonsense, silent or refuse, or a value"),
        (behaviour, value) => behaviour.or(value.map(Behaviour::Says)),
    };
    keys.finish();
    Some(Fault {
        device: device?,
        point,
        after: after?,
        for_ms,
        behaviour: behaviour?,
        reads: 0,
        began_ms: None,
    })
}

/// The keys of one table, taken one by one; what is left over is unknown.
struct Keys<'a> {
    path: String,
    table: Table,
    problems: &'a mut Vec<String>,
}

impl<'a> Keys<'a> {
    fn new(path: String, table: Table, problems: &'a mut Vec<String>) -> Self {
        Self { path, table, problems }
    }

    fn problem<T>(&mut self, key: &str, what: impl std::fmt::Display) -> Option<T> {
        self.problems.push(format!("{}{key}: {what}", self.path));
        None
    }

    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        match self.table.remove(key)?.try_into() {
            Ok(value) => Some(value),
            Err(error) => self.problem(key, error.message()),
        }
    }

    fn need<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        if self.table.contains_key(key) { self.take(key) } else { self.problem(key, "is missing") }
    }

    fn one_of<T: Copy>(&mut self, key: &str, known: &[(&str, T)]) -> Option<T> {
        let name: String = self.take(key)?;
        let found = known.iter().find(|(known, _)| *known == name);
        let names = || known.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(" or ");
        found.map(|(_, value)| *value).or_else(|| self.problem(key, format!("{name:?} is not {}", names())))
    }

    fn within(&mut self, key: &str, number: f64, min: Option<f64>) {
        let ty = Type::Number { min, max: None };
        if ty.check(&Value::Number(number)).is_err() {
            self.problem::<()>(key, format!("{number} is not {ty}"));
        }
    }

    /// A length of time in milliseconds; `ever` and an absent key are none.
    fn duration(&mut self, key: &str) -> Option<u64> {
        let text: String = self.take(key).filter(|text| text != "ever")?;
        match humantime::parse_duration(&text).map(|time| u64::try_from(time.as_millis())) {
            Ok(Ok(ms)) => Some(ms),
            _ => self.problem(key, format!("{text:?} is not a length of time such as 8s or 500ms")),
        }
    }

    /// The type of a point, from the keys that describe one.
    fn ty(&mut self) -> Option<Type> {
        let mut table = Table::new();
        for key in ["type", "min", "max", "of"] {
            table.extend(self.table.remove(key).map(|value| (key.to_owned(), value)));
        }
        match toml::Value::Table(table).try_into() {
            Ok(
                ty @ (Type::Bool
                | Type::Integer { .. }
                | Type::Number { .. }
                | Type::Text { .. }
                | Type::Choice { .. }),
            ) => Some(ty),
            Ok(other) => self.problem("type", format!("a point cannot hold {other}")),
            Err(error) => self.problem("type", error.message()),
        }
    }

    fn finish(self) {
        self.problems
            .extend(self.table.keys().map(|key| format!("{}{key}: there is no such key", self.path)));
    }
}

/// A syntax error with the line and column in front.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}: {}", error.message())
}
