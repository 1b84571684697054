//! Faults: what was seen (the kind), why (the cause), and what is done about it (measures).
//!
//! The edge names the *kind*; a center investigates the *cause*. Kinds and causes are data: dotted names, so a new
//! one needs no new program. The names that this build itself raises are the constants of [`kind`]. What failed is a
//! [`Failure`] until its edge makes a fault of it.

mod failure;
pub mod kind;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{AppId, CenterId, EdgeId, FaultId, ServiceId};
use crate::measure::{By, Measure};
use crate::point::PointId;

pub use failure::{BACKTRACE_FRAMES_MAX, Failure, MESSAGE_BYTES_MAX, cut};

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

impl Kind {
    /// The cause of which nobody knows more.
    pub fn unidentified() -> Self {
        Self("unidentified".to_owned())
    }

    /// A kind of this build, by its constant; text that is no kind becomes `unnamed`.
    pub fn of(name: &str) -> Self {
        name.parse().unwrap_or_else(|_| Self("unnamed".to_owned()))
    }
}

/// A fault as its edge saw it: the body of a lane 0 record, and what a center answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The fault, the same from its opening to its closing.
    pub fault: FaultId,
    /// What was seen.
    pub kind: Kind,
    /// The app it was seen in, or `system`.
    pub app: AppId,
    /// The service that was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// Where in the script: `line:column event`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The point of a device that did not answer well, if the fault is the equipment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<PointId>,
    /// What was said, for people; at most 1,024 characters.
    pub message: String,
    /// Where in the app, innermost first; at most 32 lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// Which attempt at curing it is due, from 1; faults cured within the rule's window count.
    pub attempt: u32,
    /// How often it was seen since it opened.
    pub count: u32,
    /// What was tried, in order.
    pub tried: Vec<Measure>,
    /// The version of the countermeasures that the edge holds.
    pub list_ver: u64,
    /// Whether the edge decides about it alone.
    pub by: By,
}

/// How a fault ended: the body of a lane 0 record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    /// The fault.
    pub fault: FaultId,
    /// Its kind.
    pub kind: Kind,
    /// Its app.
    pub app: AppId,
    /// How it ended.
    pub how: How,
    /// The last measure, if any was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// How many attempts it took.
    pub attempts: u32,
    /// How long it was open, in milliseconds of running time.
    pub open_ms: u64,
}

/// How a fault ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The service ran through after the measure, or the device answers well again.
    Cured,
    /// What it concerned is no longer desired.
    Moot,
    /// In a way that a newer program knows.
    #[serde(other)]
    Unknown,
}

/// On `to/<e>/answer`, signed by the center. A pure function of the list and the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The fault.
    pub fault: FaultId,
    /// The attempt that it is for.
    pub attempt: u32,
    /// The version of the list that gave it.
    pub list_ver: u64,
    /// Why it happened: identified, or `unidentified`.
    pub cause: Kind,
    /// What to do.
    pub measure: Measure,
    /// The center.
    pub center: CenterId,
}
