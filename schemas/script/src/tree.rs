//! A second opinion: the script's tree as an independent parser builds it.
//!
//! This is the only user of `sxd-document`. A script means what two parsers of different make read alike; where
//! they differ, one of them could be led to see another script than the other, and the script is refused. It runs
//! last: the parser is quadratic in depth and in attributes, which the scanner has bounded by then.

use sxd_document::dom::{ChildOfElement, ChildOfRoot, Element};
use sxd_document::parser;

use crate::diagnostic::{Position, Problem, fail};
use crate::scanner::{Event, Tag};

const NUMBER: &str = "a second parser reads another number of elements";

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
    let mut tags = tags(events);
    for child in package.as_document().root().children() {
        if let ChildOfRoot::Element(root) = child {
            compare_element(root, 1, &mut tags)?;
        }
    }
    match tags.next() {
        None => Ok(()),
        Some(_) => fail(Position::START, NUMBER),
    }
}

/// The scanner's start tags with their depths.
fn tags(events: &[Event]) -> impl Iterator<Item = (&Tag, usize)> {
    let mut depth = 0_usize;
    events.iter().filter_map(move |event| match event {
        Event::Start(tag) => {
            depth += 1;
            Some((tag, depth))
        }
        Event::End(_) => {
            depth = depth.saturating_sub(1);
            None
        }
        Event::Text(_) | Event::Aside(_) => None,
    })
}

/// Goes over an element and what is below it, at most [`crate::limit::DEPTH_MAX`] deep, as far as the tags agree.
fn compare_element<'t>(
    element: Element,
    depth: usize,
    tags: &mut impl Iterator<Item = (&'t Tag, usize)>,
) -> Result<(), Problem> {
    match tags.next() {
        None => return fail(Position::START, NUMBER),
        Some((tag, level)) if level != depth || *tag.name != *element.name().local_part() => {
            return fail(tag.at, format!("a second parser reads <{}> differently", tag.name));
        }
        Some(_) => {}
    }
    for child in element.children() {
        if let ChildOfElement::Element(child) = child {
            compare_element(child, depth + 1, tags)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Report;
    use crate::scanner::scan;

    fn compare_with(text: &str, scanned: &str) -> Result<(), String> {
        let events = scan(scanned, &mut Report::new("s"));
        compare(text, &events).map_err(|Problem { at, message }| format!("{}:{}: {message}", at.line, at.col))
    }

    #[test]
    fn a_script_that_both_parsers_read_alike_is_accepted() {
        let text = "<?xml version='1.0'?><!-- c --><a x='1' xml:lang='de'>t<b xml:space='preserve'><c/></b>&#65;<![CDATA[<z/>]]><b/><?p i?></a>";
        assert_eq!(compare_with(text, text), Ok(()));
    }

    #[test]
    fn a_script_that_they_read_differently_is_refused() {
        let scanned = "<a>\n<b/><c/></a>";
        let cases = [
            ("<a><b/><d/></a>", "2:5: a second parser reads <c> differently"),
            ("<a><b><c/></b></a>", "2:5: a second parser reads <c> differently"),
            ("<a><c/><b/></a>", "2:1: a second parser reads <b> differently"),
            ("<a><b/></a>", "1:1: a second parser reads another number of elements"),
            ("<a><b/><c/><c/></a>", "1:1: a second parser reads another number of elements"),
            ("<a>\n<b/></c></a>", "2:7: a second parser cannot read the script from here"),
        ];
        for (text, error) in cases {
            assert_eq!(compare_with(text, scanned), Err(error.to_owned()), "{text}");
        }
    }
}
