//! The smallest content of each element, as a fixpoint: round by round the elements of height 1, 2, …

use super::model::{Part, Term};
use super::{Content, Element};
use crate::limit::{DEPTH_MAX, ELEMENTS_MAX};
use std::collections::BTreeSet;

/// What a part of a script needs at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost {
    /// How many levels of elements.
    pub height: usize,
    /// How many elements, if each is made as low as it can be, and among the lowest as small.
    pub elements: usize,
}

impl Cost {
    /// Of nothing.
    pub const NONE: Self = Self { height: 0, elements: 0 };
    /// Of what is not settled yet.
    pub const UNKNOWN: Self = Self { height: usize::MAX, elements: usize::MAX };

    /// Whether there is room for it, if so many levels are left.
    pub fn fits(self, levels: usize) -> bool {
        self.height <= levels && self.elements <= ELEMENTS_MAX
    }

    fn and(self, other: Self) -> Self {
        Self { height: self.height.max(other.height), elements: self.elements.saturating_add(other.elements) }
    }

    fn within_an_element(self) -> Self {
        Self { height: self.height.saturating_add(1), elements: self.elements.saturating_add(1) }
    }
}

impl Part {
    /// What it needs if it occurs as seldom as it may.
    pub fn cost(&self, elements: &[Element]) -> Cost {
        if self.occurs.may_be_absent() { Cost::NONE } else { self.term.cost(elements) }
    }

    /// All elements in it, by number.
    pub fn elements(&self) -> BTreeSet<usize> {
        match &self.term {
            Term::Element(number) => BTreeSet::from([*number]),
            Term::Sequence(parts) => parts.iter().flat_map(Part::elements).collect(),
            Term::Choice(branches) => branches.iter().flat_map(|branch| branch.part.elements()).collect(),
        }
    }
}

impl Term {
    /// What it needs if it occurs once.
    pub fn cost(&self, elements: &[Element]) -> Cost {
        let cost = |part: &Part| part.cost(elements);
        match self {
            Term::Element(number) => elements.get(*number).map_or(Cost::UNKNOWN, |element| element.cost),
            Term::Sequence(parts) => parts.iter().map(cost).fold(Cost::NONE, Cost::and),
            Term::Choice(branches) => {
                branches.iter().map(|branch| cost(&branch.part)).min().unwrap_or(Cost::UNKNOWN)
            }
        }
    }
}

/// Settles the cost of every element. A round settles those that the elements of the rounds before suffice for; no
/// script is higher than there are rounds.
pub(super) fn settle(elements: &mut [Element]) {
    for height in 1..=DEPTH_MAX {
        let costs: Vec<Cost> = elements.iter().map(|element| cost(element, elements)).collect();
        let settled = elements.iter_mut().zip(costs);
        for (element, cost) in settled.filter(|(element, cost)| cost.height == height && element.cost > *cost)
        {
            element.cost = cost;
        }
    }
}

fn cost(element: &Element, elements: &[Element]) -> Cost {
    let content = match &element.content {
        Content::Empty | Content::Mixed(_) => Cost::NONE,
        Content::Children(part) => part.cost(elements),
    };
    content.within_an_element()
}
