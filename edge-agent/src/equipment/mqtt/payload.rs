//! How a value stands in the payload of a device's message.

use flotilla_sandbox::Keys;
use flotilla_schemas::{Type, Value};
use serde_json::{Map, Value as Json};

/// The largest payload of a state that is looked into, in bytes.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// The deepest place in a JSON payload.
const DEPTH_MAX: usize = 16;

/// The form of a point's payloads.
#[derive(Debug, Clone)]
pub struct Form {
    ty: Type,
    /// The names around it in a JSON object, outermost first; none where the payload is the value itself.
    place: Option<Vec<String>>,
    /// What the device calls true and false.
    words: Option<[String; 2]>,
}

impl Form {
    /// Reads what a section says of a payload: the place of the value in a JSON object (`pointer = "/state"`, as RFC
    /// 6901 writes it, through objects alone), without which the payload is the value as plain text; and for a bool
    /// the device's words for true (`on`) and false (`off`).
    pub fn read(keys: &mut Keys, ty: Type) -> Self {
        let place = keys.take::<String>("pointer").and_then(|pointer| match place(&pointer) {
            Some(place) => Some(place),
            None => keys.problem("pointer", format!("{pointer:?} is no place in an object, such as /state")),
        });
        let words = match (keys.take("on"), keys.take("off")) {
            (None, None) => None,
            (Some(on), Some(off)) if ty == Type::Bool && on != off => Some([on, off]),
            _ => keys.problem("on", "stands with another off, and for a bool"),
        };
        Self { ty, place, words }
    }

    /// What a payload says; one that says nothing of the point's type is left for its check.
    pub fn read_payload(&self, payload: &[u8]) -> Value {
        let text = String::from_utf8_lossy(payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(payload));
        let said = match &self.place {
            None => Value::from(text.trim()),
            Some(place) => {
                let whole: Option<Json> = serde_json::from_str(&text).ok();
                let found = place.iter().try_fold(whole.as_ref(), |json, name| Some(json?.get(name)));
                let found = found.flatten().cloned();
                found.and_then(|json| serde_json::from_value(json).ok()).unwrap_or(Value::None)
            }
        };
        match (&said, &self.words) {
            (Value::Text(word), Some([on, _])) if word == on => Value::Bool(true),
            (Value::Text(word), Some([_, off])) if word == off => Value::Bool(false),
            (Value::Text(text), None) if self.place.is_none() => self.ty.read(text).unwrap_or(said),
            _ => said,
        }
    }

    /// The payload that sets the point to a value.
    pub fn write(&self, value: &Value) -> Vec<u8> {
        let value = match (&self.words, value) {
            (Some([on, _]), Value::Bool(true)) => Value::from(on.as_str()),
            (Some([_, off]), Value::Bool(false)) => Value::from(off.as_str()),
            _ => value.clone(),
        };
        match (&self.place, value) {
            (None, Value::Text(text)) => text.into_bytes(),
            (None, value) => value.to_string().into_bytes(),
            (Some(place), value) => {
                let json = serde_json::to_value(value).unwrap_or_default();
                let around = |json, name: &String| Json::Object(Map::from_iter([(name.clone(), json)]));
                place.iter().rev().fold(json, around).to_string().into_bytes()
            }
        }
    }
}

/// A JSON pointer as names.
fn place(pointer: &str) -> Option<Vec<String>> {
    let names = pointer.strip_prefix('/')?.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
    let names: Vec<String> = names.collect();
    (names.len() <= DEPTH_MAX).then_some(names)
}

/// Whether a device that was set to one value and says the other was set: a device may keep fewer digits.
pub fn is_same(said: &Value, set: &Value) -> bool {
    match (said.as_f64(), set.as_f64()) {
        (Some(said), Some(set)) => (said - set).abs() <= 1e-6 * set.abs().max(1.0),
        _ => said == set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(ty: Type, pointer: Option<&str>, words: Option<[&str; 2]>) -> Form {
        let place = pointer.map(|pointer| place(pointer).unwrap());
        Form { ty, place, words: words.map(|words| words.map(str::to_owned)) }
    }

    fn number() -> Type {
        Type::Number { min: None, max: None }
    }

    #[test]
    fn a_plain_payload_is_the_value_and_a_json_payload_holds_it() {
        let plain = form(number(), None, None);
        assert_eq!(plain.read_payload(b" 21.5\n"), Value::Number(21.5));
        assert_eq!(plain.write(&Value::Number(21.5)), b"21.5");
        let inside = form(number(), Some("/a~1b/c"), None);
        assert_eq!(inside.read_payload(br#"{"a/b": {"c": 21.5}, "d": 1}"#), Value::Number(21.5));
        assert_eq!(inside.write(&Value::Number(21.5)), br#"{"a/b":{"c":21.5}}"#);
        let lamp = form(Type::Bool, Some("/state"), Some(["ON", "OFF"]));
        assert_eq!(lamp.read_payload(br#"{"state": "OFF"}"#), Value::Bool(false));
        assert_eq!(lamp.write(&Value::Bool(true)), br#"{"state":"ON"}"#);
    }

    #[test]
    fn what_says_nothing_of_the_type_does_not_pass_its_check() {
        let inside = form(number(), Some("/c"), None);
        for payload in [&b"{\"c\": \"hot\"}"[..], b"{\"d\": 1}", b"7", b"{", b"\xff", b""] {
            assert!(inside.ty.check(&inside.read_payload(payload)).is_err(), "{payload:?}");
        }
        let lamp = form(Type::Bool, None, Some(["ON", "OFF"]));
        assert!(lamp.ty.check(&lamp.read_payload(b"true")).is_err(), "the device's words alone count");
        assert!(form(number(), None, None).ty.check(&Value::from("hot")).is_err());
        let long = [b"1", " ".repeat(PAYLOAD_BYTES_MAX).as_bytes(), b"2"].concat();
        assert_eq!(
            form(number(), None, None).read_payload(&long),
            Value::Number(1.0),
            "cut off at its limit"
        );
    }

    #[test]
    fn a_pointer_begins_with_a_slash_and_is_not_too_deep() {
        assert_eq!(place("state"), None);
        assert_eq!(place(&"/a".repeat(DEPTH_MAX + 1)), None);
        assert!(place(&"/a".repeat(DEPTH_MAX)).is_some());
    }
}
