//! Step events: what a walk through a script consists of, and the keys of an event list.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::NAME_BYTES_MAX;
use crate::text::is_name;

/// A step event: `start wind`, `text temperature`, `end initialization`.
///
/// ```
/// use flotilla_script::{Phase, StepEvent};
/// let event: StepEvent = "start wind".parse().unwrap();
/// assert_eq!((event.phase, &*event.name), (Phase::Start, "wind"));
/// assert_eq!(event.to_string(), "start wind");
/// for bad in ["", "start", "start ", "begin wind", "start  wind", "start wind ", "start 1"] {
///     assert!(bad.parse::<StepEvent>().is_err(), "{bad}");
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(start|text|end) [^ ]+$"))]
pub struct StepEvent {
    /// Where in the element.
    pub phase: Phase,
    /// The step event name of the tag: its own, unless its definition fixes another.
    pub name: Arc<str>,
}

/// Where in an element a step event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// At the start tag.
    Start,
    /// At a run of text that is not only white space.
    Text,
    /// At the end tag.
    End,
}

/// Text that is not a step event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a step event: `start NAME`, `text NAME` or `end NAME`")]
pub struct StepEventError(pub String);

impl StepEvent {
    pub(crate) fn new(phase: Phase, name: &str) -> Self {
        Self { phase, name: name.into() }
    }
}

impl Phase {
    /// The first word of the step event.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Start => "start",
            Phase::Text => "text",
            Phase::End => "end",
        }
    }
}

impl fmt::Display for StepEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.phase.as_str(), self.name)
    }
}

impl FromStr for StepEvent {
    type Err = StepEventError;

    fn from_str(text: &str) -> Result<Self, StepEventError> {
        let phases = [Phase::Start, Phase::Text, Phase::End];
        let parts = text.split_once(' ').filter(|(_, name)| is_name(name) && name.len() <= NAME_BYTES_MAX);
        let found =
            parts.and_then(|(word, name)| Some((phases.into_iter().find(|p| p.as_str() == word)?, name)));
        match found {
            Some((phase, name)) => Ok(Self::new(phase, name)),
            None => Err(StepEventError(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for StepEvent {
    type Error = StepEventError;
    fn try_from(text: String) -> Result<Self, StepEventError> {
        text.parse()
    }
}

impl From<StepEvent> for String {
    fn from(event: StepEvent) -> String {
        event.to_string()
    }
}
