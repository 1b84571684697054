//! What holds for a definition as a whole: each element used is declared and can be satisfied, each model is
//! deterministic, each default is of its type, each step event name is fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attribute::{Kind, Presence};
use super::element::{Attribute, Content, Element, STEP_EVENT};
use super::parser::{self, Attributes, Declared, Type, Written};
use crate::automaton::{Automaton, ModelError};
use crate::diagnostic::{Position, Report, shown};
use crate::limit::{DEPTH_MAX, NAME_BYTES_MAX, TRANSITIONS_MAX};
use crate::text::is_name;

/// The elements, ready for validation; reports whatever does not hold.
pub(super) fn check(declared: Declared, report: &mut Report) -> BTreeMap<Arc<str>, Element> {
    let Declared { elements, attributes, notations, unparsed } = declared;
    if elements.is_empty() {
        report.add(Position::START, "no element is declared");
    }
    check_names(&elements, &attributes, report);
    check_finite(&elements, report);
    for (name, (at, notation)) in &unparsed {
        check_notation(*at, &format!("the entity {}", shown(name)), notation, &notations, report);
    }
    check_notations(&elements, &attributes, &notations, report);
    let unparsed: Vec<String> = unparsed.into_keys().collect();
    let mut attributes: BTreeMap<_, _> = attributes
        .into_iter()
        .map(|(name, list)| (name.clone(), check_attributes(&name, list, &unparsed, report)))
        .collect();
    let mut budget = TRANSITIONS_MAX;
    let mut ready = BTreeMap::new();
    for (name, (at, written)) in elements {
        let attributes = attributes.remove(&*name).unwrap_or_default();
        match content(written, &mut budget) {
            Ok(content) => drop(ready.insert(name, Element { content, attributes })),
            Err(error) => report.add(at, format!("the content model of <{name}> {error}")),
        }
    }
    ready
}

fn content(written: Written, budget: &mut usize) -> Result<Content, ModelError> {
    Ok(match written {
        Written::Empty => Content::Empty,
        Written::Any => Content::Any,
        Written::Mixed(names) => Content::Mixed(names),
        Written::Children(model) => Content::Children { automaton: Automaton::build(&model, budget)?, model },
    })
}

type Elements = BTreeMap<Arc<str>, (Position, Written)>;

fn check_names(elements: &Elements, attributes: &BTreeMap<String, Attributes>, report: &mut Report) {
    for (name, (at, written)) in elements {
        let used: BTreeSet<&str> = match written {
            Written::Empty | Written::Any => BTreeSet::new(),
            Written::Mixed(names) => names.iter().map(|name| &**name).collect(),
            Written::Children(model) => model.names().into_iter().collect(),
        };
        for used in used.into_iter().filter(|used| !elements.contains_key(*used)) {
            report.add(*at, format!("<{used}>, which <{name}> contains, is not declared"));
        }
    }
    for (element, list) in attributes.iter().filter(|(element, _)| !elements.contains_key(element.as_str())) {
        let at = list.values().map(|attribute| attribute.at).min().unwrap_or(Position::START);
        report.add(at, format!("<{element}>, which has attributes, is not declared"));
    }
}

/// An element is as high as the lowest document with it as root. Round after round finds those of height 1, 2, …;
/// what is higher than a script may be deep can never be said.
fn check_finite(elements: &Elements, report: &mut Report) {
    let mut finite: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..DEPTH_MAX {
        let is_satisfied = |written: &Written| match written {
            Written::Empty | Written::Any | Written::Mixed(_) => true,
            Written::Children(model) => {
                // What is not declared has its own diagnostic.
                model.satisfied_with(&|name| finite.contains(name) || !elements.contains_key(name))
            }
        };
        let next: BTreeSet<&str> = elements
            .iter()
            .filter(|(_, (_, written))| is_satisfied(written))
            .map(|(name, _)| &**name)
            .collect();
        if next.len() == finite.len() {
            break;
        }
        finite = next;
    }
    for (name, (at, _)) in elements.iter().filter(|(name, _)| !finite.contains(&***name)) {
        let message =
            format!("<{name}> always contains more elements: no document of {DEPTH_MAX} levels satisfies it");
        report.add(*at, message);
    }
}

