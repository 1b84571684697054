//! Which records of one lane of a journal a store has: a few intervals, which is all the memory that it takes to
//! know a duplicate.
//!
//! An edge sends from what was acknowledged on, so there is one interval, and for a while another where a batch was
//! lost. More than [`INTERVALS_MAX`] are not kept: a batch that would make another is refused, and the edge is asked
//! for what lies before. What lies below the edge's floor can never come again and is forgotten.

use serde::{Deserialize, Serialize};

/// The most intervals of one edge, journal and lane.
pub const INTERVALS_MAX: usize = 8;

/// Intervals of numbers, both ends included, in order, with gaps between them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    /// Adds the numbers from `first` to `last`; without any if `last` is smaller. False, and nothing changed, if
    /// that would be one interval too many.
    pub fn add(&mut self, first: u64, last: u64) -> bool {
        if last < first {
            return true;
        }
        let touches =
            |(from, upto): &(u64, u64)| *from <= last.saturating_add(1) && first <= upto.saturating_add(1);
        let (joined, apart): (Vec<_>, Vec<_>) = self.0.iter().copied().partition(touches);
        if apart.len() >= INTERVALS_MAX {
            return false;
        }
        let join = |(from, upto): (u64, u64), other: (u64, u64)| (from.min(other.0), upto.max(other.1));
        self.0 = apart;
        self.0.push(joined.into_iter().fold((first, last), join));
        self.0.sort_unstable();
        true
    }

    /// Forgets the intervals that end before `floor - 1`: nothing can join them any more.
    pub fn forget_below(&mut self, floor: u64) {
        self.0.retain(|(_, upto)| upto.saturating_add(1) >= floor);
    }

    /// The interval that holds a number.
    pub fn around(&self, number: u64) -> Option<(u64, u64)> {
        self.0.iter().copied().find(|(from, upto)| (*from..=*upto).contains(&number))
    }

    /// The least number from `floor` on that is lacking.
    pub fn lacking_from(&self, floor: u64) -> u64 {
        self.around(floor).map_or(floor, |(_, upto)| upto.saturating_add(1))
    }

    /// The greatest number; 0 when there is none.
    pub fn head(&self) -> u64 {
        self.0.last().map_or(0, |(_, upto)| *upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(u64, u64)]) -> Intervals {
        let mut intervals = Intervals::default();
        parts.iter().for_each(|(first, last)| assert!(intervals.add(*first, *last)));
        intervals
    }

    #[test]
    fn what_touches_becomes_one_in_whatever_order_it_comes() {
        let parts = [(1, 3), (4, 6), (7, 9), (2, 8)];
        for turn in 0..parts.len() {
            let mut parts = parts;
            parts.rotate_left(turn);
            assert_eq!(of(&parts), Intervals(vec![(1, 9)]));
        }
        assert_eq!(of(&[(1, 3), (5, 6)]), Intervals(vec![(1, 3), (5, 6)]));
        assert_eq!(of(&[(5, 4)]), Intervals::default());
        assert_eq!(of(&[(u64::MAX, u64::MAX), (1, u64::MAX - 1)]), Intervals(vec![(1, u64::MAX)]));
    }

    #[test]
    fn a_ninth_interval_is_refused_and_a_gap_can_still_be_filled() {
        let mut intervals = Intervals::default();
        assert!((0..INTERVALS_MAX as u64).all(|n| intervals.add(10 * n + 1, 10 * n + 5)));
        let before = intervals.clone();
        assert!(!intervals.add(1001, 1002));
        assert_eq!(intervals, before);
        assert!(intervals.add(6, 10));
        assert!(intervals.add(1001, 1002));
        assert_eq!((intervals.lacking_from(1), intervals.head()), (16, 1002));
    }

    #[test]
    fn what_is_below_the_floor_is_forgotten() {
        let mut intervals = of(&[(1, 3), (10, 12), (20, 22)]);
        intervals.forget_below(13);
        assert_eq!(intervals, Intervals(vec![(10, 12), (20, 22)]));
        assert_eq!((intervals.around(11), intervals.around(13)), (Some((10, 12)), None));
    }
}
