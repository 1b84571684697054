//! Values at the bounds of the types that an event list reads, and just outside of them, as a script writes them.

use flotilla_schemas::{Type, Value};
use flotilla_script::{Definition, EventList, Place, Values};

/// How long a text is made whose type has no end within [`TEXT_BYTES_MAX`], in bytes.
pub(super) const LONG_TEXT_BYTES: u32 = 1024;

/// The longest text that is made, in bytes.
const TEXT_BYTES_MAX: u32 = 64 << 10;

/// What a list of words does not have.
const NO_WORD: &str = "no-such-word";

/// The values at both bounds of whatever the list reads, by the places where it reads them. Where several arguments
/// read one place, those values that all of them take.
pub(super) fn inside(list: &EventList, definition: &Definition) -> Values {
    let values = list.places(definition).into_iter().map(|(place, types)| {
        let mut texts: Vec<String> = types.iter().flat_map(|ty| bounds(ty)).map(written).collect();
        texts.retain(|text| types.iter().all(|ty| ty.read(text).is_ok()));
        let mut once: Vec<String> = Vec::new();
        texts.into_iter().for_each(|text| {
            if !once.contains(&text) {
                once.push(text)
            }
        });
        (place, once)
    });
    values.collect()
}

/// Values just outside of what the list reads, by place: each has to be refused.
pub(super) fn outside(list: &EventList, definition: &Definition) -> Vec<(Place, String)> {
    let places = list.places(definition).into_iter();
    places
        .flat_map(|(place, types)| {
            types.into_iter().flat_map(beyond).map(move |value| (place.clone(), written(value)))
        })
        .collect()
}

/// Places whose text may be longer than any that is tried, and the longest that is.
pub(super) fn endless(list: &EventList, definition: &Definition) -> Vec<(Place, String)> {
    let places = list.places(definition).into_iter();
    let longest = |(place, types): (Place, Vec<&Type>)| {
        let longest = types.iter().all(|ty| is_endless(ty)).then(|| bounds(types.first()?).pop());
        Some((place, written(longest.flatten()?)))
    };
    places.filter_map(longest).collect()
}

fn is_endless(ty: &Type) -> bool {
    match ty {
        Type::Text { max } => end(*max).is_none(),
        Type::List { of } | Type::Option { of } => is_endless(of),
        Type::Record { of } => of.values().any(is_endless),
        Type::Bool | Type::Integer { .. } | Type::Number { .. } | Type::Choice { .. } => false,
    }
}

/// The end of a text, if it is one that can be tried.
fn end(max: Option<u32>) -> Option<u32> {
    max.filter(|max| *max <= TEXT_BYTES_MAX)
}

/// The least and the greatest value of a type; of words, all.
fn bounds(ty: &Type) -> Vec<Value> {
    match ty {
        Type::Bool => vec![Value::Bool(false), Value::Bool(true)],
        Type::Integer { min, max } => vec![Value::Integer(*min), Value::Integer(*max)],
        Type::Number { min, max } => {
            vec![Value::Number(min.unwrap_or(f64::MIN)), Value::Number(max.unwrap_or(f64::MAX))]
        }
        // No text at all is a value of an attribute; in an element it is no value, so there a byte is the least.
        Type::Text { max } => {
            let end = end(*max).unwrap_or(LONG_TEXT_BYTES);
            [0, end.min(1), end].map(text).into()
        }
        Type::Choice { of } => of.iter().cloned().map(Value::Text).collect(),
        Type::List { of } => vec![Value::List(Vec::new()), Value::List(bounds(of))],
        Type::Record { of } => {
            let end = |pick: fn(Vec<Value>) -> Option<Value>| {
                let field = |(name, ty): (&String, &Type)| Some((name.clone(), pick(bounds(ty))?));
                of.iter().map(field).collect::<Option<_>>().map(Value::Record)
            };
            let ends = [end(|bounds| bounds.into_iter().next()), end(|mut bounds| bounds.pop())];
            ends.into_iter().flatten().collect()
        }
        Type::Option { of } => bounds(of),
    }
}

