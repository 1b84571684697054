//! Which of the items scripts have shown.
//!
//! What a script shows is read off the validated script itself, whoever wrote it; the generator has no other say.

use std::sync::Arc;

use crate::definition::Presence;
use crate::items::{Attribute, Content, Element, ItemId, Items};
use crate::scanner::Tag;
use crate::script::Script;
use crate::step_event::Phase;

/// Which items have been shown so far.
#[derive(Debug, Clone)]
pub struct Coverage {
    items: Arc<Items>,
    shown: Vec<bool>,
    covered: usize,
}

/// An element of a script that is open.
struct Open {
    number: Option<usize>,
    children: Vec<usize>,
    has_text: bool,
}

impl Coverage {
    /// Nothing has been shown.
    pub fn new(items: Arc<Items>) -> Self {
        Self { shown: vec![false; items.len()], covered: 0, items }
    }

    /// Adds what a script of the same definition shows; returns what none before it had, in the order of the items.
    pub fn mark(&mut self, script: &Script) -> Vec<ItemId> {
        let items = Arc::clone(&self.items);
        let mut new = Vec::new();
        show(&items, script, &mut |id| {
            if let Some(shown) = self.shown.get_mut(id.0).filter(|shown| !**shown) {
                *shown = true;
                new.push(id);
            }
        });
        self.covered += new.len();
        new.sort();
        new
    }

    /// How many items there are.
    pub fn total(&self) -> usize {
        self.shown.len()
    }

    /// How many were shown.
    pub fn covered(&self) -> usize {
        self.covered
    }

    /// Whether this one was.
    pub fn has(&self, id: ItemId) -> bool {
        self.shown.get(id.0).copied().unwrap_or(false)
    }

    /// Those that were not, in order.
    pub fn missing(&self) -> impl Iterator<Item = ItemId> {
        self.items.ids().filter(|id| !self.has(*id))
    }

    /// What there is to cover.
    pub fn items(&self) -> &Arc<Items> {
        &self.items
    }
}

/// Gives every item that the script shows to `take`, as often as it does.
fn show(items: &Items, script: &Script, take: &mut impl FnMut(ItemId)) {
    let mut open: Vec<Open> = Vec::new();
    for visit in script.walk() {
        match visit.phase {
            Phase::Start => {
                let number = items.number(&visit.tag.name);
                if let Some(parent) = open.last_mut() {
                    parent.children.extend(number);
                }
                if let Some(element) = number.and_then(|number| items.element(number)) {
                    take(element.item);
                    element.attributes.iter().for_each(|attribute| attribute.show(visit.tag, take));
                }
                open.push(Open { number, children: Vec::new(), has_text: false });
            }
            Phase::Text => {
                let Some(open) = open.last_mut() else { continue };
                open.has_text = true;
                let element = open.number.and_then(|number| items.element(number));
                if let (Some(element), Some(text)) = (element, visit.text) {
                    element.show_text(text, take);
                }
            }
            Phase::End => {
                let Some(Open { number, children, has_text }) = open.pop() else { continue };
                if let Some(element) = number.and_then(|number| items.element(number)) {
                    element.show_content(&children, has_text, take);
                }
            }
        }
    }
}

impl Element {
    fn show_text(&self, text: &str, take: &mut impl FnMut(ItemId)) {
        if let Content::Mixed(mixed) = &self.content {
            mixed.texts.iter().filter(|choice| *choice.value == *text).filter_map(|c| c.item).for_each(take);
        }
    }

    fn show_content(&self, children: &[usize], has_text: bool, take: &mut impl FnMut(ItemId)) {
        match &self.content {
            Content::Empty => {}
            Content::Children(part) => part.read(children, &mut 0, take),
            Content::Mixed(mixed) => {
                take(if has_text { mixed.with_text } else { mixed.without_text });
                for child in children {
                    if let Ok(at) = mixed.children.binary_search_by_key(child, |(child, _)| *child) {
                        mixed.children.get(at).map(|(_, item)| *item).into_iter().for_each(&mut *take);
                    }
                }
            }
        }
    }
}

impl Attribute {
    fn show(&self, tag: &Tag, take: &mut impl FnMut(ItemId)) {
        let found = tag.attribute(&self.name);
        let is_written = found.is_some_and(|attribute| tag.wrote(attribute));
        let presence = if is_written { self.present } else { self.absent };
        presence.into_iter().for_each(&mut *take);
        // A value counts whether it was written or supplied: the step is the same.
        if let Some(attribute) = found.filter(|_| !matches!(self.presence, Presence::Fixed(_))) {
            let shown = self.values.iter().filter(|choice| choice.value == attribute.value);
            shown.filter_map(|choice| choice.item).for_each(take);
        }
    }
}
