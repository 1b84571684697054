//! Messages at random, as their JSON Schema wants them, but for now and then a value of another kind.

use serde_json::{Map, Value, json};

/// Values below one another; deeper there is nothing.
const DEPTH_MAX: usize = 12;
/// Of 256 values so many are of another kind than the schema wants.
const WRONG_OF_256: u8 = 4;

/// A public key, the only text that has a form of its own without its schema saying so.
const KEY: &str = "WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=";

/// Bytes that decide, in order; zeros when they are used up.
pub struct Chance<'a>(pub std::slice::Iter<'a, u8>);

impl Chance<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// A number below `count`, which must not be 0.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.next()) % count
    }

    fn coin(&mut self) -> bool {
        self.next() < 128
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// A value for a whole schema.
pub fn make(schema: &Value, chance: &mut Chance) -> Value {
    Maker { root: schema }.make(schema, DEPTH_MAX, chance)
}

struct Maker<'a> {
    root: &'a Value,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, depth: usize, chance: &mut Chance) -> Value {
        if depth == 0 {
            return Value::Null;
        }
        if chance.next() > u8::MAX - WRONG_OF_256 {
            return chance.one_of(&odd());
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return self.make(&self.root["$defs"][name], depth - 1, chance);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return chance.one_of(values);
        }
        let own = self.typed(schema, depth, chance);
        match schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            Some(variants) => merged(own, self.make(&chance.one_of(variants), depth - 1, chance)),
            None => own,
        }
    }

    fn typed(&self, schema: &Value, depth: usize, chance: &mut Chance) -> Value {
        let kind = match &schema["type"] {
            Value::Array(kinds) => chance.one_of(kinds),
            kind => kind.clone(),
        };
        match kind.as_str().unwrap_or_default() {
            "object" => self.object(schema, depth, chance),
            "array" => self.array(schema, depth, chance),
            "string" => text(schema["pattern"].as_str(), chance).into(),
            "integer" => integer(schema, chance),
            "number" => chance.one_of(&[json!(0.1), json!(-1e300), json!(22.5), json!(5e-324), json!(7)]),
            "boolean" => chance.coin().into(),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: usize, chance: &mut Chance) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&json!(key)) || chance.coin() {
                object.insert(key.clone(), self.make(schema, depth - 1, chance));
            }
        }
        let patterns = schema["patternProperties"].as_object().into_iter().flatten();
        let patterns = patterns.map(|(pattern, schema)| (Some(pattern.as_str()), schema));
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        for (pattern, schema) in patterns.chain(others.map(|schema| (None, schema))) {
            for _ in 0..chance.below(3) {
                object.insert(text(pattern, chance), self.make(schema, depth - 1, chance));
            }
        }
        object.into()
    }

    fn array(&self, schema: &Value, depth: usize, chance: &mut Chance) -> Value {
        if let Some(items) = schema["prefixItems"].as_array() {
            return items.iter().map(|item| self.make(item, depth - 1, chance)).collect();
        }
        (0..chance.below(4)).map(|_| self.make(&schema["items"], depth - 1, chance)).collect()
    }
}

/// Objects of both, or the variant where the schema says nothing of its own.
fn merged(own: Value, variant: Value) -> Value {
    match (own, variant) {
        (Value::Object(mut own), Value::Object(variant)) => {
            own.extend(variant);
            own.into()
        }
        (_, variant) => variant,
    }
}

fn text(pattern: Option<&str>, chance: &mut Chance) -> String {
    let texts: &[&str] = match pattern {
        Some(pattern) if pattern.contains("{64}") => {
            &["00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff"]
        }
        Some(pattern) if pattern.contains("{1,64}") => &["e1", "system", "app-9", "-"],
        Some(pattern) if pattern.contains("[1-9]") => &["1.0.0", "0.10.4294967295"],
        Some(_) => &["app.trap.unreachable", "equipment", "a-b.c"],
        None => &["", "plain", "äß\u{10ffff}\0\"\\", "true", "1.0.0", "a/b", KEY],
    };
    chance.one_of(texts).to_owned()
}

fn integer(schema: &Value, chance: &mut Chance) -> Value {
    let greatest = match schema["format"].as_str() {
        Some("uint64") => json!(u64::MAX),
        Some("uint32") => json!(u32::MAX),
        Some("uint8") => json!(u8::MAX),
        _ => json!(i64::MAX),
    };
    let least = schema.get("minimum").cloned().unwrap_or(json!(i64::MIN));
    chance.one_of(&[json!(1), json!(2), json!(100), least, greatest])
}

/// Values that are hardly ever right.
fn odd() -> [Value; 10] {
    [
        Value::Null,
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("x".repeat(5_000)),
        json!([]),
        json!({}),
        json!([[[[[[]]]]]]),
        json!({ "type": "event", "gone": {} }),
    ]
}
