//! The items of one element: its own, its content's, its attributes'.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cost::Cost;
use super::element::{Attribute, Choice, Content, Element, Mixed};
use super::item::{ItemId, ItemsError};
use super::model::Builder;
use super::names::{Names, clipped};
use super::place::{Place, Values};
use crate::definition::{self, Content as Declared, Kind, Presence};
use crate::text::is_white;

pub(super) struct Lister<'l> {
    /// The names of all elements, by number.
    pub tags: &'l [Arc<str>],
    pub numbers: &'l BTreeMap<Arc<str>, usize>,
    pub values: &'l Values,
    pub names: &'l mut Names,
    /// The element.
    pub number: usize,
}

impl<'l> Lister<'l> {
    pub fn element(&mut self, declared: &definition::Element) -> Result<Element, ItemsError> {
        let name = self.tag(self.number);
        let item = self.add(format!("<{name}>"))?;
        let content = self.content(&declared.content, &name)?;
        let mut attributes = Vec::new();
        for (attribute, declared) in &declared.attributes {
            attributes.push(self.attribute(&name, attribute, declared)?);
        }
        let children = match &content {
            Content::Empty => BTreeSet::new(),
            Content::Mixed(mixed) => mixed.children.iter().map(|(child, _)| *child).collect(),
            Content::Children(part) => part.elements(),
        };
        Ok(Element { name, item, content, attributes, children, cost: Cost::UNKNOWN })
    }

    fn content(&mut self, declared: &Declared, name: &str) -> Result<Content, ItemsError> {
        match declared {
            Declared::Empty => Ok(Content::Empty),
            Declared::Any => self.mixed(name, (0..self.tags.len()).collect()),
            Declared::Mixed(children) => {
                let numbers = children.iter().filter_map(|child| self.numbers.get(child).copied());
                self.mixed(name, numbers.collect())
            }
            Declared::Children { model, .. } => {
                let (numbers, names) = (self.numbers, &mut *self.names);
                let mut builder = Builder { element: self.number, name, numbers, names };
                builder.part(model, false).map(Content::Children)
            }
        }
    }

    fn mixed(&mut self, name: &str, children: BTreeSet<usize>) -> Result<Content, ItemsError> {
        let with_text = self.add(format!("<{name}>: with text"))?;
        let without_text = self.add(format!("<{name}>: without text"))?;
        let texts = self.texts(name)?;
        let mut listed = Vec::new();
        for child in children {
            let item = self.add(format!("<{name}>: with <{}>", self.tag(child)))?;
            listed.push((child, item));
        }
        Ok(Content::Mixed(Mixed { with_text, without_text, texts, children: listed }))
    }

    /// What a text can be: what is wanted, or else anything. White space alone is no text.
    fn texts(&mut self, name: &str) -> Result<Vec<Choice>, ItemsError> {
        let mut texts = Vec::new();
        for value in self.wanted(name, None).iter().filter(|value| !value.chars().all(is_white)) {
            let item = self.add(format!("<{name}>: text {}", quoted(value)))?;
            texts.push(Choice { value: value.as_str().into(), item: Some(item) });
        }
        if texts.is_empty() {
            texts.push(Choice { value: "text".into(), item: None });
        }
        Ok(texts)
    }

    fn attribute(
        &mut self,
        element: &str,
        name: &Arc<str>,
        declared: &definition::Attribute,
    ) -> Result<Attribute, ItemsError> {
        let definition::Attribute { kind, presence } = declared.clone();
        // There may be nothing that it could name.
        let is_possible = !matches!(&kind, Kind::OneOf(words) | Kind::SomeOf(words) if words.is_empty());
        let mut item = |may: bool, word: &str| {
            let may = may && presence != Presence::Required;
            may.then(|| self.add(format!("<{element}>: {name} {word}"))).transpose()
        };
        let (present, absent) = (item(is_possible, "present")?, item(true, "absent")?);
        let listed: Vec<&str> = match (&presence, &kind) {
            (Presence::Fixed(_), _) | (_, Kind::Id | Kind::Idref | Kind::Idrefs) => Vec::new(),
            (_, Kind::OneOf(words) | Kind::SomeOf(words)) => words.iter().map(String::as_str).collect(),
            _ => {
                let wanted = self.wanted(element, Some(name)).iter().map(String::as_str);
                wanted.filter(|value| is_kept(&kind, value)).collect()
            }
        };
        let mut values = Vec::new();
        for value in listed {
            let item = self.add(format!("<{element} {name}={}>", quoted(value)))?;
            values.push(Choice { value: value.into(), item: Some(item) });
        }
        if values.is_empty() {
            values.extend(any_value(&kind, &presence).map(|value| Choice { value, item: None }));
        }
        Ok(Attribute { name: Arc::clone(name), kind, presence, present, absent, values })
    }

    /// The values that are wanted at a place of this element.
    fn wanted(&self, element: &str, attribute: Option<&str>) -> &'l [String] {
        let place = Place { element: element.to_owned(), attribute: attribute.map(str::to_owned) };
        self.values.get(&place).map(Vec::as_slice).unwrap_or_default()
    }

    fn tag(&self, number: usize) -> Arc<str> {
        self.tags.get(number).cloned().unwrap_or_default()
    }

    fn add(&mut self, name: String) -> Result<ItemId, ItemsError> {
        self.names.add(self.number, name)
    }
}

/// As much of a value as a name shows.
fn quoted(value: &str) -> String {
    clipped(&format_args!("{value:?}"))
}

/// Whether the value is allowed, and read as it is written.
fn is_kept(kind: &Kind, value: &str) -> bool {
    kind.allows(value) && kind.is_normal(value)
}

/// What is written where nothing else is wanted.
fn any_value(kind: &Kind, presence: &Presence) -> Option<Arc<str>> {
    match (presence, kind) {
        (Presence::Fixed(value), _) => Some(Arc::clone(value)),
        (_, Kind::Id | Kind::Idref | Kind::Idrefs) => None,
        (_, Kind::OneOf(words) | Kind::SomeOf(words)) => words.first().map(|word| word.as_str().into()),
        (_, Kind::Cdata) => Some("text".into()),
        (_, Kind::Nmtoken | Kind::Nmtokens) => Some("word".into()),
    }
}
