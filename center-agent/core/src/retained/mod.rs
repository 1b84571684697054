//! What the broker should retain, and what it does: whatever differs is published.
//!
//! The broker may lose, empty or age what it retains, and another hand may overwrite it, a stranger's or a center's
//! that sees it otherwise. What was decided or changed here goes out at once; what another hand changed is a
//! [`Dispute`], so two who disagree never race. At most [`STATES_AT_ONCE`] go out at a time.

mod behind;
mod dispute;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{Digest, EdgeId, Topic};

use dispute::Dispute;

pub use behind::{BEHIND_MS, Behind};
pub use dispute::{PAUSE_MS_MAX, PAUSE_MS_MIN, REPAIR_MS};
pub use sweep::{QUIET_MS, SWEEP_MS_MAX, Sweep};

/// The most retained messages that go out at a time, so that acks and answers find their way between them.
pub const STATES_AT_ONCE: usize = 256;

/// The time between two portions, in milliseconds.
pub const PORTION_MS: u64 = 10;

/// Why something is to be retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was decided or changed here, or an edge shows something else.
    Here,
    /// It follows from what another center said.
    Heard,
}

/// The retained messages of a center.
#[derive(Debug, Clone, Default)]
pub struct Retained {
    wanted: BTreeMap<Topic, Vec<u8>>,
    /// What the broker is believed to have, as far as it differs from nothing.
    there: BTreeMap<Topic, Digest>,
    /// Not heard since the connection began.
    unheard: BTreeSet<Topic>,
    /// To go out with the next portion.
    due: BTreeSet<Topic>,
    portion_at: u64,
    disputes: BTreeMap<Topic, Dispute>,
    /// When the next dispute is due.
    dispute_at: Option<u64>,
    repeated: u64,
    now_ms: u64,
}

impl Retained {
    /// It is so late now, in milliseconds of running time.
    pub fn pass_time(&mut self, mono_ms: u64) {
        self.now_ms = mono_ms;
    }

    /// This is to be retained from now on. A change from here ends the dispute on its topic; one that another's word
    /// brought about waits as the correction of that word does.
    pub fn want(&mut self, topic: Topic, payload: Vec<u8>, cause: Cause) {
        if self.wanted.get(&topic) == Some(&payload) {
            return;
        }
        let as_wanted = self.there.get(&topic) == Some(&Digest::of(&payload));
        self.wanted.insert(topic.clone(), payload);
        if cause == Cause::Here {
            self.disputes.remove(&topic);
        }
        let restrained = self.disputes.get(&topic).is_some_and(Dispute::is_restrained);
        match (as_wanted, restrained) {
            (true, _) => self.settles(&topic),
            (false, true) => self.differs(&topic),
            (false, false) => _ = self.due.insert(topic),
        }
    }

    /// The broker delivered this; it holds, or held, it. True if it is what is wanted there, so nobody need read it.
    pub fn heard(&mut self, topic: &Topic, payload: &[u8]) -> bool {
        let Some(wanted) = self.wanted.get(topic) else { return false };
        let as_wanted = wanted == payload;
        self.there.insert(topic.clone(), Digest::of(payload));
        self.unheard.remove(topic);
        match as_wanted {
            true => self.settles(topic),
            // What is on its way already is the better word.
            false if self.due.contains(topic) => {}
            false => self.differs(topic),
        }
        as_wanted
    }

    fn settles(&mut self, topic: &Topic) {
        if let Some(dispute) = self.disputes.get_mut(topic) {
            dispute.settles(self.now_ms);
        }
    }

    fn differs(&mut self, topic: &Topic) {
        self.disputes.entry(topic.clone()).or_default().differs(self.now_ms);
        self.schedule(topic);
    }

    fn schedule(&mut self, topic: &Topic) {
        let due_at = self.disputes.get(topic).and_then(Dispute::due_at);
        self.dispute_at = self.dispute_at.into_iter().chain(due_at).min();
    }

    /// Nothing is to be retained any more but what is said from now on.
    pub fn want_nothing(&mut self) {
        self.wanted.clear();
    }

