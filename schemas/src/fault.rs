//! Faults: what was seen (the kind), why (the cause), and what is done about it (measures).
//!
//! The edge names the *kind*; a center investigates the *cause*. Kinds and causes are data: dotted names, so a new
//! one needs no new program. The names that this build itself raises are the constants of [`kind`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest kind, in bytes.
pub const KIND_BYTES_MAX: usize = 64;

/// What was seen: `app.trap.unreachable`. Dotted segments of `a-z`, `0-9` and `-`, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z0-9-]+(\\.[a-z0-9-]+)*$", "maxLength" = 64))]
pub struct Kind(String);

/// Text that is not a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fault kind: at most 64 characters, segments of a-z, 0-9 and - joined by dots")]
pub struct KindError(pub String);

impl Kind {
    /// The kind as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this kind lies in the pattern: the same name, or one below `name.*`, or `*`.
    ///
    /// ```
    /// use flotilla_schemas::fault::Kind;
    /// let kind: Kind = "app.trap.unreachable".parse().unwrap();
    /// assert!(kind.is_in("app.trap.*") && kind.is_in("app.*") && kind.is_in("*"));
    /// assert!(!kind.is_in("app.trap") && !kind.is_in("ap*") && !kind.is_in("app.deadline"));
    /// ```
    pub fn is_in(&self, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some("") => true,
            Some(stem) => stem.ends_with('.') && self.0.starts_with(stem),
            None => self.0 == pattern,
        }
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let segment = |s: &str| !s.is_empty() && s.bytes().all(legal);
        if text.len() <= KIND_BYTES_MAX && text.split('.').all(segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KindError(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Kind {
    type Error = KindError;
    fn try_from(text: String) -> Result<Self, KindError> {
        text.parse()
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> String {
        kind.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
