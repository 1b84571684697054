//! Content models as they are written, before an automaton is made of them.

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
}

impl Particle {
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