    /// The connection is new: whatever is not heard from the broker now is not there.
    pub fn forget(&mut self) {
        self.there.clear();
        // What is to be empty and is not heard is empty.
        let said = self.wanted.iter().filter(|(_, payload)| !payload.is_empty());
        self.unheard = said.map(|(topic, _)| topic.clone()).collect();
    }

    /// This one was not taken, by the link or by the broker, or did not reach whom it is for.
    pub fn unsent(&mut self, topic: &Topic) {
        if self.wanted.contains_key(topic) {
            self.there.remove(topic);
            self.disputes.entry(topic.clone()).or_default().fails(self.now_ms);
            self.schedule(topic);
        }
    }

    /// How many topics that an edge writes are wanted otherwise than it writes them.
    pub fn count_of(&self, edge: &EdgeId) -> usize {
        let first = Topic::Edge(edge.clone(), EdgeTopic::Avail);
        self.wanted.range(first..).take_while(|(topic, _)| is_of(edge, topic)).count()
    }

    /// What an edge writes is its own again.
    pub fn leave(&mut self, edge: &EdgeId) {
        if self.count_of(edge) > 0 {
            self.wanted.retain(|topic, _| !is_of(edge, topic));
            self.disputes.retain(|topic, _| !is_of(edge, topic));
        }
    }

    /// What is to be published now. Call it only when the broker's state was heard.
    pub fn take(&mut self) -> Vec<(Topic, Vec<u8>)> {
        self.due.append(&mut self.unheard);
        if self.dispute_at.is_some_and(|at| at <= self.now_ms) {
            self.take_up();
        }
        let mut words = Vec::new();
        while self.now_ms >= self.portion_at {
            let Some(topic) = self.due.pop_first() else { break };
            words.extend(self.word(topic));
            if words.len() == STATES_AT_ONCE {
                self.portion_at = self.now_ms + PORTION_MS;
            }
        }
        words
    }

