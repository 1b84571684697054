//! Scripts: what their definition allows, as a walk.

use std::sync::Arc;

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Position, Report};
use crate::limit::SCRIPT_BYTES_MAX;
use crate::scanner::{Event, Tag, scan};
use crate::step_event::{Phase, StepEvent};
use crate::text::decode_xml;
use crate::tree::compare;
use crate::validator::validate;

/// A script that its definition allows: its step events in document order.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) file: String,
    pub(crate) walk: Vec<Visit>,
}

/// One step event of a walk, with what an operation's arguments can be taken from.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub event: StepEvent,
    pub at: Position,
    /// The element, with the attributes that the definition supplies.
    pub tag: Arc<Tag>,
    /// The text, if this is one.
    pub text: Option<String>,
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
        report.finish()?;
        Ok(Self { file: file.to_owned(), walk: walk(events, definition) })
    }

    /// The name of the root element.
    pub fn root(&self) -> &str {
        self.walk.first().map_or("", |visit| &visit.tag.name)
    }
}

/// The step events of a valid script. White space between elements is none.
fn walk(events: Vec<Event>, definition: &Definition) -> Vec<Visit> {
    let mut walk = Vec::new();
    let mut open: Vec<Arc<Tag>> = Vec::new();
    for event in events {
        let (phase, at, text) = match event {
            Event::Start(tag) => {
                let at = tag.at;
                open.push(Arc::new(tag));
                (Phase::Start, at, None)
            }
            Event::Text(text) if !text.is_white => (Phase::Text, text.at, Some(text.text)),
            Event::Text(_) | Event::Aside(_) => continue,
            Event::End(at) => (Phase::End, at, None),
        };
        let tag = if phase == Phase::End { open.pop() } else { open.last().cloned() };
        if let Some((tag, element)) =
            tag.and_then(|tag| definition.element(&tag.name).map(|element| (tag, element)))
        {
            let event = StepEvent::new(phase, element.event_name(&tag.name));
            walk.push(Visit { event, at, tag, text });
        }
    }
    walk
}
