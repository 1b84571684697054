//! Places where scripts can have values, and the values that are to be taken there.

use std::collections::BTreeMap;
use std::fmt;

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
