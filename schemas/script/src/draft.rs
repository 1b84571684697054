//! Scripts in the making: trees that are written down at last.
//!
//! Written with a line for each element where white space means nothing, so that a person can read it. What refers
//! to ids is settled when the tree is complete, because only then it is known which ids there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::definition::{Kind, Presence};
use crate::items::{Attribute, Content, Items};
use crate::scanner::Tag;
use crate::script::Script;
use crate::step_event::Phase;

/// An element.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its number among the items' elements.
    pub element: usize,
    /// The attributes that are written: their numbers among the element's, and their values.
    pub attributes: Vec<(usize, Arc<str>)>,
    pub children: Vec<Child>,
}

/// What stands in an element.
#[derive(Debug, Clone)]
pub(crate) enum Child {
    Element(Node),
    Text(Arc<str>),
}

impl Node {
    /// The script as a tree; nothing if its root is another than that of the items.
    pub fn of(script: &Script, items: &Items) -> Option<Self> {
        let mut open: Vec<Node> = Vec::new();
        for visit in script.walk() {
            match visit.phase {
                Phase::Start => open.push(Self::begun(visit.tag, items)?),
                Phase::Text => {
                    let text = visit.text.map(|text| Child::Text(text.into()));
                    open.last_mut()?.children.extend(text);
                }
                Phase::End => {
                    let node = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(Child::Element(node)),
                        None => return Some(node).filter(|root| root.element == items.root),
                    }
                }
            }
        }
        None
    }

    fn begun(tag: &Tag, items: &Items) -> Option<Self> {
        let element = items.number(&tag.name)?;
        let declared = &items.element(element)?.attributes;
        let written = tag.attributes.iter().filter(|attribute| tag.wrote(attribute));
        let number = |name: &str| declared.iter().position(|attribute| *attribute.name == *name);
        let attributes = written
            .filter_map(|attribute| Some((number(&attribute.name)?, Arc::clone(&attribute.value))))
            .collect();
        Some(Self { element, attributes, children: Vec::new() })
    }

    /// All elements, this one first, in document order.
    pub fn all(&self) -> Vec<&Node> {
        let below = self.children.iter().filter_map(|child| match child {
            Child::Element(node) => Some(node.all()),
            Child::Text(_) => None,
        });
        std::iter::once(self).chain(below.flatten()).collect()
    }

    /// Visits all elements, in the same order.
    pub fn each(&mut self, visit: &mut impl FnMut(&mut Node)) {
        visit(self);
        for child in &mut self.children {
            if let Child::Element(node) = child {
                node.each(visit);
            }
        }
    }

    /// The script.
    pub fn write(&self, items: &Items) -> String {
        let mut text = String::new();
        self.write_at(items, 0, &mut text);
        text.push('\n');
        text
    }

    fn write_at(&self, items: &Items, depth: usize, text: &mut String) {
        let Some(element) = items.element(self.element) else { return };
        text.push('<');
        text.push_str(&element.name);
        for (number, value) in &self.attributes {
            if let Some(attribute) = element.attributes.get(*number) {
                text.push(' ');
                text.push_str(&attribute.name);
                text.push_str("=\"");
                escape(value, text);
                text.push('"');
            }
        }
        if self.children.is_empty() {
            return text.push_str("/>");
        }
        text.push('>');
        let has_lines = matches!(element.content, Content::Children(_));
        for child in &self.children {
            if has_lines {
                line(depth + 1, text);
            }
            match child {
                Child::Element(node) => node.write_at(items, depth + 1, text),
                Child::Text(value) => escape(value, text),
            }
        }
        if has_lines {
            line(depth, text);
        }
        text.push_str("</");
        text.push_str(&element.name);
        text.push('>');
    }

    /// Gives every ID a name of its own, and lets what refers to one refer to one; whether that can be done. Where
    /// there is no ID, an element that may have one gets it, or references that may be left out are.
    pub fn settle_ids(&mut self, items: &Items) -> bool {
        let mut known = Ids::default();
        self.each(&mut |node| known.count(node, items));
        let needed = known.supplied.len().max(usize::from(known.references > 0));
        if known.ids < needed {
            self.each(&mut |node| known.add(node, items, needed));
        }
        let names = known.names();
        let mut unused = names.iter();
        let (mut turn, mut settled) = (0, known.ids >= known.supplied.len());
        self.each(&mut |node| settled &= node.refer(items, &names, &mut unused, &mut turn));
        settled
    }

    /// Names the IDs of this element and its references.
    fn refer<'n>(
        &mut self,
        items: &Items,
        names: &'n [Arc<str>],
        unused: &mut impl Iterator<Item = &'n Arc<str>>,
        turn: &mut usize,
    ) -> bool {
        let mut settled = true;
        let declared = items.element(self.element).map(|e| e.attributes.as_slice()).unwrap_or_default();
        self.attributes.retain_mut(|(number, value)| {
            let Some(attribute) = declared.get(*number) else { return false };
            let name = match attribute.kind {
                Kind::Id => unused.next(),
                _ if attribute.refers() => {
                    *turn += 1;
                    names.iter().cycle().nth(*turn % names.len().max(1))
                }
                _ => return true,
            };
            let Some(name) = name else {
                settled &= attribute.presence != Presence::Required;
                return false;
            };
            *value = Arc::clone(name);
            true
        });
        settled
    }
}