/// An element has one attribute that names its notation, if any, and none if it is empty.
fn check_notations(
    elements: &Elements,
    attributes: &BTreeMap<String, Attributes>,
    notations: &BTreeSet<String>,
    report: &mut Report,
) {
    for (element, list) in attributes {
        let is_empty = matches!(elements.get(element.as_str()), Some((_, Written::Empty)));
        let mut named = 0;
        for (name, attribute) in list {
            let Type::Notation(words) = &attribute.kind else { continue };
            let what = format!("{name} of <{element}>");
            named += 1;
            if named > 1 || is_empty {
                let why = if is_empty {
                    "is a notation of an element without content"
                } else {
                    "is a second notation"
                };
                report.add(attribute.at, format!("{what} {why}"));
            }
            words.iter().for_each(|word| check_notation(attribute.at, &what, word, notations, report));
        }
    }
}

fn check_notation(
    at: Position,
    what: &str,
    notation: &str,
    notations: &BTreeSet<String>,
    report: &mut Report,
) {
    if !notations.contains(notation) {
        report.add(at, format!("{what}: the notation {} is not declared", shown(notation)));
    }
}

/// The attributes of an element, whose types are complete now.
fn check_attributes(
    element: &str,
    list: Attributes,
    unparsed: &[String],
    report: &mut Report,
) -> BTreeMap<Arc<str>, Attribute> {
    let mut attributes = BTreeMap::new();
    let mut has_id = false;
    for (name, parser::Attribute { at, kind, presence }) in list {
        let what = format!("{name} of <{element}>");
        let attribute = Attribute { kind: kind.complete(unparsed), presence };
        if attribute.kind == Kind::Id {
            if std::mem::replace(&mut has_id, true) {
                report.add(at, format!("{what} is a second ID"));
            }
            if attribute.presence.value().is_some() {
                report.add(at, format!("{what} is an ID, which must be #REQUIRED or #IMPLIED"));
            }
        }
        check_value(at, &what, &attribute, report);
        if *name == *STEP_EVENT && !names_an_event(&attribute) {
            report.add(at, format!("{what} must be #FIXED and a name"));
        }
        attributes.insert(name, attribute);
    }
    attributes
}

/// What is supplied must be allowed, and what is required possible.
fn check_value(at: Position, what: &str, Attribute { kind, presence }: &Attribute, report: &mut Report) {
    if let Some(value) = presence.value().filter(|value| !kind.allows(value)) {
        report.add(at, format!("{what}: expected {kind}, found {}", shown(value)));
    }
    let is_possible = !matches!(kind, Kind::OneOf(words) | Kind::SomeOf(words) if words.is_empty());
    if !is_possible && *presence == Presence::Required {
        report.add(at, format!("{what} is #REQUIRED and names an unparsed entity, but none is declared"));
    }
}

fn names_an_event(attribute: &Attribute) -> bool {
    matches!(&attribute.presence, Presence::Fixed(value) if is_name(value) && value.len() <= NAME_BYTES_MAX)
}

