//! Scripts: what their definition allows, as a walk.

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Position, Report};
use crate::limit::SCRIPT_BYTES_MAX;
use crate::scanner::{Event, Tag, scan};
use crate::step_event::Phase;
use crate::text::decode_xml;
use crate::tree::compare;
use crate::validator::validate;

/// A script that its definition allows.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) file: String,
    pub(crate) events: Vec<Event>,
}

/// One step event of a walk, with what an operation's arguments can be taken from.
#[derive(Debug)]
pub(crate) struct Visit<'s> {
    pub phase: Phase,
    pub at: Position,
    /// The element, with the attributes that the definition supplies.
    pub tag: &'s Tag,
    /// The text, if this is one.
    pub text: Option<&'s str>,
}

impl Script {
    /// Reads a script. `file` is what diagnostics call it.
    ///
    /// ```
    /// use flotilla_script::{Definition, Script};
    /// let definition = Definition::parse("d.dtd", b"
    ///     <!ELEMENT initialize (temperature, wind)> <!ELEMENT temperature (#PCDATA)> <!ELEMENT wind EMPTY>").unwrap();
    /// let error = Script::parse("script.xml", b"<initialize>\n  <wind/>\n</initialize>", &definition).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "script.xml:2:3: <wind> is not allowed here in <initialize>; expected <temperature>"
    /// );
    /// ```
    pub fn parse(file: &str, text: &[u8], definition: &Definition) -> Result<Self, Diagnostics> {
        let mut report = Report::new(file);
        let mut events = Vec::new();
        if let Some(text) = decode_xml(text, SCRIPT_BYTES_MAX, &mut report) {
            events = scan(&text, &mut report);
            validate(&mut events, definition, &mut report);
            if report.is_empty()
                && let Err(problem) = compare(&text, &events)
            {
                report.problem(problem);
            }
        }
        report.finish().map(|()| Self { file: file.to_owned(), events })
    }

    /// The name of the root element.
    pub fn root(&self) -> &str {
        self.walk().next().map_or("", |visit| &visit.tag.name)
    }

    /// The step events in document order. White space between elements is none.
    pub(crate) fn walk(&self) -> impl Iterator<Item = Visit<'_>> {
        let mut open: Vec<&Tag> = Vec::new();
        self.events.iter().filter_map(move |event| {
            let (phase, at, text) = match event {
                Event::Start(tag) => {
                    open.push(tag);
                    (Phase::Start, tag.at, None)
                }
                Event::Text(text) if !text.is_white => (Phase::Text, text.at, Some(&*text.text)),
                Event::Text(_) | Event::Aside(_) => return None,
                Event::End(at) => (Phase::End, *at, None),
            };
            let tag = if phase == Phase::End { open.pop() } else { open.last().copied() };
            tag.map(|tag| Visit { phase, at, tag, text })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(script: &[u8]) -> String {
        let definition = Definition::parse("d", b"<!ELEMENT r (#PCDATA)>").unwrap();
        Script::parse("s", script, &definition).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn a_script_of_the_largest_size_is_read_and_a_larger_one_is_not() {
        let sized = |bytes: usize| format!("<r>{}</r>", "x".repeat(bytes - 7)).into_bytes();
        assert_eq!(error(&sized(SCRIPT_BYTES_MAX)), "");
        assert_eq!(error(&sized(SCRIPT_BYTES_MAX + 1)), "s:1:1: the file is larger than 1048576 bytes");
    }

    #[test]
    fn what_is_wrong_with_form_and_with_content_is_told_together() {
        assert_eq!(
            error(b"<r>&x;\n<r/>"),
            "s:1:4: general entities are not supported: `&x;`\n\
             s:2:1: <r> is not allowed here in <r>; expected text\n\
             s:2:5: the text ends within <r>, which was opened at 1:1"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_before_anything_is_read() {
        assert_eq!(error(b"<r>\xff</r>"), "s:1:4: this is not UTF-8");
        assert_eq!(error("<r>\u{feff}\u{1}".as_bytes()), "s:1:5: the character U+0001 is not allowed");
    }

    #[test]
    fn a_byte_order_mark_and_other_line_ends_are_read() {
        assert_eq!(error("\u{feff}<?xml version='1.0'?>\r\n<r>a\rb</r>\r\n".as_bytes()), "");
    }
}