impl Attribute {
    /// Whether it is an ID or refers to one: then its value is settled with the whole script.
    pub fn is_settled(&self) -> bool {
        self.kind == Kind::Id || self.refers()
    }

    /// Whether its value is to be an ID that another attribute has.
    fn refers(&self) -> bool {
        matches!(self.kind, Kind::Idref | Kind::Idrefs) && !matches!(self.presence, Presence::Fixed(_))
    }
}

/// What there is to refer to.
#[derive(Default)]
struct Ids {
    /// How many elements have an ID.
    ids: usize,
    /// How many attributes refer to one.
    references: usize,
    /// The names that the definition itself refers to.
    supplied: BTreeSet<Arc<str>>,
}

impl Ids {
    fn count(&mut self, node: &Node, items: &Items) {
        let declared = items.element(node.element).map(|e| e.attributes.as_slice()).unwrap_or_default();
        for (number, attribute) in declared.iter().enumerate() {
            let is_written = node.attributes.iter().any(|(written, _)| *written == number);
            self.ids += usize::from(is_written && attribute.kind == Kind::Id);
            self.references += usize::from(is_written && attribute.refers());
            if let (Kind::Idref | Kind::Idrefs, Some(value)) = (&attribute.kind, attribute.presence.value())
                && !(is_written && attribute.refers())
            {
                self.supplied.extend(value.split(' ').map(Arc::from));
            }
        }
    }

    /// Gives the element an ID, if it may have one and more are needed.
    fn add(&mut self, node: &mut Node, items: &Items, needed: usize) {
        let Some(element) = items.element(node.element) else { return };
        let id = element.attributes.iter().position(|attribute| attribute.kind == Kind::Id);
        if let Some(number) = id
            && self.ids < needed
            && node.attributes.iter().all(|(written, _)| *written != number)
        {
            node.attributes.push((number, "".into()));
            self.ids += 1;
        }
    }

    /// As many names as there are IDs, first those that are referred to anyway.
    fn names(&self) -> Vec<Arc<str>> {
        let numbered = (1..).map(|i| Arc::from(format!("i{i}")));
        let free = numbered.filter(|name| !self.supplied.contains(name));
        self.supplied.iter().cloned().chain(free).take(self.ids).collect()
    }
}

fn line(depth: usize, text: &mut String) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Puts in a value so that it is read as it is, in a text or between double quotes.
fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\t' | '\n' | '\r' => text.push_str(&format!("&#{};", u32::from(c))),
            c => text.push(c),
        }
    }
}
