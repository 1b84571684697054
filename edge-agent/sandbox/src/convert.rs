//! Values across the wall: the fleet's [`Value`] as the component's `Val`, and back.
//!
//! What comes in has been checked against the operation's own types, so lowering only fails where the two disagree;
//! what goes out is untrusted, and a number that JSON could not carry is refused.

use flotilla_schemas::Value;
use wasmtime::component::Val;
use wasmtime::component::types::Type;

/// The value in the form that the component takes, if it is of the type.
pub(crate) fn lower(value: &Value, ty: &Type) -> Option<Val> {
    Some(match (ty, value) {
        (Type::Bool, Value::Bool(truth)) => Val::Bool(*truth),
        (Type::S8, Value::Integer(n)) => Val::S8((*n).try_into().ok()?),
        (Type::U8, Value::Integer(n)) => Val::U8((*n).try_into().ok()?),
        (Type::S16, Value::Integer(n)) => Val::S16((*n).try_into().ok()?),
        (Type::U16, Value::Integer(n)) => Val::U16((*n).try_into().ok()?),
        (Type::S32, Value::Integer(n)) => Val::S32((*n).try_into().ok()?),
        (Type::U32, Value::Integer(n)) => Val::U32((*n).try_into().ok()?),
        (Type::S64, Value::Integer(n)) => Val::S64(*n),
        (Type::U64, Value::Integer(n)) => Val::U64((*n).try_into().ok()?),
        (Type::Float32, number) => Val::Float32(number.as_f64()? as f32),
        (Type::Float64, number) => Val::Float64(number.as_f64()?),
        (Type::String, Value::Text(text)) => Val::String(text.clone()),
        (Type::Enum(_), Value::Text(name)) => Val::Enum(name.clone()),
        (Type::List(of), Value::List(items)) => {
            let of = of.ty();
            Val::List(items.iter().map(|item| lower(item, &of)).collect::<Option<_>>()?)
        }
        (Type::Record(record), Value::Record(fields)) => {
            let field = |field: wasmtime::component::types::Field<'_>| {
                Some((field.name.to_owned(), lower(fields.get(field.name)?, &field.ty)?))
            };
            Val::Record(record.fields().map(field).collect::<Option<_>>()?)
        }
        (Type::Option(_), Value::None) => Val::Option(None),
        (Type::Option(of), value) => Val::Option(Some(Box::new(lower(value, &of.ty())?))),
        _ => return None,
    })
}

/// The component's value in the form of the fleet; none if the fleet has no form for it.
pub(crate) fn lift(val: Val) -> Option<Value> {
    Some(match val {
        Val::Bool(truth) => Value::Bool(truth),
        Val::S8(n) => Value::Integer(n.into()),
        Val::U8(n) => Value::Integer(n.into()),
        Val::S16(n) => Value::Integer(n.into()),
        Val::U16(n) => Value::Integer(n.into()),
        Val::S32(n) => Value::Integer(n.into()),
        Val::U32(n) => Value::Integer(n.into()),
        Val::S64(n) => Value::Integer(n),
        Val::U64(n) => Value::Integer(n.try_into().ok()?),
        Val::Float32(n) if n.is_finite() => Value::Number(n.into()),
        Val::Float64(n) if n.is_finite() => Value::Number(n),
        Val::String(text) | Val::Enum(text) => Value::Text(text),
        Val::List(items) => Value::List(items.into_iter().map(lift).collect::<Option<_>>()?),
        Val::Record(fields) => {
            let field = |(name, val)| Some((name, lift(val)?));
            Value::Record(fields.into_iter().map(field).collect::<Option<_>>()?)
        }
        Val::Option(None) => Value::None,
        Val::Option(Some(val)) => lift(*val)?,
        _ => return None,
    })
}
