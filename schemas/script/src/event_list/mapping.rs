//! What an event list says of one step event.

use std::borrow::Cow;
use std::fmt;

use flotilla_schemas::{AppId, Type, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::diagnostic::shown;

/// What happens at a step event.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing, and on purpose: `"none"`.
    None,
    /// An operation is called.
    Call(Mapping),
}

/// An operation of an app, and where its arguments come from.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The app.
    pub app: AppId,
    /// The operation that it exports.
    pub operation: String,
    /// The arguments, in the order in which the operation takes them.
    #[serde(default)]
    pub args: Vec<Arg>,
}

/// An argument: its name, its type, and where its value comes from.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenArg")]
#[schemars(with = "WrittenArg")]
pub struct Arg {
    /// The name, as the operation has it.
    pub name: String,
    /// Where the value comes from.
    pub source: Source,
    /// What the value may be; as a rule narrower than what the operation takes.
    pub ty: Type,
}

/// Where an argument's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `"from": "text"`: the text; at text events alone.
    Text,
    /// `"from": "@name"`: this attribute of the element. An attribute that is absent is [`Value::None`], if the
    /// type is optional.
    Attribute(String),
    /// `"const": …`: always this value.
    Const(Value),
}

/// An argument as it is written, its type's keys among its own.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Arg", extend("unevaluatedProperties" = false))]
struct WrittenArg {
    /// The name, as the operation has it.
    name: String,
    /// `text`, or `@` and the name of an attribute. Either this or `const` is there.
    from: Option<String>,
    /// The value itself. Either this or `from` is there.
    #[serde(default, rename = "const", deserialize_with = "present")]
    constant: Option<Value>,
    /// What the value may be.
    #[serde(flatten)]
    ty: Type,
}

/// Distinguishes a constant `null`, which is a value, from no constant.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl TryFrom<WrittenArg> for Arg {
    type Error = String;

    fn try_from(written: WrittenArg) -> Result<Self, String> {
        let WrittenArg { name, from, constant, ty } = written;
        let source = match (from.as_deref(), constant) {
            (Some("text"), None) => Source::Text,
            (Some(from), None) => match from.strip_prefix('@') {
                Some(attribute) if !attribute.is_empty() => Source::Attribute(attribute.to_owned()),
                _ => {
                    return Err(format!(
                        "argument {}: `from` is \"text\" or \"@\" and an attribute's name",
                        shown(&name)
                    ));
                }
            },
            (None, Some(value)) => match ty.check(&value) {
                Ok(()) => Source::Const(value),
                Err(error) => return Err(format!("argument {}: {error}", shown(&name))),
            },
            _ => return Err(format!("argument {}: expected either `from` or `const`", shown(&name))),
        };
        Ok(Self { name, source, ty })
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActionVisitor;
        impl<'de> Visitor<'de> for ActionVisitor {
            type Value = Action;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"none\" or an object with `app`, `operation` and `args`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Action, E> {
                match word {
                    "none" => Ok(Action::None),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Action, A::Error> {
                Mapping::deserialize(MapAccessDeserializer::new(map)).map(Action::Call)
            }
        }
        deserializer.deserialize_any(ActionVisitor)
    }
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "const": "none" }, generator.subschema_for::<Mapping>()] })
    }
}
