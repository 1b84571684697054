//! An element with the items in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cost::Cost;
use super::item::ItemId;
use super::model::Part;
use crate::definition::{Kind, Presence};

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
