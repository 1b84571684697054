//! Which records of one lane of a journal a store has, and what comes of a batch: the one decision about duplicates,
//! forks and gaps, for every store.
//!
//! A few intervals are all the memory that it takes to know a duplicate. An edge sends from what was acknowledged on,
//! so there is one interval, and for a while another where a batch was lost. More than [`INTERVALS_MAX`] are not kept:
//! a batch that would make another is refused, and the edge is asked for what lies before. What lies below the edge's
//! floor can never come again and is forgotten; what retention took away is still known, and not asked for.
//!
//! Two records are the same if their bytes are, as they came.

use flotilla_schemas::journal::Batch;
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

/// What a store knows of one lane of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    /// What it has, or had until retention took it away.
    pub intervals: Intervals,
    /// The least number that retention left.
    pub floor: u64,
    /// The number of arrival of the last record that was new.
    pub newest: u64,
}

/// What a store holds of one lane of a journal, after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The contiguous interval that holds the batch's end: its least number,
    pub from: u64,
    /// and its greatest; `from - 1` when it has none.
    pub upto: u64,
    /// The least number at or above the floors of the edge and of the store that is lacking below `from`.
    pub want: Option<u64>,
    /// Whether other bytes are held at a position of the batch.
    pub fork: bool,
    /// How many of the batch's records were new.
    pub stored: u64,
}

impl Known {
    /// Takes a batch; `at` tells the text that is on disk at a number. Gives what is held now, and the numbers of the
    /// records to put on disk: first and last of each run without a gap, in order. A batch that forks, or that would
    /// make one interval too many, changes nothing.
    pub fn take<'a>(
        &mut self,
        batch: &Batch,
        at: impl Fn(u64) -> Option<&'a str>,
    ) -> (Held, Vec<(u64, u64)>) {
        self.intervals.forget_below(batch.floor);
        let mut new: Vec<(u64, u64)> = Vec::new();
        for (seq, record) in (batch.first..).zip(&batch.records) {
            match (at(seq), new.last_mut()) {
                (Some(held), _) if held != record.text() => return (self.held(batch, true, 0), Vec::new()),
                (Some(_), _) => {}
                (None, _) if self.intervals.around(seq).is_some() => {}
                (None, Some((_, last))) if last.checked_add(1) == Some(seq) => *last = seq,
                (None, _) => new.push((seq, seq)),
            }
        }
        if !self.intervals.add(batch.first, last(batch)) {
            return (self.held(batch, false, 0), Vec::new());
        }
        let stored = new.iter().map(|(first, last)| last - first + 1).sum();
        (self.held(batch, false, stored), new)
    }

    fn held(&self, batch: &Batch, fork: bool, stored: u64) -> Held {
        let none = (batch.first, batch.first.saturating_sub(1));
        let (from, upto) = self.intervals.around(last(batch)).unwrap_or(none);
        let lacking = self.intervals.lacking_from(batch.floor.max(self.floor));
        Held { from, upto, want: (lacking < from).then_some(lacking), fork, stored }
    }
}

/// Numbers that run over were refused before a store sees them.
fn last(batch: &Batch) -> u64 {
    batch.last().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::Json;
    use flotilla_schemas::journal::Lane;

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

    fn batch(first: u64, floor: u64, texts: &[&str]) -> Batch {
        let records = texts.iter().map(|text| Json::parse(text.as_bytes()).unwrap()).collect();
        let (edge, epoch) = ("e1".parse().unwrap(), "x".parse().unwrap());
        Batch { v: 1, edge, epoch, lane: Lane::Event, first, floor, records }
    }

    fn nothing(_: u64) -> Option<&'static str> {
        None
    }

    #[test]
    fn a_batch_in_part_known_brings_what_is_new_in_runs() {
        let mut known = Known { intervals: of(&[(3, 4)]), ..Known::default() };
        let at = |seq| (3..=4).contains(&seq).then_some("0");
        let (held, new) = known.take(&batch(1, 1, &["0"; 6]), at);
        assert_eq!(new, [(1, 2), (5, 6)]);
        assert_eq!(held, Held { from: 1, upto: 6, want: None, fork: false, stored: 4 });
        let (again, new) = known.take(&batch(1, 1, &["0"; 6]), |_| Some("0"));
        assert_eq!((again.stored, again.upto, new.len()), (0, 6, 0));
    }

    #[test]
    fn other_bytes_are_a_fork_and_the_same_bytes_never() {
        let mut known = Known { intervals: of(&[(1, 1)]), ..Known::default() };
        let before = known.clone();
        let text = r#"{ "a" : 1.0, "later": [] }"#;
        let (held, new) = known.take(&batch(1, 1, &[text, text]), |seq| (seq == 1).then_some(r#"{"a":1.0}"#));
        assert!(held.fork && new.is_empty());
        assert_eq!((known.clone(), held.from, held.upto), (before, 1, 0));
        let (held, new) = known.take(&batch(1, 1, &[text, text]), |seq| (seq == 1).then_some(text));
        assert!(!held.fork);
        assert_eq!(new, [(2, 2)]);
    }

    #[test]
    fn what_is_lacking_is_asked_for_and_what_was_taken_away_is_not() {
        let mut known = Known::default();
        assert_eq!(known.take(&batch(7, 3, &["0"]), nothing).0.want, Some(3));
        let mut bounded = Known { floor: 5, ..Known::default() };
        assert_eq!(bounded.take(&batch(7, 3, &["0"]), nothing).0.want, Some(5));
        bounded.floor = 7;
        let (held, new) = bounded.take(&batch(8, 3, &["0"]), nothing);
        assert_eq!((held.want, held.from, new), (None, 7, vec![(8, 8)]));
        let (held, new) = bounded.take(&batch(7, 3, &["0"]), nothing);
        assert_eq!((held.upto, new), (8, vec![]), "it was here, and is not taken again");
    }

    #[test]
    fn a_batch_that_would_make_a_ninth_interval_is_refused_and_the_gap_asked_for() {
        let mut known = Known::default();
        for n in 0..INTERVALS_MAX as u64 {
            known.take(&batch(10 * n + 1, 1, &["0"]), nothing);
        }
        let (held, new) = known.take(&batch(1001, 1, &["0"]), nothing);
        assert_eq!(
            (held, new),
            (Held { from: 1001, upto: 1000, want: Some(2), fork: false, stored: 0 }, vec![])
        );
    }

    #[test]
    fn an_empty_batch_asks_what_is_held() {
        let mut known = Known { intervals: of(&[(4, 9)]), ..Known::default() };
        let (held, _) = known.take(&batch(10, 2, &[]), nothing);
        assert_eq!((held.from, held.upto, held.want), (4, 9, Some(2)));
    }
}
