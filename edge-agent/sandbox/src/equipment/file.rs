//! The file that says what equipment there is: read in whole, and every wrong key named at once.
//!
//! This reads what all devices have in common. What is a driver's own it takes from its device's [`Section`]; what
//! nobody takes is unknown.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::AppId;
use toml::Table;

use super::keys::Keys;
use super::{Access, Device, Point};

/// How long a request may take where the file says nothing, in milliseconds: half of an app's usual deadline.
pub const TIMEOUT_MS: u64 = 500;

/// The longest that a request may take, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 60_000;

/// The longest that an answer may stand for the device, in milliseconds: a day.
pub const MAX_AGE_MS_MAX: u64 = 86_400_000;

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// What is the matter with a file of equipment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {file}: {}", .problems.join("; "))]
pub struct EquipmentError {
    /// The file.
    pub file: String,
    /// Each wrong key with the tables around it and what is wrong with it, in the order of their names.
    pub problems: Vec<String>,
}

/// A file that is being read.
#[derive(Debug)]
pub struct EquipmentFile {
    name: String,
    problems: Vec<String>,
    sections: Vec<Section>,
}

/// What a file says of one device; its driver takes from `keys` and from those of the points what is its own.
#[derive(Debug)]
pub struct Section {
    /// The device.
    pub name: String,
    /// The driver that is to drive it.
    pub driver: String,
    /// How long a request may take, in milliseconds.
    pub timeout_ms: u64,
    /// The driver's own keys.
    pub keys: Keys,
    /// The points by their names.
    pub points: BTreeMap<String, PointSection>,
}

/// What a file says of one point.
#[derive(Debug)]
pub struct PointSection {
    /// What all points have in common; none if that is wrong.
    pub point: Option<Point>,
    /// The driver's own keys.
    pub keys: Keys,
}

impl EquipmentFile {
    /// Reads the content of `equipment.toml`; `name` is the file's, for messages.
    ///
    /// `[device.NAME]` names its `driver` and the `timeout` of a request. `[device.NAME.point.POINT]` describes a
    /// point: `type` (`bool`, `integer`, `number`, `text`, or `choice` with `of = […]`), `min`, `max`, `unit`,
    /// `access` (`r`, the default, or `rw`), and for how long an answer holds: `max_age` (no time by default).
    /// `readers` and `writers`, at the point or for all points at the device, list the apps that may read or set it
    /// on this edge, among those whose manifest is granted it; without them all of those may.
    ///
    /// What is wrong is said by [`EquipmentFile::finish`].
    pub fn parse(name: &str, text: &str) -> Self {
        let mut file = Self { name: name.to_owned(), problems: Vec::new(), sections: Vec::new() };
        if text.len() > FILE_BYTES_MAX {
            file.problems.push(format!("{} bytes, {FILE_BYTES_MAX} are the most", text.len()));
            return file;
        }
        match text.parse::<Table>() {
            Ok(root) => {
                let mut root = Keys::new(String::new(), root);
                let devices = root.named("device");
                file.sections = devices.into_iter().map(|(name, keys)| Section::read(name, keys)).collect();
                file.problems.extend(root.finish());
            }
            Err(error) => file.problems.push(located(text, &error)),
        }
        file
    }

    /// The devices, for their drivers to take what is theirs, in the order of their names.
    pub fn sections(&mut self) -> impl Iterator<Item = &mut Section> {
        self.sections.iter_mut()
    }

    /// The devices by their names.
    ///
    /// # Errors
    /// All that is unknown, missing or of the wrong type.
    pub fn finish(mut self) -> Result<BTreeMap<String, Device>, EquipmentError> {
        let mut devices = BTreeMap::new();
        for Section { name, timeout_ms, keys, points, .. } in self.sections {
            self.problems.extend(keys.finish());
            let mut known = BTreeMap::new();
            for (name, PointSection { point, keys }) in points {
                self.problems.extend(keys.finish());
                known.extend(point.map(|point| (name, point)));
            }
            devices.insert(name, Device { timeout_ms, points: known });
        }
        if self.problems.is_empty() {
            Ok(devices)
        } else {
            Err(EquipmentError { file: self.name, problems: self.problems })
        }
    }
}

impl Section {
    fn read(name: String, mut keys: Keys) -> Self {
        let driver = keys.need("driver").unwrap_or_default();
        let timeout_ms = keys.span("timeout", TIMEOUT_MS, TIMEOUT_MS_MAX);
        let (readers, writers) = (keys.take("readers"), keys.take("writers"));
        let points = keys.named("point").into_iter();
        let points = points.map(|(name, keys)| (name, PointSection::read(keys, &readers, &writers)));
        Self { name, driver, timeout_ms, points: points.collect(), keys }
    }

    /// Takes all keys that are a driver's own, unread.
    pub fn leave(&mut self) {
        self.keys.leave();
        self.points.values_mut().for_each(|point| point.keys.leave());
    }
}

impl PointSection {
    fn read(mut keys: Keys, readers: &Apps, writers: &Apps) -> Self {
        let ty = keys.ty();
        let unit = keys.take("unit");
        let access = [("r", Access::Read), ("rw", Access::ReadWrite)];
        let access = keys.one_of("access", &access).unwrap_or(Access::Read);
        let max_age_ms = keys.span("max_age", 0, MAX_AGE_MS_MAX);
        let mut apps = |key, device: &Apps| keys.take(key).or_else(|| device.clone());
        let (readers, writers) = (apps("readers", readers), apps("writers", writers));
        let point = ty.map(|ty| Point { ty, unit, access, max_age_ms, readers, writers });
        Self { point, keys }
    }
}

/// The apps that may; none means all.
pub(super) type Apps = Option<BTreeSet<AppId>>;

/// A syntax error with the line and column in front.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}: {}", error.message())
}
