//! Whether a script says only what its definition allows (XML 1.0, fifth edition, the validity constraints of 3).
//!
//! Goes over the scanner's events once, supplies the attributes that the definition supplies and normalises the
//! others. After an element that stands in a wrong place, its parent's model is not followed any further, so one
//! mistake makes one diagnostic; the elements themselves are still looked into.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::automaton::Place;
use crate::definition::{Content, Definition, Element, Kind, Presence};
use crate::diagnostic::{Position, Report, alternatives, shown};
use crate::scanner::{Attribute, Event, Tag, Text};

/// Reports what the definition does not allow.
pub(crate) fn validate(events: &mut [Event], definition: &Definition, report: &mut Report) {
    let mut validator =
        Validator { definition, report, open: Vec::new(), ids: BTreeSet::new(), references: Vec::new() };
    for event in events {
        match event {
            Event::Start(tag) => validator.start(tag),
            Event::Text(text) => validator.text(text),
            Event::Aside(at) => validator.anything(*at, "a comment or processing instruction"),
            Event::End(at) => validator.end(*at),
        }
    }
    validator.references();
}

struct Validator<'d> {
    definition: &'d Definition,
    report: &'d mut Report,
    open: Vec<Open<'d>>,
    ids: BTreeSet<String>,
    references: Vec<(Position, String)>,
}

/// An element that is open.
struct Open<'d> {
    name: Arc<str>,
    /// None if it is not declared: then nothing is said of its content.
    element: Option<&'d Element>,
    /// None if something stood in a wrong place before.
    place: Option<Place>,
}

impl<'d> Validator<'d> {
    fn start(&mut self, tag: &mut Tag) {
        let element = self.definition.element(&tag.name);
        match element {
            None => self.report.add(tag.at, format!("<{}> is not declared in the definition", tag.name)),
            Some(element) => {
                self.child(tag);
                self.attributes(tag, element);
            }
        }
        self.open.push(Open { name: Arc::clone(&tag.name), element, place: Some(Place::default()) });
    }

    fn child(&mut self, tag: &Tag) {
        let Some(parent) = self.open.last_mut() else { return };
        let (Some(element), Some(place)) = (parent.element, parent.place) else { return };
        parent.place = match &element.content {
            Content::Any => Some(place),
            Content::Empty => None,
            Content::Mixed(names) => names.contains(&*tag.name).then_some(place),
            Content::Children { automaton, .. } => automaton.step(place, &tag.name),
        };
        if parent.place.is_none() {
            let message = format!(
                "<{}> is not allowed here in <{}>; {}",
                tag.name,
                parent.name,
                expected(&parent.name, element, place)
            );
            self.report.add(tag.at, message);
        }
    }

    fn text(&mut self, text: &Text) {
        let Some(Open { name, element: Some(element), place: Some(place) }) = self.open.last() else {
            return;
        };
        match &element.content {
            Content::Any | Content::Mixed(_) => {}
            Content::Empty => self.anything(text.at, "text"),
            Content::Children { .. } if text.is_white && text.is_literal => {}
            Content::Children { .. } => {
                // References and CDATA sections are text even if what they stand for is white space.
                let message =
                    format!("text is not allowed here in <{name}>; {}", expected(name, element, *place));
                self.report.add(text.at, message);
            }
        }
    }

    /// An element without content has not even a comment.
    fn anything(&mut self, at: Position, what: &str) {
        let Some(Open { name, element: Some(element), .. }) = self.open.last() else { return };
        if matches!(element.content, Content::Empty) {
            self.report.add(
                at,
                format!("{what} is not allowed in <{name}>; {}", expected(name, element, Place::default())),
            );
        }
    }

    fn end(&mut self, at: Position) {
        let Some(Open { name, element: Some(element), place: Some(place) }) = self.open.pop() else { return };
        if matches!(&element.content, Content::Children { automaton, .. } if !automaton.may_end(place)) {
            self.report.add(at, format!("<{name}> is not complete; {}", expected(&name, element, place)));
        }
    }

