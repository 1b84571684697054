//! A second opinion: the script's tree as an independent parser builds it.
//!
//! This is the only user of `sxd-document`. A script means what two parsers of different make read alike; where
//! they differ, one of them could be led to see another script than the other, and the script is refused. It runs
//! last: the parser is quadratic in depth and in attributes, which the scanner has bounded by then.

use sxd_document::dom::{ChildOfElement, ChildOfRoot, Element};
use sxd_document::parser;

use crate::diagnostic::{Position, Problem, fail};
use crate::scanner::{Event, Tag};

/// Refuses a script whose tree has other elements, or in another order or depth, than the scanner saw.
pub(crate) fn compare(text: &str, events: &[Event]) -> Result<(), Problem> {
    let package = match parser::parse(text) {
        Ok(package) => package,
        Err(error) => {
            return fail(
                Position::of(text, error.location()),
                "a second parser cannot read the script from here",
            );
        }
    };
    let mut elements = Vec::new();
    for child in package.as_document().root().children() {
        if let ChildOfRoot::Element(root) = child {
            collect(root, 1, &mut elements);
        }
    }
    let tags = tags(events);
    let differing =
        tags.iter().zip(&elements).find(|((tag, depth), element)| (tag.name.as_str(), *depth) != **element);
    match differing {
        Some(((tag, _), _)) => fail(tag.at, format!("a second parser reads <{}> differently", tag.name)),
        None if tags.len() == elements.len() => Ok(()),
        None => fail(Position::START, "a second parser reads another number of elements"),
    }
}

/// The scanner's start tags with their depths.
fn tags(events: &[Event]) -> Vec<(&Tag, usize)> {
    let mut depth = 0_usize;
    let mut tags = Vec::new();
    for event in events {
        match event {
            Event::Start(tag) => {
                depth += 1;
                tags.push((tag, depth));
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(_) | Event::Aside(_) => {}
        }
    }
    tags
}

/// The tree's elements in preorder with their depths, which [`crate::limit::DEPTH_MAX`] bounds.
fn collect<'d>(element: Element<'d>, depth: usize, elements: &mut Vec<(&'d str, usize)>) {
    elements.push((element.name().local_part(), depth));
    for child in element.children() {
        if let ChildOfElement::Element(child) = child {
            collect(child, depth + 1, elements);
        }
    }
}