    /// The disputes for which it is time become due.
    fn take_up(&mut self) {
        let now_ms = self.now_ms;
        self.disputes.retain(|_, dispute| !dispute.is_over(now_ms));
        self.dispute_at = None;
        for (topic, dispute) in &self.disputes {
            match dispute.due_at() {
                Some(at) if at <= now_ms => _ = self.due.insert(topic.clone()),
                Some(at) => self.dispute_at = Some(self.dispute_at.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
    }

    fn word(&mut self, topic: Topic) -> Option<(Topic, Vec<u8>)> {
        let payload = self.wanted.get(&topic)?;
        let digest = Digest::of(payload);
        if self.there.insert(topic.clone(), digest) == Some(digest) {
            return None;
        }
        if let Some(dispute) = self.disputes.get_mut(&topic).filter(|dispute| dispute.is_open()) {
            dispute.is_said(self.now_ms);
            self.repeated += 1;
        }
        let payload = payload.clone();
        Some((topic, payload))
    }

    /// When [`Retained::take`] has something, in milliseconds of running time.
    pub fn due_at(&self) -> Option<u64> {
        let portion_at = (!self.due.is_empty()).then_some(self.portion_at);
        portion_at.into_iter().chain(self.dispute_at).min()
    }

    /// How often something was said again, as another hand had changed it or the broker had not taken it.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }
}

fn is_of(edge: &EdgeId, topic: &Topic) -> bool {
    matches!(topic, Topic::Edge(id, _) if id == edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        "catalog/targets".parse().unwrap()
    }

    /// A center whose broker has `a` from it.
    fn settled() -> Retained {
        let mut retained = Retained::default();
        retained.want(topic(), b"a".to_vec(), Cause::Here);
        assert_eq!(take(&mut retained, 0), ["a"]);
        retained.heard(&topic(), b"a");
        retained
    }

    fn take(retained: &mut Retained, mono_ms: u64) -> Vec<String> {
        retained.pass_time(mono_ms);
        retained.take().into_iter().map(|(_, payload)| String::from_utf8(payload).unwrap()).collect()
    }

    #[test]
    fn what_the_broker_has_is_not_published_and_what_it_lost_is() {
        let mut retained = Retained::default();
        retained.want(topic(), b"a".to_vec(), Cause::Here);
        assert_eq!(take(&mut retained, 0), ["a"]);
        retained.forget();
        retained.heard(&topic(), b"a");
        assert!(take(&mut retained, 0).is_empty());
        retained.forget();
        assert_eq!(take(&mut retained, 0), ["a"]);
        assert!(take(&mut retained, 0).is_empty());
        assert_eq!(retained.repeated(), 0);
    }

    #[test]
    fn what_a_stranger_changed_is_put_right_after_a_second_and_then_after_a_minute() {
        let mut retained = settled();
        retained.heard(&topic(), b"stranger");
        assert_eq!((take(&mut retained, 999), retained.due_at()), (vec![], Some(REPAIR_MS)));
        assert_eq!((take(&mut retained, 1000), retained.due_at()), (vec!["a".to_owned()], None));
        retained.heard(&topic(), b"");
        assert!(take(&mut retained, 1000 + PAUSE_MS_MIN - 1).is_empty());
        assert_eq!(take(&mut retained, 1000 + PAUSE_MS_MIN), ["a"]);
        assert_eq!(retained.repeated(), 2);
    }

    #[test]
    fn what_changes_here_waits_for_no_dispute_and_ends_it() {
        let mut retained = settled();
        retained.heard(&topic(), b"stranger");
        take(&mut retained, REPAIR_MS);
        retained.heard(&topic(), b"stranger");
        retained.want(topic(), b"b".to_vec(), Cause::Here);
        assert_eq!(take(&mut retained, REPAIR_MS), ["b"]);
        retained.heard(&topic(), b"stranger");
        assert_eq!(take(&mut retained, 2 * REPAIR_MS), ["b"]);
    }

    #[test]
    fn what_follows_from_another_word_is_no_faster_than_its_correction() {
        let mut retained = settled();
        let mut words = Vec::new();
        for round in 0..1000 {
            retained.pass_time(round * 100);
            retained.heard(&topic(), format!("theirs {round}").as_bytes());
            retained.want(topic(), format!("joined {round}").into_bytes(), Cause::Heard);
            words.extend(retained.take());
        }
        assert_eq!(words.len(), 2, "in 100 seconds: one at once, one after a minute");
    }

    #[test]
    fn a_connection_that_comes_and_goes_makes_no_dispute_dearer() {
        let mut retained = settled();
        let mut words = 0;
        for round in 0..50 {
            retained.forget();
            retained.heard(&topic(), b"theirs");
            words += take(&mut retained, round * REPAIR_MS).len();
        }
        assert_eq!(words, 1);
    }

    #[test]
    fn the_echo_of_an_older_state_is_not_a_stranger() {
        let mut retained = settled();
        retained.want(topic(), b"b".to_vec(), Cause::Here);
        assert_eq!(take(&mut retained, 5000), ["b"]);
        retained.heard(&topic(), b"a");
        assert!(take(&mut retained, 5001).is_empty());
        retained.heard(&topic(), b"b");
        assert!(take(&mut retained, 9000).is_empty());
        assert_eq!(retained.due_at(), None);
    }

    #[test]
    fn what_was_not_taken_is_offered_again_ever_later() {
        let mut retained = settled();
        let mut offered = Vec::new();
        for second in 0..20 {
            retained.unsent(&topic());
            offered.extend(take(&mut retained, second * 1000).iter().map(|_| second));
        }
        assert_eq!(offered, [1, 3, 7, 15]);
    }

    #[test]
    fn many_go_out_in_portions_and_none_is_lost() {
        let mut retained = Retained::default();
        for n in 0..=STATES_AT_ONCE {
            let topic = format!("to/e{n}/desired").parse().unwrap();
            retained.want(topic, b"a".to_vec(), Cause::Here);
        }
        assert_eq!(take(&mut retained, 0).len(), STATES_AT_ONCE);
        assert_eq!((take(&mut retained, PORTION_MS - 1).len(), retained.due_at()), (0, Some(PORTION_MS)));
        assert_eq!((take(&mut retained, PORTION_MS).len(), retained.due_at()), (1, None));
    }
}
