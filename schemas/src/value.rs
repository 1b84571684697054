//! What operations take and give, and what may be said of it: [`Value`] and [`Type`].
//!
//! The cores, the scripts and the messages see these and never a type of the WebAssembly runtime. In JSON a value
//! is plain: a number is a number, so a dashboard plots it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that an operation takes, gives or lets be known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// Nothing: an absent option, an operation without a result. `null` in JSON.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction. Never NaN or infinite: JSON has neither.
    Number(f64),
    /// Text; also the name of an enumeration's case.
    Text(String),
    /// Values of one type, in order.
    List(Vec<Value>),
    /// Named values.
    Record(BTreeMap<String, Value>),
}

/// What a value may be. Ranges are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Type {
    /// A truth value, written `true` or `false` in a script.
    #[serde(deserialize_with = "no_more_keys")]
    Bool,
    /// A whole number within a range.
    Integer {
        /// The least that is allowed.
        #[serde(default = "least")]
        min: i64,
        /// The greatest that is allowed.
        #[serde(default = "greatest")]
        max: i64,
    },
    /// A number within a range.
    Number {
        /// The least that is allowed; none means any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// The greatest that is allowed; none means any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// Text of at most `max` bytes.
    Text {
        /// The most bytes; none means the limit of the message that carries it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u32>,
    },
    /// One of the names.
    Choice {
        /// The names, in the order of their declaration.
        of: Vec<String>,
    },
    /// Values of one type.
    List {
        /// The type of each.
        of: Box<Type>,
    },
    /// Named values, all of them present.
    Record {
        /// Name to type.
        of: BTreeMap<String, Type>,
    },
    /// A value or nothing.
    Option {
        /// The type of the value, where there is one.
        of: Box<Type>,
    },
}

/// Refuses further keys beside a variant without fields, which serde by itself passes over.
fn no_more_keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}

fn least() -> i64 {
    i64::MIN
}

fn greatest() -> i64 {
    i64::MAX
}

/// A value that is not of the type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not {wanted}")]
pub struct TypeError {
    /// The value, as JSON, shortened.
    pub found: String,
    /// The type, in words.
    pub wanted: String,
}

impl Type {
    /// Reads the text of a script (an attribute's value, the content of an element) as a value of this type.
    /// White space around it is left out, except for text.
    pub fn read(&self, text: &str) -> Result<Value, TypeError> {
        let bare = text.trim();
        let value = match self {
            Type::Bool => bare.parse().map(Value::Bool).ok(),
            Type::Integer { .. } => bare.parse().map(Value::Integer).ok(),
            Type::Number { .. } => bare.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Number),
            Type::Text { .. } => Some(Value::Text(text.to_owned())),
            Type::Choice { .. } => Some(Value::Text(bare.to_owned())),
            Type::Option { of } if !bare.is_empty() => return of.read(text),
            Type::Option { .. } => Some(Value::None),
            Type::List { .. } | Type::Record { .. } => serde_json::from_str(bare).ok(),
        };
        let value = value.unwrap_or_else(|| Value::Text(text.to_owned()));
        self.check(&value).map(|()| value)
    }

    /// Whether the value is of this type and within its range.
    pub fn check(&self, value: &Value) -> Result<(), TypeError> {
        let fits = match (self, value) {
            (Type::Bool, Value::Bool(_)) => true,
            (Type::Integer { min, max }, Value::Integer(n)) => n >= min && n <= max,
            (Type::Number { min, max }, value) => value.as_f64().is_some_and(|n| {
                n.is_finite() && min.is_none_or(|min| n >= min) && max.is_none_or(|max| n <= max)
            }),
            (Type::Text { max }, Value::Text(text)) => max.is_none_or(|max| text.len() <= max as usize),
            (Type::Choice { of }, Value::Text(name)) => of.contains(name),
            (Type::List { of }, Value::List(items)) => return items.iter().try_for_each(|i| of.check(i)),
            (Type::Record { of }, Value::Record(fields)) => {
                of.len() == fields.len()
                    && of.iter().all(|(name, t)| fields.get(name).is_some_and(|v| t.check(v).is_ok()))
            }
            (Type::Option { .. }, Value::None) => true,
            (Type::Option { of }, value) => return of.check(value),
            _ => false,
        };
        if fits { Ok(()) } else { Err(TypeError { found: value.shortened(), wanted: self.to_string() }) }
    }
}

impl Type {
    /// Whether every value of `other` is also one of this type: whether what declares `other` may be handed to
    /// what declares this.
    pub fn admits(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Bool, Type::Bool) => true,
            (Type::Integer { min, max }, Type::Integer { min: from, max: to }) => min <= from && max >= to,
            (Type::Number { min, max }, Type::Number { min: from, max: to }) => {
                within(*min, *max, *from, *to)
            }
            (Type::Number { min, max }, Type::Integer { min: from, max: to }) => {
                within(*min, *max, Some(*from as f64), Some(*to as f64))
            }
            (Type::Text { max }, Type::Text { max: to }) => {
                max.is_none_or(|max| to.is_some_and(|to| to <= max))
            }
            (Type::Text { max }, Type::Choice { of }) => {
                max.is_none_or(|max| of.iter().all(|name| name.len() <= max as usize))
            }
            (Type::Choice { of }, Type::Choice { of: names }) => names.iter().all(|name| of.contains(name)),
            (Type::List { of }, Type::List { of: other }) => of.admits(other),
            (Type::Record { of }, Type::Record { of: others }) => {
                let field =
                    |(name, t): (&String, &Type)| others.get(name).is_some_and(|other| t.admits(other));
                of.len() == others.len() && of.iter().all(field)
            }
            (Type::Option { of }, Type::Option { of: other }) => of.admits(other),
            (Type::Option { of }, other) => of.admits(other),
            _ => false,
        }
    }
}

