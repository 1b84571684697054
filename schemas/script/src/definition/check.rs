//! What holds for a definition as a whole: each element used is declared and can be satisfied, each model is
//! deterministic, each default is of its type, each step event name is fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::parser::{self, Declared, Written};
use super::{Attribute, Content, Element, Kind, Presence, STEP_EVENT};
use crate::automaton::{Automaton, ModelError};
use crate::diagnostic::{Position, Report, shown};
use crate::limit::{DEPTH_MAX, TRANSITIONS_MAX};
use crate::text::is_name;

/// The elements, ready for validation; reports whatever does not hold.
pub(super) fn check(declared: Declared, report: &mut Report) -> BTreeMap<Arc<str>, Element> {
    let Declared { elements, attributes } = declared;
    if elements.is_empty() {
        report.add(Position::START, "no element is declared");
    }
    check_names(&elements, &attributes, report);
    check_finite(&elements, report);
    let mut attributes: BTreeMap<_, _> = attributes
        .into_iter()
        .map(|(name, list)| (name.clone(), check_attributes(&name, list, report)))
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
        Written::Children(model) => Content::Children(Automaton::build(&model, budget)?),
    })
}

type Elements = BTreeMap<Arc<str>, (Position, Written)>;

fn check_names(
    elements: &Elements,
    attributes: &BTreeMap<String, BTreeMap<String, parser::Attribute>>,
    report: &mut Report,
) {
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

fn check_attributes(
    element: &str,
    list: BTreeMap<String, parser::Attribute>,
    report: &mut Report,
) -> BTreeMap<String, Attribute> {
    let ids = list.iter().filter(|(_, attribute)| attribute.kind == Kind::Id);
    for (name, attribute) in ids.clone().skip(1) {
        report.add(attribute.at, format!("{name} of <{element}> is a second ID"));
    }
    for (name, attribute) in ids.filter(|(_, attribute)| attribute.presence.value().is_some()) {
        report.add(
            attribute.at,
            format!("{name} of <{element}> is an ID, which must be #REQUIRED or #IMPLIED"),
        );
    }
    for (name, parser::Attribute { at, kind, presence }) in &list {
        if let Some(value) = presence.value().filter(|value| !kind.allows(value)) {
            report.add(*at, format!("{name} of <{element}>: expected {kind}, found {}", shown(value)));
        }
        let is_event_name = matches!(presence, Presence::Fixed(value) if is_name(value));
        if name == STEP_EVENT && !is_event_name {
            report.add(*at, format!("{STEP_EVENT} of <{element}> must be #FIXED and a name"));
        }
    }
    let bare = |parser::Attribute { kind, presence, .. }| Attribute { kind, presence };
    list.into_iter().map(|(name, attribute)| (name, bare(attribute))).collect()
}
