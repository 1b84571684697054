//! JSON with nothing said twice, and with places for what is wrong.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::diagnostic::{Position, Problem, fail};

/// Reads a value; refuses keys that occur twice in one object, wherever it is.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let read = serde_json::from_str(text).and_then(|Distinct| serde_json::from_str(text));
    read.or_else(|error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        fail(position(text, error.line(), error.column()), message.strip_suffix(&place).unwrap_or(&message))
    })
}

/// Where this key first stands in a text that is JSON; the beginning, if it is written with escapes.
pub(crate) fn place(text: &str, key: &str) -> Position {
    let quoted = format!("\"{key}\"");
    let is_key = |end: usize| text.get(end..).is_some_and(|rest| rest.trim_start().starts_with(':'));
    let found = text.match_indices(&quoted).find(|(start, _)| is_key(start + quoted.len()));
    found.map_or(Position::START, |(start, _)| Position::of(text, start))
}

/// The reader of JSON counts bytes.
fn position(text: &str, line: usize, byte_col: usize) -> Position {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    Position::of(text, before + byte_col.saturating_sub(1))
}

/// Any JSON whose objects say nothing twice.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("the key \"{key}\" occurs twice")));
            }
            entries.next_value::<Self>()?;
            keys.insert(key);
        }
        Ok(self)
    }
}
