//! The number of an item, and why items cannot be listed.

use crate::limit::{ELEMENTS_MAX, ITEMS_MAX};

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
