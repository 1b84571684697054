//! Content models with the items in them.
//!
//! A model that is deterministic is read in one way: a part is entered when the next element can begin it, a part
//! repeats as long as it can, and what is empty is the first alternative that may be. Only what this reading can
//! show is an item: in `(a? | b)*` an alternative is entered for its element's sake, so `a?` never occurs 0 times.
//! Parentheses around one part are left out, because nothing tells their repetition from the part's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::item::{ItemId, ItemsError};
use super::names::{Names, clipped};
use crate::definition::model::{self, Occurs, Particle};

/// A part of a content model.
#[derive(Debug)]
pub(crate) struct Part {
    pub term: Term,
    pub occurs: Occurs,
    pub counts: Counts,
    /// The elements, by number, with which it can begin.
    pub first: BTreeSet<usize>,
    pub may_be_empty: bool,
}

/// What occurs.
#[derive(Debug)]
pub(crate) enum Term {
    /// An element, by number.
    Element(usize),
    Sequence(Vec<Part>),
    Choice(Vec<Branch>),
}

/// An alternative.
#[derive(Debug)]
pub(crate) struct Branch {
    pub item: ItemId,
    pub part: Part,
}

/// The items of how often a part occurs, as far as it may.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub zero: Option<ItemId>,
    pub one: Option<ItemId>,
    pub many: Option<ItemId>,
}

impl Counts {
    pub fn of(&self, count: usize) -> Option<ItemId> {
        match count {
            0 => self.zero,
            1 => self.one,
            _ => self.many,
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = ItemId> {
        [self.zero, self.one, self.many].into_iter().flatten()
    }
}

impl Part {
    /// Reads as many children as belong to this part, from `at` on; gives every item that they show to `take`.
    pub fn read(&self, children: &[usize], at: &mut usize, take: &mut impl FnMut(ItemId)) {
        let mut count = 0;
        loop {
            let begins = children.get(*at).is_some_and(|child| self.first.contains(child));
            let must = count == 0 && !self.occurs.may_be_absent();
            let may = begins && (count == 0 || self.occurs.may_repeat());
            if !must && !may {
                break;
            }
            self.term.read(children, at, take);
            count += 1;
        }
        self.counts.of(count).into_iter().for_each(take);
    }
}

impl Term {
    fn read(&self, children: &[usize], at: &mut usize, take: &mut impl FnMut(ItemId)) {
        match self {
            Term::Element(_) => *at += 1,
            Term::Sequence(parts) => parts.iter().for_each(|part| part.read(children, at, take)),
            Term::Choice(branches) => {
                let next = children.get(*at);
                let begins = |branch: &&Branch| next.is_some_and(|child| branch.part.first.contains(child));
                let empty = || branches.iter().find(|branch| branch.part.may_be_empty);
                if let Some(branch) = branches.iter().find(begins).or_else(empty) {
                    take(branch.item);
                    branch.part.read(children, at, take);
                }
            }
        }
    }
}

/// Makes an element's model.
pub(super) struct Builder<'b> {
    pub element: usize,
    pub name: &'b str,
    pub numbers: &'b BTreeMap<Arc<str>, usize>,
    pub names: &'b mut Names,
}

impl Builder<'_> {
    /// `filled`: the part is entered only with an element that begins it.
    pub fn part(&mut self, particle: &Particle, filled: bool) -> Result<Part, ItemsError> {
        let (term, occurs) = particle.bare();
        let mut count = |may: bool, count: &str| {
            let name = || format!("<{}>: {}{occurs} {count}", self.name, clipped(term));
            may.then(|| self.names.add(self.element, name())).transpose()
        };
        let counts = Counts {
            zero: count(occurs.may_be_absent() && !filled, "0")?,
            one: count(occurs != Occurs::Once, "1")?,
            many: count(occurs.may_repeat(), "2+")?,
        };
        let (term, first, empty) = self.term(term, filled || occurs.may_be_absent())?;
        Ok(Part { term, occurs, counts, first, may_be_empty: empty || occurs.may_be_absent() })
    }

    /// The term, what it can begin with, and whether it may be empty.
    fn term(
        &mut self,
        term: &model::Term,
        filled: bool,
    ) -> Result<(Term, BTreeSet<usize>, bool), ItemsError> {
        match term {
            model::Term::Element(name) => {
                let number = self.numbers.get(name).copied().unwrap_or_default();
                Ok((Term::Element(number), BTreeSet::from([number]), false))
            }
            model::Term::Sequence(particles) => self.sequence(particles),
            model::Term::Choice(particles) => self.choice(particles, filled),
        }
    }

    fn sequence(&mut self, particles: &[Particle]) -> Result<(Term, BTreeSet<usize>, bool), ItemsError> {
        let (mut first, mut empty) = (BTreeSet::new(), true);
        let mut parts = Vec::new();
        for particle in particles {
            // Another part may be what the sequence was entered for.
            let part = self.part(particle, false)?;
            if empty {
                first.extend(&part.first);
            }
            empty &= part.may_be_empty;
            parts.push(part);
        }
        Ok((Term::Sequence(parts), first, empty))
    }

    fn choice(
        &mut self,
        particles: &[Particle],
        filled: bool,
    ) -> Result<(Term, BTreeSet<usize>, bool), ItemsError> {
        let (mut first, mut empty) = (BTreeSet::new(), false);
        let mut branches = Vec::new();
        for (i, particle) in particles.iter().enumerate() {
            let name = format!("<{}>: branch {} {}", self.name, i + 1, clipped(particle));
            let item = self.names.add(self.element, name)?;
            let part = self.part(particle, filled || empty || !may_be_empty(particle))?;
            first.extend(&part.first);
            empty |= part.may_be_empty;
            branches.push(Branch { item, part });
        }
        Ok((Term::Choice(branches), first, empty))
    }
}

/// Whether no element is needed.
fn may_be_empty(particle: &Particle) -> bool {
    particle.satisfied_with(&|_| false)
}
