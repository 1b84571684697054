//! What the broker should retain, and what it does: whatever differs is published.
//!
//! The broker may lose, empty or age what it retains, and a stranger may overwrite it. What was decided here goes out
//! at once; what another hand changed is put right once a second at most, so two who disagree never race.

mod behind;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::{Digest, Topic};

pub use behind::{BEHIND_MS, Behind};
pub use sweep::{QUIET_MS, SWEEP_MS_MAX, Sweep};

/// The least time between two rounds of putting right what others changed, in milliseconds.
pub const REPAIR_MS: u64 = 1000;

/// The retained messages of a center.
#[derive(Debug, Clone, Default)]
pub struct Retained {
    wanted: BTreeMap<Topic, Vec<u8>>,
    /// What the broker is believed to have, as far as it differs from nothing.
    there: BTreeMap<Topic, Digest>,
    /// Decided and not sent.
    due: BTreeSet<Topic>,
    /// Found changed.
    disturbed: BTreeSet<Topic>,
    repaired_ms: u64,
}

impl Retained {
    /// This is to be retained from now on.
    pub fn want(&mut self, topic: Topic, payload: Vec<u8>) {
        if self.there.get(&topic) != Some(&Digest::of(&payload)) {
            self.due.insert(topic.clone());
        }
        self.wanted.insert(topic, payload);
    }

    /// The broker delivered this; it holds, or held, it. True if it is what is wanted there, so nobody need read it.
    pub fn heard(&mut self, topic: &Topic, payload: &[u8]) -> bool {
        let Some(wanted) = self.wanted.get(topic) else { return false };
        self.there.insert(topic.clone(), Digest::of(payload));
        let as_wanted = wanted == payload;
        if as_wanted {
            self.disturbed.remove(topic);
        } else if !self.due.contains(topic) {
            self.disturbed.insert(topic.clone());
        }
        as_wanted
    }

    /// The connection is new: whatever is not heard from the broker now is not there.
    pub fn forget(&mut self) {
        self.there.clear();
        self.disturbed.clear();
        self.due = self.wanted.keys().cloned().collect();
    }

    /// This one could not be sent.
    pub fn unsent(&mut self, topic: &Topic) {
        if self.wanted.contains_key(topic) {
            self.there.remove(topic);
            self.disturbed.insert(topic.clone());
        }
    }

    /// What is to be published now. Call it only when the broker's state was heard.
    pub fn take(&mut self, mono_ms: u64) -> Vec<(Topic, Vec<u8>)> {
        if !self.disturbed.is_empty() && mono_ms >= self.repaired_ms + REPAIR_MS {
            self.repaired_ms = mono_ms;
            self.due.append(&mut self.disturbed);
        }
        let mut changes = Vec::new();
        for topic in std::mem::take(&mut self.due) {
            let Some(payload) = self.wanted.get(&topic) else { continue };
            let digest = Digest::of(payload);
            if self.there.insert(topic.clone(), digest) != Some(digest) {
                changes.push((topic, payload.clone()));
            }
        }
        changes
    }

    /// When [`Retained::take`] has something to put right, in milliseconds of running time.
    pub fn repair_at(&self) -> Option<u64> {
        (!self.disturbed.is_empty()).then_some(self.repaired_ms + REPAIR_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        "catalog/targets".parse().unwrap()
    }

    fn take(retained: &mut Retained, mono_ms: u64) -> Vec<String> {
        retained.take(mono_ms).into_iter().map(|(_, payload)| String::from_utf8(payload).unwrap()).collect()
    }

    #[test]
    fn what_the_broker_has_is_not_published_and_what_it_lost_is() {
        let mut retained = Retained::default();
        retained.want(topic(), b"a".to_vec());
        retained.forget();
        retained.heard(&topic(), b"a");
        assert!(take(&mut retained, 0).is_empty());
        retained.forget();
        assert_eq!(take(&mut retained, 0), ["a"]);
        assert!(take(&mut retained, 0).is_empty());
    }

    #[test]
    fn what_a_stranger_changed_is_put_right_once_a_second() {
        let mut retained = Retained::default();
        retained.want(topic(), b"a".to_vec());
        take(&mut retained, 0);
        retained.heard(&topic(), b"stranger");
        assert_eq!((take(&mut retained, 999), retained.repair_at()), (vec![], Some(1000)));
        assert_eq!((take(&mut retained, 1000), retained.repair_at()), (vec!["a".to_owned()], None));
        retained.heard(&topic(), b"");
        assert!(take(&mut retained, 1500).is_empty());
        assert_eq!(take(&mut retained, 2000), ["a"]);
    }

    #[test]
    fn the_echo_of_an_older_state_is_not_a_stranger() {
        let mut retained = Retained::default();
        retained.want(topic(), b"a".to_vec());
        take(&mut retained, 5000);
        retained.want(topic(), b"b".to_vec());
        assert_eq!(take(&mut retained, 5000), ["b"]);
        retained.heard(&topic(), b"a");
        retained.heard(&topic(), b"b");
        assert_eq!((take(&mut retained, 9000), retained.repair_at()), (vec![], None));
    }

    #[test]
    fn what_could_not_be_sent_is_sent_later() {
        let mut retained = Retained::default();
        retained.want(topic(), b"a".to_vec());
        assert_eq!(take(&mut retained, 0), ["a"]);
        retained.unsent(&topic());
        assert!(take(&mut retained, 10).is_empty());
        assert_eq!(take(&mut retained, REPAIR_MS), ["a"]);
    }
}
