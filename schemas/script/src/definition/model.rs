//! Content models as they are written, before an automaton is made of them.

use std::fmt;
use std::sync::Arc;

/// A part of a content model: a term, and how often it occurs.
#[derive(Debug, Clone)]
pub(crate) struct Particle {
    pub term: Term,
    pub occurs: Occurs,
}

/// What occurs.
#[derive(Debug, Clone)]
pub(crate) enum Term {
    Element(Arc<str>),
    Sequence(Vec<Particle>),
    Choice(Vec<Particle>),
}

/// How often it occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurs {
    Once,
    /// `?`
    Optional,
    /// `*`
    Any,
    /// `+`
    Some,
}

impl Occurs {
    pub fn may_be_absent(self) -> bool {
        matches!(self, Occurs::Optional | Occurs::Any)
    }

    pub fn may_repeat(self) -> bool {
        matches!(self, Occurs::Any | Occurs::Some)
    }

    /// How often what occurs so often in a group occurs if the group, which holds nothing else, occurs so.
    fn of(self, inner: Self) -> Self {
        match (self, inner) {
            (Occurs::Once, other) | (other, Occurs::Once) => other,
            (Occurs::Optional, Occurs::Optional) => Occurs::Optional,
            (Occurs::Some, Occurs::Some) => Occurs::Some,
            _ => Occurs::Any,
        }
    }
}

impl fmt::Display for Occurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Occurs::Once => "",
            Occurs::Optional => "?",
            Occurs::Any => "*",
            Occurs::Some => "+",
        })
    }
}

impl Particle {
    /// The term and how often it occurs, without the parentheses around a group of one.
    pub fn bare(&self) -> (&Term, Occurs) {
        match &self.term {
            Term::Sequence(parts) if parts.len() == 1 => match parts.first().map(Particle::bare) {
                Some((term, inner)) => (term, self.occurs.of(inner)),
                None => (&self.term, self.occurs),
            },
            term => (term, self.occurs),
        }
    }

    /// Whether it can be satisfied with only those elements that `has` admits.
    pub fn satisfied_with(&self, has: &impl Fn(&str) -> bool) -> bool {
        self.occurs.may_be_absent()
            || match &self.term {
                Term::Element(name) => has(name),
                Term::Sequence(parts) => parts.iter().all(|part| part.satisfied_with(has)),
                Term::Choice(parts) => parts.iter().any(|part| part.satisfied_with(has)),
            }
    }

    /// The names of the elements in it, as often as they stand there.
    pub fn names(&self) -> Vec<&str> {
        match &self.term {
            Term::Element(name) => vec![name],
            Term::Sequence(parts) | Term::Choice(parts) => parts.iter().flat_map(Particle::names).collect(),
        }
    }
}

/// As in a definition, with the names as tags: `(<a> | (<b>, <c>?))`.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, separator) = match self {
            Term::Element(name) => return write!(f, "<{name}>"),
            Term::Sequence(parts) => (parts, ", "),
            Term::Choice(parts) => (parts, " | "),
        };
        for (i, part) in parts.iter().enumerate() {
            write!(f, "{}{part}", if i == 0 { "(" } else { separator })?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Particle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (term, occurs) = self.bare();
        write!(f, "{term}{occurs}")
    }
}
