//! What can be done about a fault, and who decides it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer, Serialize};

/// Who decides about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A center answers; the edge decides alone only when none does.
    #[default]
    Center,
    /// The edge decides at once, and reports what it did.
    Edge,
}

/// A measure against a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Start the app anew, with fresh memory.
    Restart,
    /// Throw the installed files away, download and verify them again, start anew.
    Reinstall,
    /// Put the alternate in its place: another maker's program for the same operations.
    Replace,
    /// Let the app run no more until a person releases it; services that need it wait.
    Quarantine,
    /// Change nothing and tell a person.
    Tell,
    /// Something that a newer program knows. In a report it is passed over; a rule with it is not read.
    #[serde(other)]
    Unknown,
}

/// The measures of a rule: one that is not known here makes the rule unreadable.
pub(crate) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Measure>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let read = |name: &String| match Measure::deserialize(name.as_str().into_deserializer()) {
        Ok(Measure::Unknown) => Err(D::Error::custom(format!(
            "unknown measure `{name}`, expected one of `restart`, `reinstall`, `replace`, `quarantine`, `tell`"
        ))),
        read => read,
    };
    names.iter().map(read).collect()
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::Restart => "restart",
            Measure::Reinstall => "reinstall",
            Measure::Replace => "replace",
            Measure::Quarantine => "quarantine",
            Measure::Tell => "tell",
            Measure::Unknown => "unknown",
        })
    }
}
