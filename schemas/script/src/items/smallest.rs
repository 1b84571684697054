//! The smallest content of each element, as a fixpoint: round by round the elements of height 1, 2, …

use std::collections::BTreeSet;

use super::cost::Cost;
use super::element::{Content, Element};
use super::model::{Part, Term};
use crate::limit::DEPTH_MAX;

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