    fn attributes(&mut self, tag: &mut Tag, element: &'d Element) {
        for attribute in &mut tag.attributes {
            self.attribute(&tag.name, attribute, element);
        }
        for (name, declared) in &element.attributes {
            if tag.attributes.iter().any(|attribute| attribute.name == *name) {
                continue;
            }
            if let Some(value) = declared.presence.value() {
                tag.attributes.push(Attribute {
                    name: Arc::clone(name),
                    value: Arc::clone(value),
                    at: tag.at,
                });
                self.refer(tag.at, &declared.kind, value);
            } else if declared.presence == Presence::Required {
                self.report.add(tag.at, format!("<{}> lacks {name}; expected {}", tag.name, declared.kind));
            }
        }
    }
    fn attribute(&mut self, tag: &str, attribute: &mut Attribute, element: &Element) {
        let Attribute { name, value, at } = attribute;
        let Some(declared) = element.attributes.get(name) else {
            let known = alternatives(element.attributes.keys().map(|name| name.to_string()));
            return self.report.add(*at, format!("<{tag}> has no attribute {name}; expected {known}"));
        };
        if !declared.kind.is_normal(value) {
            *value = declared.kind.normalise(value);
        }
        if !declared.kind.allows(value) {
            let message = format!("{name} of <{tag}>: expected {}, found {}", declared.kind, shown(value));
            return self.report.add(*at, message);
        }
        match &declared.presence {
            Presence::Fixed(fixed) if fixed != value => {
                let message = format!("{name} of <{tag}>: expected {}, found {}", shown(fixed), shown(value));
                self.report.add(*at, message);
            }
            _ => self.refer(*at, &declared.kind, value),
        }
    }

    fn refer(&mut self, at: Position, kind: &Kind, value: &str) {
        match kind {
            Kind::Id => {
                if !self.ids.insert(value.to_owned()) {
                    self.report.add(at, format!("the ID {} is another element's already", shown(value)));
                }
            }
            Kind::Idref | Kind::Idrefs => {
                self.references.extend(value.split(' ').map(|word| (at, word.to_owned())));
            }
            Kind::Cdata | Kind::Nmtoken | Kind::Nmtokens | Kind::OneOf(_) | Kind::SomeOf(_) => {}
        }
    }

    fn references(self) {
        for (at, id) in self.references.iter().filter(|(_, id)| !self.ids.contains(id)) {
            self.report.add(*at, format!("no element has the ID {}", shown(id)));
        }
    }
}