impl Type {
    /// The type, knowing all unparsed entities.
    fn complete(self, unparsed: &[String]) -> Kind {
        match self {
            Type::Plain(kind) => kind,
            Type::Entity => Kind::OneOf(unparsed.to_vec()),
            Type::Entities => Kind::SomeOf(unparsed.to_vec()),
            Type::Notation(words) => Kind::OneOf(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::definition::Definition;
    use crate::limit::{DEPTH_MAX, NAME_BYTES_MAX};

    fn error(text: &str) -> String {
        Definition::parse("d", text.as_bytes()).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn what_does_not_hold_together_is_refused_where_it_is_declared() {
        let cases = [
            ("<!-- -->", "d:1:1: no element is declared"),
            (
                "\n<!ELEMENT r (a, (b | a)?)><!ELEMENT a EMPTY>",
                "d:2:1: <b>, which <r> contains, is not declared",
            ),
            ("<!ELEMENT r (#PCDATA | b)*>", "d:1:1: <b>, which <r> contains, is not declared"),
            (
                "<!ELEMENT r ANY>\n<!ATTLIST s a CDATA ''>",
                "d:2:13: <s>, which has attributes, is not declared",
            ),
            ("<!ELEMENT r ANY><!ATTLIST r a ID #IMPLIED b ID #IMPLIED>", "d:1:43: b of <r> is a second ID"),
            (
                "<!ELEMENT r ANY><!ATTLIST r a ID 'x'>",
                "d:1:29: a of <r> is an ID, which must be #REQUIRED or #IMPLIED",
            ),
            (
                "<!ELEMENT r ANY><!ATTLIST r a (x | y) 'z'>",
                "d:1:29: a of <r>: expected `x` or `y`, found `z`",
            ),
            (
                "<!ELEMENT r ANY><!ATTLIST r a IDREFS #FIXED ''>",
                "d:1:29: a of <r>: expected names parted by spaces, found ``",
            ),
            (
                "<!ELEMENT r ANY><!ATTLIST r step-event CDATA 'x'>",
                "d:1:29: step-event of <r> must be #FIXED and a name",
            ),
            (
                "<!ELEMENT r ANY><!ATTLIST r step-event CDATA #FIXED 'x y'>",
                "d:1:29: step-event of <r> must be #FIXED and a name",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn a_step_event_name_of_the_limit_is_accepted_and_a_longer_one_is_not() {
        let named = |n: usize| {
            let name = "n".repeat(n);
            error(&format!("<!ELEMENT r ANY><!ATTLIST r step-event CDATA #FIXED '{name}'>"))
        };
        assert_eq!(named(NAME_BYTES_MAX), "");
        assert_eq!(named(NAME_BYTES_MAX + 1), "d:1:29: step-event of <r> must be #FIXED and a name");
    }

    #[test]
    fn a_model_that_is_not_deterministic_is_refused() {
        let names = "<!ELEMENT a EMPTY><!ELEMENT b EMPTY>";
        let expected =
            "d:1:1: the content model of <r> is not deterministic: a <a> may stand for two places in it";
        for model in
            ["(a | a)", "((a, b) | (a, a))", "(a?, a)", "(a*, a)", "((a, b?)*, a)", "(b?, (a, b?)+, a)"]
        {
            assert_eq!(error(&format!("<!ELEMENT r {model}>{names}")), expected, "{model}");
        }
    }

    #[test]
    fn an_element_that_no_finite_document_satisfies_is_refused() {
        let message = "always contains more elements: no document of 64 levels satisfies it";
        let text = "<!ELEMENT r (a | b)> <!ELEMENT a (c)>\n<!ELEMENT c (a+)> <!ELEMENT b EMPTY>";
        assert_eq!(error(text), format!("d:1:22: <a> {message}\nd:2:1: <c> {message}"));
        assert_eq!(error("<!ELEMENT r (r?)>"), "");
    }

    #[test]
    fn an_element_of_the_deepest_script_is_accepted_and_a_deeper_one_is_not() {
        let chain = |n: usize| {
            let links: String = (1..n).map(|i| format!("<!ELEMENT e{i} (e{})>", i + 1)).collect();
            error(&format!("{links}<!ELEMENT e{n} EMPTY>"))
        };
        assert_eq!(chain(DEPTH_MAX), "");
        assert!(chain(DEPTH_MAX + 1).starts_with("d:1:1: <e1> always contains more elements"));
    }

    #[test]
    fn models_that_need_too_many_transitions_are_refused() {
        let names = |n: usize| (0..n).map(|i| format!("e{i}")).collect::<Vec<_>>();
        let text = |n: usize| {
            let declared: String = names(n).iter().map(|name| format!("<!ELEMENT {name} EMPTY>")).collect();
            format!("<!ELEMENT r ({}?)>{declared}", names(n).join("?, "))
        };
        // Each of `n` names follows all before it: n + n (n + 1) / 2 + n + 1 is within 2^18 for 721.
        assert_eq!(error(&text(721)), "");
        let message =
            "the content model of <r> is too large: all models together need more than 262144 transitions";
        assert_eq!(error(&text(722)), format!("d:1:1: {message}"));
    }
}