/// Whether the range `from..=to` lies in `min..=max`; an absent bound is an open end.
fn within(min: Option<f64>, max: Option<f64>, from: Option<f64>, to: Option<f64>) -> bool {
    min.is_none_or(|min| from.is_some_and(|from| from >= min))
        && max.is_none_or(|max| to.is_some_and(|to| to <= max))
}

impl Value {
    /// The value as a number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Integer(n) => Some(*n as f64),
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The value as JSON, at most 80 characters of it: for messages to people.
    pub fn shortened(&self) -> String {
        let text = self.to_string();
        if text.chars().count() <= 80 { text } else { text.chars().take(77).chain("...".chars()).collect() }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl From<u64> for Value {
    /// What is beyond [`i64::MAX`] becomes that.
    fn from(number: u64) -> Self {
        Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("true or false"),
            Type::Integer { min, max } => match (*min == i64::MIN, *max == i64::MAX) {
                (true, true) => f.write_str("a whole number"),
                (false, true) => write!(f, "a whole number of at least {min}"),
                (true, false) => write!(f, "a whole number of at most {max}"),
                (false, false) => write!(f, "a whole number from {min} to {max}"),
            },
            Type::Number { min, max } => match (min, max) {
                (None, None) => f.write_str("a number"),
                (Some(min), None) => write!(f, "a number of at least {min}"),
                (None, Some(max)) => write!(f, "a number of at most {max}"),
                (Some(min), Some(max)) => write!(f, "a number from {min} to {max}"),
            },
            Type::Text { max: None } => f.write_str("text"),
            Type::Text { max: Some(max) } => write!(f, "text of at most {max} bytes"),
            Type::Choice { of } => write!(f, "one of {}", of.join(", ")),
            Type::List { of } => write!(f, "a list, each {of}"),
            Type::Record { of } => {
                let fields: Vec<String> = of.iter().map(|(name, t)| format!("{name}: {t}")).collect();
                write!(f, "a record of {}", fields.join(", "))
            }
            Type::Option { of } => write!(f, "nothing or {of}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_text_is_read_by_its_type_and_range() {
        let degrees = Type::Number { min: Some(16.0), max: Some(30.0) };
        assert_eq!(degrees.read(" 25 "), Ok(Value::Number(25.0)));
        let error = degrees.read("31").unwrap_err().to_string();
        assert_eq!(error, "31.0 is not a number from 16 to 30");
        assert_eq!(degrees.read("NaN").unwrap_err().to_string(), "\"NaN\" is not a number from 16 to 30");
        let speed = Type::Choice { of: vec!["low".into(), "high".into()] };
        assert_eq!(speed.read("low"), Ok(Value::Text("low".into())));
        assert!(speed.read("fast").is_err());
    }

    #[test]
    fn a_type_admits_what_lies_within_it() {
        let whole = |min, max| Type::Integer { min, max };
        let number = |min, max| Type::Number { min, max };
        let choice = |of: &[&str]| Type::Choice { of: of.iter().map(ToString::to_string).collect() };
        let option = |of: Type| Type::Option { of: Box::new(of) };
        let any = number(None, None);
        assert!(any.admits(&number(Some(1.0), None)) && any.admits(&whole(0, 9)));
        assert!(!number(Some(1.0), None).admits(&any) && !whole(0, 9).admits(&any));
        assert!(whole(0, 255).admits(&whole(1, 255)) && !whole(0, 255).admits(&whole(-1, 3)));
        assert!(
            choice(&["low", "high"]).admits(&choice(&["high"]))
                && !choice(&["low"]).admits(&choice(&["high"]))
        );
        assert!(option(any.clone()).admits(&any) && !any.admits(&option(any.clone())));
        assert!(Type::Text { max: None }.admits(&choice(&["low"])));
        assert!(!Type::Text { max: Some(2) }.admits(&Type::Text { max: None }));
    }

    #[test]
    fn a_type_refuses_keys_that_it_does_not_know() {
        let read = |text: &str| serde_json::from_str::<Type>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#"{"type": "bool"}"#), Ok(Type::Bool));
        for text in [r#"{"type": "bool", "min": 1}"#, r#"{"type": "text", "min": 1}"#] {
            assert!(read(text).unwrap_err().contains("unknown field `min`"), "{text}");
        }
    }

    #[test]
    fn a_value_is_plain_json() {
        let value: Value = serde_json::from_str(r#"{"t": 21.5, "on": true, "n": null}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"n":null,"on":true,"t":21.5}"#);
        assert_eq!(serde_json::from_str::<Value>("3").unwrap(), Value::Integer(3));
    }
}
