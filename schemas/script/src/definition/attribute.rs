//! Types and defaults of attributes (XML 1.0, fifth edition, 3.3.1 to 3.3.3).

use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{alternatives, shown};
use crate::text::{is_name, is_nmtoken};

/// What an attribute's value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Cdata,
    Id,
    Idref,
    Idrefs,
    Nmtoken,
    Nmtokens,
    OneOf(Vec<String>),
    /// One or more of these words.
    SomeOf(Vec<String>),
}

/// What holds where an attribute is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Implied,
    Fixed(Arc<str>),
    Supplied(Arc<str>),
}

impl Kind {
    /// The value as it counts: all types but CDATA mean words, whatever white space is around them.
    pub fn normalise(&self, value: &str) -> Arc<str> {
        match self {
            Kind::Cdata => value.into(),
            _ => value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").into(),
        }
    }

    /// Whether the value is what normalising makes of it.
    pub fn is_normal(&self, value: &str) -> bool {
        *self == Kind::Cdata || !value.split(' ').any(str::is_empty)
    }

    /// Whether a normalised value is of this type.
    pub fn allows(&self, value: &str) -> bool {
        match self {
            Kind::Cdata => true,
            Kind::Id | Kind::Idref => is_name(value),
            Kind::Idrefs => value.split(' ').all(is_name),
            Kind::Nmtoken => is_nmtoken(value),
            Kind::Nmtokens => value.split(' ').all(is_nmtoken),
            Kind::OneOf(words) => words.iter().any(|word| word == value),
            Kind::SomeOf(words) => value.split(' ').all(|one| words.iter().any(|word| word == one)),
        }
    }
}

impl Presence {
    /// The value that is supplied, if one is.
    pub fn value(&self) -> Option<&Arc<str>> {
        match self {
            Presence::Required | Presence::Implied => None,
            Presence::Fixed(value) | Presence::Supplied(value) => Some(value),
        }
    }
}

/// In words, to stand after `expected`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Cdata => f.write_str("text"),
            Kind::Id => f.write_str("a name that no other element has"),
            Kind::Idref => f.write_str("a name"),
            Kind::Idrefs => f.write_str("names parted by spaces"),
            Kind::Nmtoken => f.write_str("a word of letters, digits, `.`, `-`, `_` and `:`"),
            Kind::Nmtokens => {
                f.write_str("words of letters, digits, `.`, `-`, `_` and `:`, parted by spaces")
            }
            Kind::OneOf(words) | Kind::SomeOf(words) => {
                f.write_str(&alternatives(words.iter().map(|word| shown(word))))
            }
        }
    }
}
