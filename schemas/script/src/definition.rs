//! Definitions: what scripts may say, as a DTD declares it.
//!
//! A definition is an external subset (XML 1.0, fifth edition, 2.8, 3.2 to 3.4, 4.2 and 4.7): elements, attributes,
//! parameter entities, INCLUDE and IGNORE; the names of unparsed entities and of notations. Refused by name are
//! references to general entities, parameter entities in other files, `:` in names (but `xml:space` and the like),
//! models that are not deterministic, elements that are used and not declared, and elements that no finite document
//! satisfies. So whatever is declared can be said, and can be said in one way.

mod attribute;
mod check;
mod element;
mod input;
pub(crate) mod model;
mod parser;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Report};
use crate::limit::DEFINITION_BYTES_MAX;
use crate::step_event::StepEvent;
use crate::text::decode_xml;

pub(crate) use attribute::{Kind, Presence};
pub(crate) use element::{Attribute, Content, Element, STEP_EVENT};

/// What scripts of one kind may say.
#[derive(Debug, Clone)]
pub struct Definition {
    elements: BTreeMap<Arc<str>, Element>,
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
        let refuse =
            |_: &str| Err("a definition is one file; external entities are not supported".to_owned());
        Self::parse_with(file, text, refuse)
    }

    /// Reads a definition of several files, as people keep large ones. `load` gives what a system identifier names,
    /// or says why it does not; what it gives is bounded as the first file is.
    ///
    /// ```
    /// use flotilla_script::Definition;
    /// let text = b"<!ENTITY % tables SYSTEM 'tables.mod'> %tables;";
    /// let load = |id: &str| match id {
    ///     "tables.mod" => Ok(b"<!ELEMENT table EMPTY>".to_vec()),
    ///     _ => Err("there is no such file".to_owned()),
    /// };
    /// assert_eq!(Definition::parse_with("d.dtd", text, load).unwrap().elements().collect::<Vec<_>>(), ["table"]);
    /// let error = Definition::parse("d.dtd", text).unwrap_err().to_string();
    /// assert!(error.starts_with("d.dtd:1:40: %tables; (`tables.mod`): a definition is one file"), "{error}");
    /// ```
    pub fn parse_with(
        file: &str,
        text: &[u8],
        mut load: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, Diagnostics> {
        let mut report = Report::new(file);
        let declared = decode_xml(text, DEFINITION_BYTES_MAX, &mut report)
            .map(|text| parser::parse(&text, &mut load, &mut report))
            .unwrap_or_default();
        let elements = if report.is_empty() { check::check(declared, &mut report) } else { BTreeMap::new() };
        report.finish().map(|()| Self { elements })
    }

    /// The names of all elements, sorted.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The elements that no other element contains, sorted: what a script can sensibly begin with. All elements
    /// if each is contained by another.
    pub fn roots(&self) -> BTreeSet<&str> {
        let contained =
            |(name, element)| self.children(element).into_iter().filter(move |child| *child != name);
        let contained: BTreeSet<&str> = self.iter().flat_map(contained).collect();
        let roots: BTreeSet<&str> = self.elements().filter(|name| !contained.contains(name)).collect();
        if roots.is_empty() { self.elements().collect() } else { roots }
    }

    /// Every step event that scripts with this root can produce; none if the root is not declared.
    pub fn step_events(&self, root: &str) -> BTreeSet<StepEvent> {
        self.reachable(root).into_iter().flat_map(|(name, element)| element.step_events(name)).collect()
    }

    pub(crate) fn element(&self, name: &str) -> Option<&Element> {
        self.elements.get(name)
    }

    /// The elements that documents with this root can contain, the root among them.
    pub(crate) fn reachable(&self, root: &str) -> BTreeMap<&str, &Element> {
        let mut reachable = BTreeMap::new();
        let mut waiting = vec![root];
        while let Some(name) = waiting.pop() {
            if let Some((name, element)) = self.elements.get_key_value(name)
                && reachable.insert(&**name, element).is_none()
            {
                waiting.extend(self.children(element));
            }
        }
        reachable
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Element)> {
        self.elements.iter().map(|(name, element)| (&**name, element))
    }

    fn children<'a>(&'a self, element: &'a Element) -> Vec<&'a str> {
        match &element.content {
            Content::Empty => Vec::new(),
            Content::Any => self.elements().collect(),
            Content::Mixed(names) => names.iter().map(|name| &**name).collect(),
            Content::Children { automaton, .. } => automaton.names().into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(text: &str) -> Definition {
        Definition::parse("d", text.as_bytes()).unwrap()
    }

    fn events(definition: &Definition, root: &str) -> Vec<String> {
        definition.step_events(root).iter().map(StepEvent::to_string).collect()
    }

    #[test]
    fn step_events_are_what_scripts_with_the_root_can_produce() {
        let definition = definition(
            "<!ELEMENT r (a | b)> <!ELEMENT a EMPTY> <!ELEMENT b (#PCDATA | a)*> <!ELEMENT other ANY>
            <!ATTLIST a step-event NMTOKEN #FIXED 'act'>",
        );
        let expected = ["start act", "start b", "start r", "text b", "end act", "end b", "end r"];
        let mut found = events(&definition, "r");
        found.sort_by_key(|event| expected.iter().position(|other| other == event));
        assert_eq!(found, expected);
        assert_eq!(events(&definition, "other").len(), 10);
        assert!(events(&definition, "nothing").is_empty());
    }

    #[test]
    fn roots_are_what_nothing_else_contains() {
        let roots = |text: &str| definition(text).roots().into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(roots("<!ELEMENT r (a, r?)> <!ELEMENT a EMPTY> <!ELEMENT s (a)>"), ["r", "s"]);
        assert_eq!(roots("<!ELEMENT a (b?)> <!ELEMENT b (a?)>"), ["a", "b"]);
    }
}
