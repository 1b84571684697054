//! One topic on which the broker has something else than what is wanted there: when it is said again.
//!
//! What another hand changed is put right after [`REPAIR_MS`]. If it is changed once more, its hand has another opinion:
//! the next word comes after [`PAUSE_MS_MIN`], and each further one after twice the pause before, up to
//! [`PAUSE_MS_MAX`]. What the broker did not take is offered again after [`REPAIR_MS`], and likewise. An hour in which
//! all was as wanted ends it.

/// How long a difference must last before anything is said, in milliseconds: the echo of an older word passes.
pub const REPAIR_MS: u64 = 1000;

/// The first pause between two words on the same topic, in milliseconds.
pub const PAUSE_MS_MIN: u64 = 60_000;

/// The longest pause, and how long it must be quiet until the next difference counts as a first one.
pub const PAUSE_MS_MAX: u64 = 3_600_000;

/// How a topic stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// As wanted, as far as is known.
    #[default]
    Settled,
    /// Another hand has changed it.
    Changed,
    /// What was said was not taken, or did not arrive.
    Unsent,
}

/// A topic that was, or is, other than wanted.
#[derive(Debug, Clone, Default)]
pub struct Dispute {
    state: State,
    /// Since when it is other than wanted.
    since_ms: u64,
    /// When it was last said, or last as wanted.
    settled_ms: u64,
    pause_ms: u64,
}

impl Dispute {
    /// The broker has something else.
    pub fn differs(&mut self, mono_ms: u64) {
        self.opens(State::Changed, mono_ms);
    }

    /// What was said was not taken, or did not reach whom it is for.
    pub fn fails(&mut self, mono_ms: u64) {
        if self.opens(State::Unsent, mono_ms) {
            self.settled_ms = mono_ms;
            self.pause_ms = (2 * self.pause_ms).clamp(REPAIR_MS, PAUSE_MS_MAX);
        }
    }

    fn opens(&mut self, state: State, mono_ms: u64) -> bool {
        if self.is_over(mono_ms) {
            *self = Self::default();
        }
        let opens = !self.is_open();
        if opens {
            (self.state, self.since_ms) = (state, mono_ms);
        }
        opens
    }

    /// The broker has what is wanted.
    pub fn settles(&mut self, mono_ms: u64) {
        if self.is_open() {
            (self.state, self.settled_ms) = (State::Settled, mono_ms);
        }
    }

    /// It is said again.
    pub fn is_said(&mut self, mono_ms: u64) {
        if self.state == State::Changed {
            self.pause_ms = (2 * self.pause_ms).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX);
        }
        (self.state, self.settled_ms) = (State::Settled, mono_ms);
    }

    /// Whether it is other than wanted now.
    pub fn is_open(&self) -> bool {
        self.state != State::Settled
    }

    /// Whether the next word has to wait.
    pub fn is_restrained(&self) -> bool {
        self.is_open() || self.pause_ms > 0
    }

    /// Whether nothing is to be remembered of it.
    pub fn is_over(&self, mono_ms: u64) -> bool {
        !self.is_open() && mono_ms >= self.settled_ms + PAUSE_MS_MAX
    }

    /// When it is to be said, in milliseconds of running time; none while all is as wanted.
    pub fn due_at(&self) -> Option<u64> {
        self.is_open().then(|| (self.since_ms + REPAIR_MS).max(self.settled_ms + self.pause_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another hand changes it `after` each word: the times at which it is said.
    fn words(count: usize, after: u64) -> Vec<u64> {
        let (mut dispute, mut now) = (Dispute::default(), 0);
        let word = |_| {
            dispute.differs(now);
            let at = dispute.due_at().unwrap();
            dispute.is_said(at);
            now = at + after;
            at
        };
        (0..count).map(word).collect()
    }

    #[test]
    fn who_disagrees_for_ever_hears_a_word_after_a_minute_and_each_twice_as_late_up_to_an_hour() {
        let words = words(10, 1);
        let pauses: Vec<u64> = words.windows(2).map(|pair| (pair[1] - pair[0]) / 1000).collect();
        assert_eq!((words[0], pauses), (REPAIR_MS, vec![60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]));
    }

    #[test]
    fn a_quiet_hour_ends_it() {
        assert_eq!(words(3, PAUSE_MS_MAX), [1000, 3_602_000, 7_203_000]);
    }

    #[test]
    fn what_is_not_taken_is_offered_again_ever_later() {
        let (mut dispute, mut now, mut offers) = (Dispute::default(), 0, Vec::new());
        for _ in 0..14 {
            dispute.fails(now);
            dispute.fails(now);
            now = dispute.due_at().unwrap();
            dispute.is_said(now);
            offers.push(now / 1000);
        }
        assert_eq!(offers[..4], [1, 3, 7, 15]);
        assert_eq!(offers[13] - offers[12], PAUSE_MS_MAX / 1000);
    }
}
