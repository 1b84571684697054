//! An element as it was declared: what it may hold and carry, and by which step events it is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attribute::{Kind, Presence};
use super::model::Particle;
use crate::automaton::Automaton;
use crate::step_event::{Phase, StepEvent};

/// The name of the attribute that gives a tag another step event name than its own. It is always `#FIXED`.
pub(crate) const STEP_EVENT: &str = "step-event";

/// What an element may hold and carry.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub content: Content,
    pub attributes: BTreeMap<Arc<str>, Attribute>,
}

/// What may stand between the tags of an element.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Nothing, not even a comment.
    Empty,
    /// Any declared elements and text.
    Any,
    /// Text and these elements, in any order.
    Mixed(BTreeSet<Arc<str>>),
    /// Elements in the order of a model; white space between them means nothing. The automaton says what the model
    /// does.
    Children { model: Particle, automaton: Automaton },
}

/// An attribute as it was declared.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub kind: Kind,
    pub presence: Presence,
}

impl Element {
    /// The step event name of the tag, whose own name is given.
    pub fn event_name<'a>(&'a self, name: &'a str) -> &'a str {
        match self.attributes.get(STEP_EVENT).map(|attribute| &attribute.presence) {
            Some(Presence::Fixed(event_name)) => event_name,
            _ => name,
        }
    }

    /// Whether text means something here.
    pub fn has_text(&self) -> bool {
        matches!(self.content, Content::Any | Content::Mixed(_))
    }

    pub(crate) fn step_events(&self, name: &str) -> impl Iterator<Item = StepEvent> {
        let phases = [Phase::Start, Phase::Text, Phase::End].into_iter();
        let occurring = phases.filter(|phase| *phase != Phase::Text || self.has_text());
        occurring.map(|phase| StepEvent::new(phase, self.event_name(name)))
    }
}
