//! The keys of one table, taken one by one; what is wrong is noted, what is left over is unknown.

use flotilla_schemas::{Type, Value};
use serde::de::DeserializeOwned;
use toml::Table;

/// The keys of one table of an equipment file. Each is taken once; a key that is wrong becomes a problem and none.
#[derive(Debug)]
pub struct Keys {
    /// The tables around it, each followed by a dot.
    path: String,
    table: Table,
    problems: Vec<String>,
}

impl Keys {
    pub(super) fn new(path: String, table: Table) -> Self {
        Self { path, table, problems: Vec::new() }
    }

    /// Notes what is the matter with a key.
    pub fn problem<T>(&mut self, key: &str, what: impl std::fmt::Display) -> Option<T> {
        self.problems.push(format!("{}{key}: {what}", self.path));
        None
    }

    /// A key that may be absent.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        match self.table.remove(key)?.try_into() {
            Ok(value) => Some(value),
            Err(error) => self.problem(key, error.message()),
        }
    }

    /// A key that must be there.
    pub fn need<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        if self.has(key) { self.take(key) } else { self.problem(key, "is missing") }
    }

    /// Whether the key is there and was not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A key that may be absent and names one of these.
    pub fn one_of<T: Copy>(&mut self, key: &str, known: &[(&str, T)]) -> Option<T> {
        let name: String = self.take(key)?;
        let found = known.iter().find(|(known, _)| *known == name);
        let names = || known.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(" or ");
        found.map(|(_, value)| *value).or_else(|| self.problem(key, format!("{name:?} is not {}", names())))
    }

    /// Notes a number that is not finite, or less than the least.
    pub fn within(&mut self, key: &str, number: f64, min: Option<f64>) {
        let ty = Type::Number { min, max: None };
        if ty.check(&Value::Number(number)).is_err() {
            self.problem::<()>(key, format!("{number} is not {ty}"));
        }
    }

    /// A length of time in milliseconds, from one to the most; the other if the key is absent.
    pub fn span(&mut self, key: &str, absent_ms: u64, most_ms: u64) -> u64 {
        match self.duration(key) {
            Some(ms) if !(1..=most_ms).contains(&ms) => {
                self.problem::<()>(key, format!("{ms} ms is not from 1 to {most_ms} ms"));
                absent_ms
            }
            ms => ms.unwrap_or(absent_ms),
        }
    }

    /// A length of time in milliseconds; `ever` and an absent key are none.
    pub fn duration(&mut self, key: &str) -> Option<u64> {
        let text: String = self.take(key).filter(|text| text != "ever")?;
        match humantime::parse_duration(&text).map(|time| u64::try_from(time.as_millis())) {
            Ok(Ok(ms)) => Some(ms),
            _ => self.problem(key, format!("{text:?} is not a length of time such as 8s or 500ms")),
        }
    }

    /// The type of a point, from the keys that describe one.
    pub(super) fn ty(&mut self) -> Option<Type> {
        let mut table = Table::new();
        for key in ["type", "min", "max", "of"] {
            table.extend(self.table.remove(key).map(|value| (key.to_owned(), value)));
        }
        let ty: Type = match toml::Value::Table(table).try_into() {
            Ok(ty) => ty,
            Err(error) => return self.problem("type", error.message()),
        };
        match ty {
            Type::List { .. } | Type::Record { .. } | Type::Option { .. } => {
                self.problem("type", format!("a point cannot hold {ty}"))
            }
            ty => Some(ty),
        }
    }

    /// The tables of a list, each with its keys.
    pub fn list(&mut self, key: &str) -> Vec<Keys> {
        let tables: Vec<Table> = self.take(key).unwrap_or_default();
        self.count(key, tables.len());
        let path = |n| format!("{}{key}[{n}].", self.path);
        tables.into_iter().enumerate().map(|(n, table)| Keys::new(path(n), table)).collect()
    }

    /// The tables below a key by their names, each with its keys.
    pub(super) fn named(&mut self, key: &str) -> Vec<(String, Keys)> {
        let tables: toml::map::Map<String, toml::Value> = self.take(key).unwrap_or_default();
        self.count(key, tables.len());
        let mut named = Vec::new();
        for (name, table) in tables {
            let path = format!("{key}.{name}");
            match table {
                toml::Value::Table(table) if is_name(&name) => {
                    named.push((name, Keys::new(format!("{}{path}.", self.path), table)));
                }
                toml::Value::Table(_) => {
                    let shortened = Value::from(name.as_str()).shortened();
                    let what = format!("{shortened} is no name: 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _");
                    self.problem::<()>(key, what);
                }
                _ => _ = self.problem::<()>(&path, "is not a table"),
            }
        }
        named
    }

    fn count(&mut self, key: &str, count: usize) {
        if count > ENTRIES_MAX {
            self.problem::<()>(key, format!("{count} entries, {ENTRIES_MAX} are the most"));
        }
    }

    /// What was wrong, and what is left over.
    pub(super) fn finish(self) -> impl Iterator<Item = String> {
        let Self { path, table, problems } = self;
        let unknown = table.into_iter().map(move |(key, _)| format!("{path}{key}: there is no such key"));
        problems.into_iter().chain(unknown)
    }

    /// Takes what is left over, unread.
    pub(super) fn leave(&mut self) {
        self.table.clear();
    }

    /// What was wrong with these keys, as if it stood in the table around them.
    pub fn absorb(&mut self, inner: Keys) {
        self.problems.extend(inner.finish());
    }
}

/// The most devices of one edge, points of one device and misbehaviours of one device.
pub const ENTRIES_MAX: usize = 256;

/// The longest name of a device or a point, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal)
}
