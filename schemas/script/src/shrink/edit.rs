//! The single steps that may make a script shorter, those that leave out the most first.

use std::ops::Range;
use std::sync::Arc;

use crate::chance::Chance;
use crate::definition::Kind;
use crate::draft::{Child, Node};
use crate::generator::growth::Growth;
use crate::generator::wanted::Wanted;
use crate::items::{Choice, Items};

/// A step: at which element, by its number in document order, and what happens there.
#[derive(Debug)]
pub(super) struct Edit {
    node: usize,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// These children are left out.
    Cut(Range<usize>),
    /// The content becomes the smallest.
    Least,
    /// A child is replaced by its own children.
    Unwrap(usize),
    /// A child is replaced by an element below it, by its number there.
    Raise(usize, usize),
    /// A child is replaced by another element, the smallest of its kind.
    Swap(usize, usize),
    /// An attribute is left out.
    Bare(usize),
    /// An attribute gets this value.
    Attribute(usize, Arc<str>),
    /// A text becomes this one.
    Text(usize, Arc<str>),
}

/// Everything that can be tried with this script.
pub(super) fn list(root: &Node, items: &Items) -> Vec<Edit> {
    let nodes = root.all();
    let structure = nodes.iter().enumerate().flat_map(|(i, node)| at(i, structural(node, items)));
    let content = nodes.iter().enumerate().flat_map(|(i, node)| at(i, valued(node, items)));
    structure.chain(content).collect()
}

fn at(node: usize, changes: Vec<Change>) -> impl Iterator<Item = Edit> {
    changes.into_iter().map(move |change| Edit { node, change })
}

fn structural(node: &Node, items: &Items) -> Vec<Change> {
    let mut changes = vec![Change::Least];
    let count = node.children.len();
    let mut size = count;
    while size > 0 {
        let starts = (0..count).step_by(size);
        changes.extend(starts.map(|start| Change::Cut(start..(start + size).min(count))));
        size /= 2;
    }
    for (i, child) in node.children.iter().enumerate() {
        if let Child::Element(child) = child {
            changes.push(Change::Unwrap(i));
            changes.extend((1..child.all().len()).rev().map(|below| Change::Raise(i, below)));
            let others = items.element(node.element).into_iter().flat_map(|element| &element.children);
            changes.extend(others.filter(|other| **other != child.element).map(|o| Change::Swap(i, *o)));
        }
    }
    changes
}

fn valued(node: &Node, items: &Items) -> Vec<Change> {
    let declared = items.element(node.element).map(|e| e.attributes.as_slice()).unwrap_or_default();
    let mut changes = Vec::new();
    for (i, (number, value)) in node.attributes.iter().enumerate() {
        changes.push(Change::Bare(i));
        if let Some(attribute) = declared.get(*number) {
            let is_whole = !matches!(attribute.kind, Kind::Cdata | Kind::Nmtoken | Kind::Nmtokens);
            let shorter = shorter(value, &attribute.values, is_whole);
            changes.extend(shorter.map(|value| Change::Attribute(i, value)));
        }
    }
    for (i, child) in node.children.iter().enumerate() {
        if let Child::Text(text) = child {
            changes.extend(shorter(text, &[], false).map(|text| Change::Text(i, text)));
        }
    }
    changes
}

/// Shorter values, the shortest first: those that are listed, and parts of this one unless it counts as a whole.
fn shorter(value: &str, listed: &[Choice], is_whole: bool) -> impl Iterator<Item = Arc<str>> + use<> {
    let chars: Vec<char> = value.chars().collect();
    let (count, half) = (chars.len(), chars.len() / 2);
    let parts = [0..0, 0..half, half..count, 1..count, 0..count.saturating_sub(1)];
    let part = |range: Range<usize>| chars.get(range).map(|part| part.iter().collect::<String>().into());
    let parts = parts.into_iter().filter_map(part).filter(|_| !is_whole);
    let mut values: Vec<Arc<str>> =
        listed.iter().map(|choice| Arc::clone(&choice.value)).chain(parts).collect();
    values.retain(|other| other.len() < value.len());
    values.sort_by_key(|value| value.len());
    values.into_iter()
}

impl Edit {
    /// The script after this step, which need not be valid.
    pub fn apply(&self, root: &Node, items: &Items) -> Option<Node> {
        let mut edited = root.clone();
        let (mut number, mut is_done) = (0, false);
        edited.each(&mut |node| {
            if number == self.node && !is_done {
                is_done = self.change.apply(node, items).is_some();
            }
            number += 1;
        });
        is_done.then_some(edited)
    }
}

impl Change {
    fn apply(&self, node: &mut Node, items: &Items) -> Option<()> {
        match self {
            Change::Cut(children) => drop(node.children.drain(children.clone())),
            Change::Least => node.children = least(node.element, items).children,
            Change::Unwrap(child) => {
                let Child::Element(old) = node.children.get(*child)? else { return None };
                let inner = old.children.clone();
                drop(node.children.splice(*child..=*child, inner));
            }
            Change::Raise(child, below) => {
                let Child::Element(old) = node.children.get(*child)? else { return None };
                let new = (*old.all().get(*below)?).clone();
                *node.children.get_mut(*child)? = Child::Element(new);
            }
            Change::Swap(child, element) => {
                *node.children.get_mut(*child)? = Child::Element(least(*element, items));
            }
            Change::Bare(attribute) => drop(node.attributes.remove(*attribute)),
            Change::Attribute(attribute, value) => {
                node.attributes.get_mut(*attribute)?.1 = Arc::clone(value);
            }
            Change::Text(child, text) => *node.children.get_mut(*child)? = Child::Text(Arc::clone(text)),
        }
        Some(())
    }
}

/// The smallest element of a kind.
fn least(element: usize, items: &Items) -> Node {
    let mut chance = Chance::new(0);
    Growth::new(items, &mut chance, Wanted::these(items, [])).least(element)
}
