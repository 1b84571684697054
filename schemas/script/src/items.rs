//! What there is to cover: everything that a definition allows, one item for each thing that a script can show.
//!
//! Items are: each element; each alternative of a choice; whether an optional part occurs; whether a part that may
//! repeat occurs 0 times, once, or more often; each child in mixed content, text and its absence; whether an
//! attribute that may be left out is written; each of its values where they are listed, and each value that
//! [`Values`] names. They are in the order of the elements' names, and within an element in that of its model, so
//! the same definition gives the same items.

mod cost;
mod lister;
pub(crate) mod model;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::definition::{Definition, Kind, Presence};
use crate::limit::{DEPTH_MAX, ELEMENTS_MAX, ITEMS_MAX};
pub(crate) use cost::Cost;
use lister::Lister;
use model::Part;
use names::Names;

/// A place where scripts can have a value that an event list may read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The element.
    pub element: String,
    /// The attribute; none means the element's text.
    pub attribute: Option<String>,
}

/// As in a script: `<hold>`, `<hold celsius>`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attribute {
            Some(attribute) => write!(f, "<{} {attribute}>", self.element),
            None => write!(f, "<{}>", self.element),
        }
    }
}

/// Values that are to be taken, by their places: as a rule the bounds of an argument that is read there. Where the
/// definition itself says what may stand (a list of words, a fixed value, ids) or does not allow a value, it is left
/// out.
pub type Values = BTreeMap<Place, Vec<String>>;

/// The number of an item, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemId(pub(crate) usize);

/// Why it cannot be said what there is to cover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    /// There is no such element.
    #[error("the root <{0}> is not declared in the definition")]
    Root(String),
    /// There are too many.
    #[error("there are more than {ITEMS_MAX} elements, alternatives, repetitions and values to cover")]
    Many,
    /// Not even one script can be written.
    #[error("the smallest script with the root <{0}> has more than {ELEMENTS_MAX} elements")]
    Large(String),
}

/// All that scripts with one root can show.
#[derive(Debug)]
pub struct Items {
    pub(crate) definition: Definition,
    pub(crate) root: usize,
    /// The elements that such scripts can contain, by number.
    pub(crate) elements: Vec<Element>,
    /// For each of them, which can contain it.
    parents: Vec<Vec<usize>>,
    numbers: BTreeMap<Arc<str>, usize>,
    names: Vec<(String, usize)>,
}

#[derive(Debug)]
pub(crate) struct Element {
    pub name: Arc<str>,
    pub item: ItemId,
    pub content: Content,
    pub attributes: Vec<Attribute>,
    /// The elements that it can contain, by number.
    pub children: BTreeSet<usize>,
    /// What its smallest content needs.
    pub cost: Cost,
}

#[derive(Debug)]
pub(crate) enum Content {
    Empty,
    Mixed(Mixed),
    Children(Part),
}

/// Text and elements in any order.
#[derive(Debug)]
pub(crate) struct Mixed {
    pub with_text: ItemId,
    pub without_text: ItemId,
    pub texts: Vec<Choice>,
    pub children: Vec<(usize, ItemId)>,
}

#[derive(Debug)]
pub(crate) struct Attribute {
    pub name: Arc<str>,
    pub kind: Kind,
    pub presence: Presence,
    pub present: Option<ItemId>,
    pub absent: Option<ItemId>,
    /// What may be written; nothing for an ID and what refers to one.
    pub values: Vec<Choice>,
}

impl Attribute {
    /// Whether there is a value that it could have.
    pub fn is_possible(&self) -> bool {
        !self.values.is_empty() || matches!(self.kind, Kind::Id | Kind::Idref | Kind::Idrefs)
    }
}

/// A value; an item, if it was listed.
#[derive(Debug)]
pub(crate) struct Choice {
    pub value: Arc<str>,
    pub item: Option<ItemId>,
}

impl Items {
    /// Everything that scripts with this root can show.
    ///
    /// ```
    /// use flotilla_script::{Definition, Items, Values};
    /// let definition = Definition::parse("d.dtd", b"<!ELEMENT r (a | b)*> <!ELEMENT a EMPTY> <!ELEMENT b EMPTY>
    ///     <!ATTLIST a speed (low | high) #REQUIRED>").unwrap();
    /// let items = Items::of(&definition, "r", &Values::new()).unwrap();
    /// let names: Vec<&str> = items.ids().map(|id| items.name(id)).collect();
    /// assert_eq!(names, [
    ///     "<a>", "<a speed=\"low\">", "<a speed=\"high\">", "<b>",
    ///     "<r>", "<r>: (<a> | <b>)* 0", "<r>: (<a> | <b>)* 1", "<r>: (<a> | <b>)* 2+",
    ///     "<r>: branch 1 <a>", "<r>: branch 2 <b>",
    /// ]);
    /// ```
    pub fn of(definition: &Definition, root: &str, values: &Values) -> Result<Arc<Self>, ItemsError> {
        let reachable = definition.reachable(root);
        let tags: Vec<Arc<str>> = reachable.keys().map(|name| Arc::from(*name)).collect();
        let numbers: BTreeMap<Arc<str>, usize> =
            tags.iter().enumerate().map(|(number, name)| (Arc::clone(name), number)).collect();
        let root_number = *numbers.get(root).ok_or_else(|| ItemsError::Root(root.to_owned()))?;
        let mut names = Names::default();
        let mut elements = Vec::new();
        for (number, declared) in reachable.into_values().enumerate() {
            let mut lister = Lister { tags: &tags, numbers: &numbers, values, names: &mut names, number };
            elements.push(lister.element(declared)?);
        }
        cost::settle(&mut elements);
        let mut parents = vec![Vec::new(); elements.len()];
        for (number, element) in elements.iter().enumerate() {
            for child in &element.children {
                parents.get_mut(*child).into_iter().for_each(|parents: &mut Vec<usize>| parents.push(number));
            }
        }
        let definition = definition.clone();
        let items = Self { definition, root: root_number, elements, parents, numbers, names: names.list };
        let fits = items.elements.get(root_number).is_some_and(|root| root.cost.fits(DEPTH_MAX));
        fits.then(|| Arc::new(items)).ok_or_else(|| ItemsError::Large(root.to_owned()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a root is an item.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All of them, in order.
    pub fn ids(&self) -> impl Iterator<Item = ItemId> + use<> {
        (0..self.names.len()).map(ItemId)
    }

    /// What it is, for a person: `<wind speed="low">`, `<mode>: branch 2 <heat>`, `<schedule>: <entry>* 2+`.
    pub fn name(&self, id: ItemId) -> &str {
        self.names.get(id.0).map_or("", |(name, _)| name)
    }

    /// The element whose item it is, by number.
    pub(crate) fn owner(&self, id: ItemId) -> usize {
        self.names.get(id.0).map_or(0, |(_, owner)| *owner)
    }

    /// The elements that can contain this one, by number.
    pub(crate) fn parents(&self, element: usize) -> &[usize] {
        self.parents.get(element).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn number(&self, element: &str) -> Option<usize> {
        self.numbers.get(element).copied()
    }

    pub(crate) fn element(&self, number: usize) -> Option<&Element> {
        self.elements.get(number)
    }
}

#[cfg(test)]
mod tests;
