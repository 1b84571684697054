//! What there is to cover: everything that a definition allows, one item for each thing that a script can show.
//!
//! Items are: each element; each alternative of a choice; whether an optional part occurs; whether a part that may
//! repeat occurs 0 times, once, or more often; each child in mixed content, text and its absence; whether an
//! attribute that may be left out is written; each of its values where they are listed, and each value that
//! [`Values`] names. They are in the order of the elements' names, and within an element in that of its model, so
//! the same definition gives the same items.

mod cost;
mod element;
mod item;
mod lister;
pub(crate) mod model;
mod names;
mod place;
mod smallest;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::definition::Definition;
use crate::limit::DEPTH_MAX;
pub(crate) use element::{Attribute, Choice, Content, Element, Mixed};
pub use item::{ItemId, ItemsError};
use lister::Lister;
use names::Names;
pub use place::{Place, Values};

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
        smallest::settle(&mut elements);
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
