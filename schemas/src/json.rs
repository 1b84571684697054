//! JSON as it came: text that is kept, compared, digested and passed on byte for byte, and read by whoever knows what
//! it says.
//!
//! What another program wrote may say more than this one knows. As long as its text stays what it is, nothing of that
//! is lost on the way, and signatures, digests and comparisons are about the same bytes for everybody.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::Digest;

/// A JSON value, exactly as it was written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// What this program writes of a value.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Takes text that is one JSON value; white space around it goes.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The text's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.text().as_bytes()
    }

    /// The digest of the text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.bytes())
    }

    /// What it says, to those who know such things.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_as_it_came() {
        let text = r#"{ "b" : 1.0,"a":"\u0041"}"#;
        let json = Json::parse(text.as_bytes()).unwrap();
        assert_eq!((json.text(), json.digest()), (text, Digest::of(text.as_bytes())));
        assert_eq!(serde_json::to_string(&[&json]).unwrap(), format!("[{text}]"));
        assert_ne!(json, Json::parse(br#"{"b":1.0,"a":"A"}"#).unwrap(), "other text is another value");
        assert!(Json::parse(b"{").is_err() && Json::parse(b"1 2").is_err());
    }
}
