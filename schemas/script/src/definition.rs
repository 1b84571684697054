//! Definitions: what scripts may say, as a DTD declares it.
//!
//! A definition is an external subset (XML 1.0, fifth edition, 2.8 and 3.2 to 3.4): elements, attributes, internal
//! parameter entities, INCLUDE and IGNORE. Refused by name are general and external entities, notations and the
//! types that need them, `:` in names, models that are not deterministic, elements that are used and not declared,
//! and elements that no finite document satisfies. So whatever is declared can be said, and can be said in one way.

mod attribute;
mod check;
mod input;
mod model;
mod parser;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::automaton::Automaton;
use crate::diagnostic::{Diagnostics, Report};
use crate::limit::DEFINITION_BYTES_MAX;
use crate::step_event::{Phase, StepEvent};
use crate::text::decode_xml;

pub(crate) use attribute::{Kind, Presence};
pub(crate) use model::{Particle, Term};

/// The name of the attribute that gives a tag another step event name than its own. It is always `#FIXED`.
pub const STEP_EVENT: &str = "step-event";

/// What scripts of one kind may say.
#[derive(Debug, Clone)]
pub struct Definition {
    elements: BTreeMap<Arc<str>, Element>,
}

/// What an element may hold and carry.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub content: Content,
    pub attributes: BTreeMap<String, Attribute>,
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
    /// Elements in the order of a model; white space between them means nothing.
    Children(Automaton),
}

/// An attribute as it was declared.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub kind: Kind,
    pub presence: Presence,
}

impl Definition {
    /// Reads a definition. `file` is what diagnostics call it.
    ///
    /// ```
    /// use flotilla_script::Definition;
    /// let definition = Definition::parse("d.dtd", b"<!ELEMENT wind EMPTY>").unwrap();
    /// assert_eq!(definition.elements().collect::<Vec<_>>(), ["wind"]);
    /// let error = Definition::parse("d.dtd", b"<!ELEMENT wind NOTHING>").unwrap_err().to_string();
    /// assert_eq!(error, "d.dtd:1:16: expected EMPTY, ANY or `(`, found `N`");
    /// ```
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Diagnostics> {
        let mut report = Report::new(file);
        let declared = decode_xml(text, DEFINITION_BYTES_MAX, &mut report)
            .map(|text| parser::parse(&text, &mut report))
            .unwrap_or_default();
        let elements = if report.is_empty() { check::check(declared, &mut report) } else { BTreeMap::new() };
        report.finish().map(|()| Self { elements })
    }

    /// The names of all elements, sorted.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        self.elements.keys().map(|name| &**name)
    }

    /// The elements that no other element contains, sorted: what a script can sensibly begin with. All elements
    /// if each is contained by another.
    pub fn roots(&self) -> BTreeSet<&str> {
        let is_within_another = |name: &str| {
            self.elements
                .iter()
                .any(|(other, element)| &**other != name && self.children(element).contains(name))
        };
        let roots: BTreeSet<&str> = self.elements().filter(|name| !is_within_another(name)).collect();
        if roots.is_empty() { self.elements().collect() } else { roots }
    }

    /// Every step event that scripts with this root can produce; none if the root is not declared.
    pub fn step_events(&self, root: &str) -> BTreeSet<StepEvent> {
        let reachable = self.reachable(root);
        let events = reachable.into_iter().filter_map(|name| Some((name, self.element(name)?)));
        events.flat_map(|(name, element)| element.step_events(name)).collect()
    }

    pub(crate) fn element(&self, name: &str) -> Option<&Element> {
        self.elements.get(name)
    }

    /// The elements, below this root, whose tags have this step event name.
    pub(crate) fn tags<'a>(
        &'a self,
        root: &str,
        event_name: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Element)> {
        let reachable = self.reachable(root).into_iter();
        reachable
            .filter_map(|name| Some((name, self.element(name)?)))
            .filter(move |(name, element)| element.event_name(name) == event_name)
    }

    fn reachable(&self, root: &str) -> BTreeSet<&str> {
        let mut reachable = BTreeSet::new();
        let mut waiting: Vec<&str> =
            self.elements.get_key_value(root).map(|(name, _)| &**name).into_iter().collect();
        while let Some(name) = waiting.pop() {
            if reachable.insert(name)
                && let Some(element) = self.element(name)
            {
                waiting.extend(self.children(element));
            }
        }
        reachable
    }

    fn children<'a>(&'a self, element: &'a Element) -> BTreeSet<&'a str> {
        match &element.content {
            Content::Empty => BTreeSet::new(),
            Content::Any => self.elements().collect(),
            Content::Mixed(names) => names.iter().map(|name| &**name).collect(),
            Content::Children(automaton) => automaton.names(),
        }
    }
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

    fn step_events(&self, name: &str) -> impl Iterator<Item = StepEvent> {
        let phases = [Phase::Start, Phase::Text, Phase::End].into_iter();
        let occurring = phases.filter(|phase| *phase != Phase::Text || self.has_text());
        occurring.map(|phase| StepEvent::new(phase, self.event_name(name)))
    }
}