/// What may stand at this place of an element, to end a message.
fn expected(name: &str, element: &Element, place: Place) -> String {
    let tag = |name: &str| format!("<{name}>");
    let end = format!("</{name}>");
    let list = match &element.content {
        Content::Empty => end,
        Content::Any => "anything".to_owned(),
        Content::Mixed(names) => {
            alternatives(["text".to_owned()].into_iter().chain(names.iter().map(|n| tag(n))))
        }
        Content::Children { automaton, .. } => {
            let end = automaton.may_end(place).then_some(end);
            alternatives(automaton.expected(place).into_iter().map(tag).chain(end))
        }
    };
    format!("expected {list}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::scan;

    const DEFINITION: &str = "
        <!ELEMENT r (a, b?, c*)> <!ATTLIST r must CDATA #REQUIRED>
        <!ELEMENT a EMPTY> <!ATTLIST a speed (low | high) 'low' fixed CDATA #FIXED 'x' n NMTOKENS #IMPLIED>
        <!ELEMENT b (#PCDATA | a)*> <!ATTLIST b id ID #IMPLIED to IDREFS #IMPLIED>
        <!ELEMENT c ANY>
        <!ELEMENT d EMPTY> <!ATTLIST d to IDREF 'i'>";

    fn validated(script: &str) -> (Vec<Event>, String) {
        let definition = Definition::parse("d", DEFINITION.as_bytes()).unwrap();
        let mut report = Report::new("s");
        let mut events = scan(script, &mut report);
        validate(&mut events, &definition, &mut report);
        (events, report.finish().map_or_else(|errors| errors.to_string(), |()| String::new()))
    }

    #[test]
    fn what_the_definition_allows_is_valid() {
        for script in [
            "<r must=''><a/></r>",
            "<r must='1'> <a speed=' high '></a><!-- c --> <b id='i'>t<a n='1 2'/>t</b><c><r must=''><a/></r>t</c><c/></r>",
            "<r must='1'><a/><b to='i j'/><c><b id='i'/><b id='j'/></c></r>",
            "<c>&#32;<![CDATA[ ]]></c>",
        ] {
            assert_eq!(validated(script).1, "", "{script}");
        }
    }

    #[test]
    fn what_it_does_not_allow_is_refused_where_it_stands() {
        let cases = [
            ("<x/>", "s:1:1: <x> is not declared in the definition"),
            ("<r must=''><b/></r>", "s:1:12: <b> is not allowed here in <r>; expected <a>"),
            ("<r must=''><a/><a/></r>", "s:1:16: <a> is not allowed here in <r>; expected <b>, <c> or </r>"),
            ("<r must=''>\n</r>", "s:2:1: <r> is not complete; expected <a>"),
            ("<r must=''/>", "s:1:1: <r> is not complete; expected <a>"),
            ("<r must=''> t<a/></r>", "s:1:13: text is not allowed here in <r>; expected <a>"),
            ("<r must=''>&#32;<a/></r>", "s:1:12: text is not allowed here in <r>; expected <a>"),
            ("<r must=''><![CDATA[]]><a/></r>", "s:1:12: text is not allowed here in <r>; expected <a>"),
            ("<a> </a>", "s:1:4: text is not allowed in <a>; expected </a>"),
            ("<a><b/></a>", "s:1:4: <b> is not allowed here in <a>; expected </a>"),
            (
                "<a><!-- --></a>",
                "s:1:4: a comment or processing instruction is not allowed in <a>; expected </a>",
            ),
            ("<b><c/></b>", "s:1:4: <c> is not allowed here in <b>; expected text or <a>"),
            ("<r><a/></r>", "s:1:1: <r> lacks must; expected text"),
            ("<a sped='low'/>", "s:1:4: <a> has no attribute sped; expected fixed, n or speed"),
            ("<c x=''/>", "s:1:4: <c> has no attribute x; expected none"),
            ("<a speed='fast'/>", "s:1:4: speed of <a>: expected `low` or `high`, found `fast`"),
            ("<a fixed='y'/>", "s:1:4: fixed of <a>: expected `x`, found `y`"),
            ("<b id='1'/>", "s:1:4: id of <b>: expected a name that no other element has, found `1`"),
            ("<c><b id='i'/><b id='i'/></c>", "s:1:18: the ID `i` is another element's already"),
            ("<d/>", "s:1:1: no element has the ID `i`"),
            ("<c><b id='i' to='i j'/></c>", "s:1:14: no element has the ID `j`"),
        ];
        for (script, error) in cases {
            assert_eq!(validated(script).1, error, "{script}");
        }
    }

    #[test]
    fn every_mistake_is_told_and_each_once() {
        let (_, errors) = validated("<r>\n<c/><c/><x><a/></x>\n<a speed=''/>\n</r>");
        let expected = [
            "s:1:1: <r> lacks must; expected text",
            "s:2:1: <c> is not allowed here in <r>; expected <a>",
            "s:2:9: <x> is not declared in the definition",
            "s:3:4: speed of <a>: expected `low` or `high`, found ``",
        ];
        assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn supplied_attributes_are_added_and_words_are_normalised() {
        let (events, _) = validated("<a n='  1   2 '/>");
        let Some(Event::Start(tag)) = events.first() else { panic!("{events:?}") };
        let attributes: Vec<(&str, &str)> = tag.attributes.iter().map(|a| (&*a.name, &*a.value)).collect();
        assert_eq!(attributes, [("n", "1 2"), ("fixed", "x"), ("speed", "low")]);
    }
}