/// Values that are not of the type, by as little as possible.
fn beyond(ty: &Type) -> Vec<Value> {
    match ty {
        Type::Bool => vec![Value::from(NO_WORD)],
        Type::Integer { min, max } => {
            let ends = [min.checked_sub(1), max.checked_add(1)];
            ends.into_iter().flatten().map(Value::Integer).collect()
        }
        Type::Number { min, max } => {
            let ends = [min.map(f64::next_down), max.map(f64::next_up)];
            ends.into_iter().flatten().filter(|end| end.is_finite()).map(Value::Number).collect()
        }
        Type::Text { max } => end(*max).map(|end| text(end + 1)).into_iter().collect(),
        Type::Choice { of } => {
            let foreign = of.concat() + NO_WORD;
            vec![Value::Text(foreign)]
        }
        Type::List { of } => beyond(of).into_iter().map(|value| Value::List(vec![value])).collect(),
        Type::Record { of } => {
            let Some(Value::Record(fields)) = bounds(ty).into_iter().next() else { return Vec::new() };
            let with = |(name, ty): (&String, &Type)| -> Vec<Value> {
                let broken = |value| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), value);
                    Value::Record(fields)
                };
                beyond(ty).into_iter().map(broken).collect()
            };
            of.iter().flat_map(with).collect()
        }
        Type::Option { of } => beyond(of),
    }
}

fn text(bytes: u32) -> Value {
    Value::Text("x".repeat(bytes as usize))
}

/// As a script has it: text as it is, everything else as JSON.
fn written(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(json: &str) -> Type {
        serde_json::from_str(json).unwrap()
    }

    const TYPES: [&str; 12] = [
        r#"{"type": "bool"}"#,
        r#"{"type": "integer"}"#,
        r#"{"type": "integer", "min": -3, "max": 3}"#,
        r#"{"type": "number"}"#,
        r#"{"type": "number", "min": 16, "max": 30}"#,
        r#"{"type": "number", "max": 0.5}"#,
        r#"{"type": "text"}"#,
        r#"{"type": "text", "max": 5}"#,
        r#"{"type": "choice", "of": ["low", "high"]}"#,
        r#"{"type": "list", "of": {"type": "integer", "max": 9}}"#,
        r#"{"type": "record", "of": {"x": {"type": "integer"}, "y": {"type": "text", "max": 2}}}"#,
        r#"{"type": "option", "of": {"type": "number", "min": 1, "max": 2}}"#,
    ];

    #[test]
    fn what_is_at_a_bound_is_taken_and_what_is_just_outside_is_not() {
        for json in TYPES {
            let ty = ty(json);
            let inside: Vec<String> = bounds(&ty).into_iter().map(written).collect();
            assert!(inside.len() >= 2, "{json}");
            for text in inside {
                assert!(ty.read(&text).is_ok(), "{json}: {text}");
            }
            for text in beyond(&ty).into_iter().map(written) {
                assert!(ty.read(&text).is_err(), "{json}: {text}");
            }
        }
    }

    #[test]
    fn a_text_is_tried_from_nothing_to_its_end_or_to_a_length_that_can_be() {
        let lengths =
            |json| bounds(&ty(json)).into_iter().map(|text| written(text).len()).collect::<Vec<_>>();
        assert_eq!(lengths(r#"{"type": "text", "max": 5}"#), [0, 1, 5]);
        assert_eq!(lengths(r#"{"type": "text", "max": 0}"#), [0, 0, 0]);
        for (json, endless) in [
            (r#"{"type": "text"}"#, true),
            (r#"{"type": "text", "max": 65536}"#, false),
            (r#"{"type": "text", "max": 4294967295}"#, true),
        ] {
            let longest = if endless { 1024 } else { 65_536 };
            assert_eq!((lengths(json)[2], is_endless(&ty(json))), (longest, endless), "{json}");
            assert_eq!(beyond(&ty(json)).is_empty(), endless, "{json}");
        }
    }

    #[test]
    fn what_has_an_end_has_a_value_just_beyond_it() {
        let beyond = |json| beyond(&ty(json)).into_iter().map(written).collect::<Vec<_>>();
        assert_eq!(beyond(r#"{"type": "integer", "min": -3, "max": 3}"#), ["-4", "4"]);
        assert_eq!(
            beyond(r#"{"type": "number", "min": 16, "max": 30}"#),
            ["15.999999999999998", "30.000000000000004"]
        );
        assert_eq!(beyond(r#"{"type": "text", "max": 2}"#), ["xxx"]);
        assert_eq!(beyond(r#"{"type": "integer"}"#), [""; 0]);
    }
}
