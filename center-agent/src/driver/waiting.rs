//! What waits for the disk: the steps that were decided while a commit was under way, in order.
//!
//! Steps that bring rows up to date share a commit, and it is no matter if it fails: their effects are carried out all
//! the same, and the rows go with the next commit. A person's decision has a commit of its own: if that fails, the
//! decision never was, and nothing but its request knows. At most one commit is under way.

use std::collections::{BTreeMap, VecDeque};

use center_core::{Effect, Step, Write};

/// Steps that share a commit.
#[derive(Debug, Default)]
struct Group {
    writes: Vec<Write>,
    effects: Vec<Effect>,
    decided: bool,
}

/// What is to be done now.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// Put this on disk, then come back with [`Waiting::committed`].
    Commit(Vec<Write>),
    /// Carry this out.
    CarryOut(Vec<Effect>),
    /// It was decided and could not be stored: it does not hold.
    Refuse(Vec<Effect>),
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    groups: VecDeque<Group>,
    /// Rows that could not be stored, the latest under each key.
    unsaved: BTreeMap<String, Write>,
    committing: bool,
}

impl Waiting {
    /// Takes what a step wants on disk and what it does then.
    pub fn add(&mut self, step: Step) {
        let Step { persist, effects, decided, .. } = step;
        if persist.is_empty() && effects.is_empty() {
            return;
        }
        // The first group may be on its way to the disk.
        let open = self.groups.len() > usize::from(self.committing);
        match self.groups.back_mut().filter(|group| open && !group.decided && !decided) {
            Some(group) => {
                group.writes.extend(persist);
                group.effects.extend(effects);
            }
            None => self.groups.push_back(Group { writes: persist, effects, decided }),
        }
    }

    /// What is to be done next; none while a commit is under way, or if nothing waits.
    pub fn next(&mut self) -> Option<Turn> {
        let group = self.groups.front_mut().filter(|_| !self.committing)?;
        if group.writes.is_empty() {
            return self.groups.pop_front().map(|group| Turn::CarryOut(group.effects));
        }
        let mut writes = std::mem::take(&mut group.writes);
        if !group.decided {
            // The later row of a key is the newer one.
            writes.splice(0..0, std::mem::take(&mut self.unsaved).into_values());
        }
        self.committing = true;
        Some(Turn::Commit(writes))
    }

    /// The commit is over; it had these writes.
    pub fn committed(&mut self, writes: Vec<Write>, stored: bool) -> Option<Turn> {
        self.committing = false;
        let group = self.groups.pop_front()?;
        if !stored && group.decided {
            return Some(Turn::Refuse(group.effects));
        }
        if !stored {
            self.unsaved.extend(writes.into_iter().map(|write| (write.key(), write)));
        }
        Some(Turn::CarryOut(group.effects))
    }

    /// Whether rows wait for a disk that takes them.
    pub fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Tries the rows again that could not be stored.
    pub fn try_again(&mut self) {
        let writes = std::mem::take(&mut self.unsaved).into_values().collect();
        self.groups.push_back(Group { writes, ..Group::default() });
    }

    /// Whether a decision waits: no other is to be made on top of it.
    pub fn decides(&self) -> bool {
        self.groups.iter().any(|group| group.decided)
    }

    /// Whether nothing waits and no commit is under way.
    pub fn is_idle(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use center_core::Note;

    fn step(row: &str, does: &'static str) -> Step {
        let note = Note {
            warn: false,
            message: does,
            edge: None,
            subject: String::new(),
            error: String::new(),
            left_out: 0,
        };
        let persist = (!row.is_empty()).then(|| Write::Remove(row.to_owned())).into_iter().collect();
        Step { persist, effects: vec![Effect::Note(note)], ..Step::default() }
    }

    fn decision(row: &str, does: &'static str) -> Step {
        Step { decided: true, ..step(row, does) }
    }

    fn keys(turn: Option<Turn>) -> Vec<String> {
        match turn {
            Some(Turn::Commit(writes)) => writes.iter().map(Write::key).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn done(turn: Option<Turn>) -> Vec<&'static str> {
        let (Some(Turn::CarryOut(effects)) | Some(Turn::Refuse(effects))) = turn else { panic!("{turn:?}") };
        let message = |effect| match effect {
            Effect::Note(note) => note.message,
            other => panic!("{other:?}"),
        };
        effects.into_iter().map(message).collect()
    }

    fn writes(keys: &[&str]) -> Vec<Write> {
        keys.iter().map(|key| Write::Remove((*key).to_owned())).collect()
    }

    #[test]
    fn what_comes_while_a_commit_is_under_way_shares_the_next() {
        let mut waiting = Waiting::default();
        waiting.add(step("a", "first"));
        assert_eq!(keys(waiting.next()), ["a"]);
        for (row, does) in [("b", "second"), ("", "third"), ("c", "fourth")] {
            waiting.add(step(row, does));
            assert_eq!(waiting.next(), None);
        }
        assert_eq!(done(waiting.committed(writes(&["a"]), true)), ["first"]);
        assert_eq!(keys(waiting.next()), ["b", "c"]);
        assert_eq!(done(waiting.committed(writes(&["b", "c"]), true)), ["second", "third", "fourth"]);
        assert!(waiting.next().is_none() && waiting.is_idle());
    }

    #[test]
    fn what_needs_no_disk_waits_for_nothing() {
        let mut waiting = Waiting::default();
        waiting.add(step("", "at once"));
        assert_eq!(done(waiting.next()), ["at once"]);
    }

    #[test]
    fn rows_that_were_not_stored_go_with_the_next_commit_and_their_effects_at_once() {
        let mut waiting = Waiting::default();
        waiting.add(step("a", "first"));
        waiting.next();
        assert_eq!(done(waiting.committed(writes(&["a"]), false)), ["first"]);
        assert!(waiting.is_unsaved());
        waiting.add(step("b", "second"));
        assert_eq!(keys(waiting.next()), ["a", "b"]);
        waiting.committed(writes(&["a", "b"]), false);
        waiting.try_again();
        assert_eq!(keys(waiting.next()), ["a", "b"]);
        waiting.committed(writes(&["a", "b"]), true);
        assert!(!waiting.is_unsaved() && waiting.is_idle());
    }

    #[test]
    fn a_decision_that_was_not_stored_is_refused_and_costs_nothing_else() {
        let mut waiting = Waiting::default();
        waiting.add(step("a", "first"));
        waiting.next();
        waiting.add(step("b", "second"));
        waiting.add(decision("d", "decided"));
        waiting.add(step("c", "third"));
        assert!(waiting.decides());
        waiting.committed(writes(&["a"]), false);
        assert_eq!(keys(waiting.next()), ["a", "b"]);
        waiting.committed(writes(&["a", "b"]), true);
        assert_eq!(keys(waiting.next()), ["d"], "alone");
        let refused = waiting.committed(writes(&["d"]), false);
        assert!(matches!(&refused, Some(Turn::Refuse(_))));
        assert_eq!(done(refused), ["decided"]);
        assert!(!waiting.is_unsaved() && !waiting.decides());
        assert_eq!(keys(waiting.next()), ["c"]);
    }
}
