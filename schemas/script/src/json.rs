//! JSON with nothing said twice, and with places for what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::cursor::Cursor;
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

/// Where each key first stands in a text that is JSON. Keys that are written with escapes are not found.
pub(crate) fn keys(text: &str) -> BTreeMap<String, Position> {
    let mut cursor = Cursor::new(text);
    let mut keys = BTreeMap::new();
    loop {
        cursor.take_while(|c| c != '"');
        let at = cursor.at();
        if cursor.bump().is_none() {
            return keys;
        }
        let mut key = String::new();
        while let Some(c) = cursor.bump().filter(|c| *c != '"') {
            key.push(c);
            if c == '\\' {
                key.extend(cursor.bump());
            }
        }
        cursor.white();
        if cursor.looks_at(":") {
            keys.entry(key).or_insert(at);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let Problem { at, message } = parse::<serde_json::Value>(text).unwrap_err();
        format!("{}:{}: {message}", at.line, at.col)
    }

    #[test]
    fn errors_of_syntax_come_with_their_place_in_characters() {
        assert_eq!(error("{\n  \"ä\": nul }"), "2:11: expected ident");
        assert_eq!(error("{"), "1:1: EOF while parsing an object");
        assert_eq!(error("[1] 2"), "1:5: trailing characters");
    }

    #[test]
    fn a_key_that_occurs_twice_is_refused_wherever_it_is() {
        assert_eq!(error("{\"a\": [{\"b\": 1,\n \"c\": 2, \"b\": 3}]}"), "2:12: the key \"b\" occurs twice");
        assert!(parse::<serde_json::Value>("{\"a\": {\"a\": [1.5, -1, null, true, \"a\", \"a\"]}}").is_ok());
    }

    #[test]
    fn keys_are_found_and_values_are_not() {
        let keys = keys("{\"a\": \"b\",\n \"c\\\"\" : {\"a\": 1, \"b\": \":\"}}");
        let places: Vec<String> =
            keys.iter().map(|(key, at)| format!("{key} {}:{}", at.line, at.col)).collect();
        assert_eq!(places, ["a 1:2", "b 2:19", "c\\\" 2:2"]);
    }
}
