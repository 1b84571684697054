//! What a script is to show, and how far each element is from something of it.

use std::collections::VecDeque;

use crate::items::model::{Part, Term};
use crate::items::{ItemId, Items};

/// Farther than anything.
pub(super) const NEVER: usize = usize::MAX;

pub(crate) struct Wanted<'g> {
    items: &'g Items,
    missing: Vec<bool>,
    /// How many items of each element are missing.
    counts: Vec<usize>,
    /// How many levels below each element the nearest is of which an item is missing.
    distances: Vec<usize>,
    is_stale: bool,
}

impl<'g> Wanted<'g> {
    pub fn these(items: &'g Items, missing: impl IntoIterator<Item = ItemId>) -> Self {
        let count = items.elements.len();
        let mut wanted = Self {
            items,
            missing: vec![false; items.len()],
            counts: vec![0; count],
            distances: vec![NEVER; count],
            is_stale: true,
        };
        for id in missing {
            wanted.missing.get_mut(id.0).into_iter().for_each(|missing| *missing = true);
            wanted.counts.get_mut(items.owner(id)).into_iter().for_each(|count| *count += 1);
        }
        wanted
    }

    /// An element is to occur, whatever it shows.
    pub fn add_element(&mut self, element: usize) {
        self.counts.get_mut(element).into_iter().for_each(|count| *count += 1);
    }

    pub fn has(&self, id: Option<ItemId>) -> bool {
        id.is_some_and(|id| self.missing.get(id.0).copied().unwrap_or(false))
    }

    /// It is shown now.
    pub fn take(&mut self, id: Option<ItemId>) {
        let Some(missing) = id.and_then(|id| self.missing.get_mut(id.0)) else { return };
        if std::mem::take(missing) {
            let owner = id.map_or(0, |id| self.items.owner(id));
            self.took_from(owner);
        }
    }

    /// The element that was to occur does.
    pub fn took_from(&mut self, element: usize) {
        if let Some(count) = self.counts.get_mut(element) {
            *count = count.saturating_sub(1);
            self.is_stale |= *count == 0;
        }
    }

    /// How far this element is from what is missing; 0 if it is itself.
    pub fn distance(&mut self, element: usize) -> usize {
        if std::mem::take(&mut self.is_stale) {
            self.measure();
        }
        self.distances.get(element).copied().unwrap_or(NEVER)
    }

    /// How far a part of a model is from what is missing, however often it occurs.
    pub fn of_part(&mut self, part: &Part) -> usize {
        let counts = part.counts;
        match counts.ids().any(|id| self.has(Some(id))) {
            true => 0,
            false => self.of_term(&part.term),
        }
    }

    /// How far it is if it occurs.
    pub fn of_term(&mut self, term: &Term) -> usize {
        match term {
            Term::Element(number) => self.distance(*number).saturating_add(1),
            Term::Sequence(parts) => parts.iter().map(|part| self.of_part(part)).min().unwrap_or(NEVER),
            Term::Choice(branches) => {
                let distance = branches.iter().map(|branch| self.of_branch(branch.item, &branch.part));
                distance.min().unwrap_or(NEVER)
            }
        }
    }

    pub fn of_branch(&mut self, item: ItemId, part: &Part) -> usize {
        if self.has(Some(item)) { 0 } else { self.of_part(part) }
    }

    fn measure(&mut self) {
        self.distances.fill(NEVER);
        let mut reached: VecDeque<(usize, usize)> =
            self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(i, _)| (i, 0)).collect();
        while let Some((element, distance)) = reached.pop_front() {
            match self.distances.get_mut(element) {
                Some(known) if *known == NEVER => *known = distance,
                _ => continue,
            }
            let parents = self.items.parents(element).iter().map(|parent| (*parent, distance + 1));
            reached.extend(parents);
        }
    }
}
