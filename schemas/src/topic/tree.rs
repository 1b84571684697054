//! One fleet's topics on a broker that others use, too: everything below `<fleet>/v1`.
//!
//! The whole text, with the fleet's name, is also what a message is signed for: what was signed for one fleet is worth
//! nothing in another.

use std::str::FromStr;

use super::{Topic, TopicError};
use crate::id::FleetId;

/// The level behind the fleet's name: the protocol's version.
const VERSION: &str = "v1";

/// A fleet's topics.
///
/// ```
/// use flotilla_schemas::topic::{Topic, Tree};
/// let tree = Tree::of("north".parse()?);
/// let topic: Topic = "edge/e1/status".parse()?;
/// assert_eq!(tree.text(&topic), "north/v1/edge/e1/status");
/// assert_eq!(tree.parse("north/v1/edge/e1/status")?, topic);
/// assert!(tree.parse("south/v1/edge/e1/status").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(FleetId);

impl Tree {
    /// The tree of a fleet.
    pub fn of(fleet: FleetId) -> Self {
        Self(fleet)
    }

    /// The fleet's name.
    pub fn fleet(&self) -> &FleetId {
        &self.0
    }

    /// The fleet whose tree a topic, or a filter with a first level of its own, lies in; none if it is in no fleet's.
    /// The rest of it need not be a topic.
    pub fn fleet_in(text: &str) -> Option<&str> {
        let (fleet, rest) = text.split_once('/')?;
        let (version, _) = rest.split_once('/')?;
        (version == VERSION).then_some(fleet)
    }

    /// A topic in whole.
    pub fn text(&self, topic: &Topic) -> String {
        self.filter(&topic.to_string())
    }

    /// A filter, which may have wildcards, in whole.
    pub fn filter(&self, below: &str) -> String {
        format!("{}/{VERSION}/{below}", self.0)
    }

    /// Parses a topic of this fleet; refuses what is none, and those of another fleet.
    pub fn parse(&self, text: &str) -> Result<Topic, TopicError> {
        let (tree, topic) = Self::locate(text)?;
        if tree == *self { Ok(topic) } else { Err(TopicError::unknown(text)) }
    }

    /// Parses a topic of whatever fleet.
    pub fn locate(text: &str) -> Result<(Self, Topic), TopicError> {
        let unknown = || TopicError::unknown(text);
        let (fleet, rest) = text.split_once('/').ok_or_else(unknown)?;
        let below = rest.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('/')).ok_or_else(unknown)?;
        Ok((Self(FleetId::from_str(fleet)?), below.parse()?))
    }
}
