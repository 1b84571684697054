//! What should be: slots joined by maximum, and the catalog that says what their digests stand for.
//!
//! Joining decides what is desired and carries nothing out: what changed is given back. A slot that this agent does not
//! understand is kept and carried on as it came; what it stood for stays what it was.

mod catalog;

use std::collections::BTreeMap;

use flotilla_schemas::desired::{
    Desired, Item, JUMP_MAX, SLOTS_MAX, Service, Slot, Wanted as Value, slots_digest,
};
use flotilla_schemas::publisher::Publishers;
use flotilla_schemas::sign::Signature;
use flotilla_schemas::{Digest, EdgeId, EpochId, FleetId, Json, ServiceId};
use serde::{Deserialize, Serialize};

use crate::out::Out;

pub(crate) use catalog::{Catalog, CatalogError};

/// What is desired of this edge.
pub(crate) struct Wanted {
    slots: BTreeMap<Slot, Item>,
    pub catalog: Catalog,
    /// The message with the highest number: what a center that has lost its own is shown.
    newest: Option<Came>,
}

/// A message of a center as it came, with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Came {
    pub text: String,
    pub sig: Signature,
}

/// What came of joining.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Other countermeasures hold.
    Policy(Json),
    /// A service is to be this, or to go; and the number of the document that says so.
    Service(ServiceId, Option<Service>, u64),
}

/// Why a desired state is not this edge's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error("it is for the fleet {0}")]
    Fleet(FleetId),
    #[error("it is for the edge {0}")]
    Edge(EdgeId),
    #[error("it is for the state {0} of this edge, not {1}")]
    Epoch(EpochId, EpochId),
}

/// Why a slot's item is not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unjoined {
    #[error("its era {0} is below the fleet file's {1}")]
    Era(u32, u32),
    #[error("its number {0} jumps past {1} by more than {JUMP_MAX}")]
    Jump(u64, u64),
    #[error("the edge has {SLOTS_MAX} slots already")]
    Full,
}

impl Wanted {
    /// Nothing yet.
    pub fn new(publishers: Publishers) -> Self {
        Self { slots: BTreeMap::new(), catalog: Catalog::new(publishers), newest: None }
    }

    /// The message with the highest number, as it was kept.
    pub fn found_newest(&mut self, came: Came) {
        self.newest = Some(came);
    }

    /// The message with the highest number, if there was one.
    pub fn newest(&self) -> Option<&Came> {
        self.newest.as_ref()
    }

    /// A slot that was kept.
    pub fn found(&mut self, slot: Slot, item: Item) {
        self.slots.insert(slot, item);
    }

    /// All that is desired, as a change from nothing.
    pub fn all(&self, out: &mut Out) -> Vec<Change> {
        self.slots.iter().filter_map(|(slot, item)| change(slot, item, out)).collect()
    }

    /// Joins a desired state, which came in this message; what changed by it.
    pub fn take(&mut self, desired: Desired, came: Came, out: &mut Out) -> Vec<Change> {
        if let Err(reason) = is_own(&desired, out) {
            out.warn(format!("a desired state is refused: {reason}"));
            return Vec::new();
        }
        let (n_max, before) = (self.n_max(), self.digest());
        let join = |(slot, item)| self.join(slot, item, out);
        let changes = desired.items.into_iter().filter_map(join).collect();
        if self.n_max() > n_max || (self.newest.is_none() && self.digest() != before) {
            out.keep("newest".to_owned(), &came);
            self.newest = Some(came);
        }
        changes
    }

    fn join(&mut self, slot: Slot, item: Item, out: &mut Out) -> Option<Change> {
        if let Err(reason) = self.may_join(&slot, &item, out.config.fleet.era) {
            out.warn(format!("slot {} is refused: {reason}", String::from(slot)));
            return None;
        }
        if self.slots.get(&slot).is_some_and(|current| !item.replaces(current)) {
            return None;
        }
        out.keep(format!("slot/{}", String::from(slot.clone())), &item);
        out.status_due = true;
        let change = change(&slot, &item, out);
        self.slots.insert(slot, item);
        change
    }

    fn may_join(&self, slot: &Slot, item: &Item, era: u32) -> Result<(), Unjoined> {
        let (key, n_max) = (item.key(), self.n_max());
        if key.era < era {
            return Err(Unjoined::Era(key.era, era));
        }
        if n_max > 0 && key.n > n_max.saturating_add(JUMP_MAX) {
            return Err(Unjoined::Jump(key.n, n_max));
        }
        if !self.slots.contains_key(slot) && self.slots.len() >= SLOTS_MAX {
            return Err(Unjoined::Full);
        }
        Ok(())
    }

    /// The highest document number that was seen; 0 before the first.
    pub fn n_max(&self) -> u64 {
        self.slots.values().map(|item| item.key().n).max().unwrap_or(0)
    }

    /// What a center compares with its own.
    pub fn digest(&self) -> Digest {
        slots_digest(&self.slots)
    }
}

fn is_own(desired: &Desired, out: &Out) -> Result<(), Foreign> {
    if desired.fleet != out.config.fleet.fleet {
        return Err(Foreign::Fleet(desired.fleet.clone()));
    }
    if desired.edge != out.config.edge {
        return Err(Foreign::Edge(desired.edge.clone()));
    }
    if desired.edge_epoch != out.journal.epoch {
        return Err(Foreign::Epoch(desired.edge_epoch.clone(), out.journal.epoch.clone()));
    }
    Ok(())
}

/// What an item asks for, if its slot may hold that and this agent knows all of it. What is held back stays what it
/// was; its key holds all the same.
fn change(slot: &Slot, item: &Item, out: &mut Out) -> Option<Change> {
    let reason = match (slot, item.wanted()) {
        (Slot::Other(_), _) => "it needs a newer agent".to_owned(),
        (Slot::Policy, Ok(Value::Gone)) => return None,
        (Slot::Policy, Ok(Value::Policy(list))) => return Some(Change::Policy(list)),
        (Slot::Service(id), Ok(Value::Gone)) => return Some(Change::Service(id.clone(), None, item.key().n)),
        (Slot::Service(id), Ok(Value::Service(service))) => {
            return Some(Change::Service(id.clone(), Some(service), item.key().n));
        }
        (_, Ok(_)) => "its value is of another kind than the slot".to_owned(),
        (_, Err(newer)) => newer.to_string(),
    };
    out.warn(format!("slot {} is held back: {reason}", String::from(slot.clone())));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use flotilla_schemas::desired::Key;

    fn item(era: u32, n: u64, value: &Value) -> Item {
        Item::new(Key { era, n, author: "c1".parse().unwrap(), run: 0, phase: 0 }, value).unwrap()
    }

    fn desired(out: &Out, items: impl IntoIterator<Item = (Slot, Item)>) -> Desired {
        Desired {
            v: 1,
            fleet: out.config.fleet.fleet.clone(),
            edge: out.config.edge.clone(),
            edge_epoch: out.journal.epoch.clone(),
            min_catalog: 0,
            retired: false,
            items: items.into_iter().collect(),
        }
    }

    fn came(text: &str) -> Came {
        let sig = samples::key("c1").sign("to/e1/desired", text.as_bytes());
        Came { text: text.to_owned(), sig }
    }

    #[test]
    fn the_message_with_the_highest_number_is_kept_as_it_came() {
        let (mut wanted, mut out) = room();
        for (n, newest) in [(5, "5"), (4, "5"), (6, "6")] {
            let desired = desired(&out, [(service("a"), item(1, n, &Value::Gone))]);
            wanted.take(desired, came(&n.to_string()), &mut out);
            assert_eq!(wanted.newest(), Some(&came(newest)));
        }
    }

    fn service(name: &str) -> Slot {
        Slot::Service(name.parse().unwrap())
    }

    fn room() -> (Wanted, Out) {
        let out = samples::out();
        (Wanted::new(out.config.fleet.publishers()), out)
    }

    #[test]
    fn a_slot_takes_the_greater_key_and_nothing_twice() {
        let (mut wanted, mut out) = room();
        for (n, changes) in [(5, 1), (4, 0), (5, 0), (6, 1)] {
            let desired = desired(&out, [(service("a"), item(1, n, &Value::Gone))]);
            assert_eq!(wanted.take(desired, came("x"), &mut out).len(), changes, "{n}");
        }
        assert_eq!(wanted.n_max(), 6);
    }

    #[test]
    fn what_is_for_another_edge_or_another_state_of_this_one_changes_nothing() {
        let (mut wanted, mut out) = room();
        let own = desired(&out, [(service("a"), item(1, 1, &Value::Gone))]);
        let others = [
            Desired { fleet: "other".parse().unwrap(), ..own.clone() },
            Desired { edge: "e2".parse().unwrap(), ..own.clone() },
            Desired { edge_epoch: "gone".parse().unwrap(), ..own.clone() },
        ];
        for other in others {
            assert_eq!(wanted.take(other, came("x"), &mut out), []);
        }
        assert_eq!((wanted.n_max(), wanted.take(own, came("x"), &mut out).len()), (0, 1));
    }

    #[test]
    fn an_era_that_is_over_and_a_number_out_of_the_blue_are_refused() {
        let (mut wanted, mut out) = room();
        wanted.found(service("a"), item(1, 5, &Value::Gone));
        for (era, n) in [(0, 6), (1, 5 + JUMP_MAX + 1)] {
            let desired = desired(&out, [(service("a"), item(era, n, &Value::Gone))]);
            assert_eq!(wanted.take(desired, came("x"), &mut out), []);
        }
        let edge = desired(&out, [(service("a"), item(1, 5 + JUMP_MAX, &Value::Gone))]);
        assert_eq!(wanted.take(edge, came("x"), &mut out).len(), 1);
    }

    #[test]
    fn no_more_slots_are_held_than_the_most() {
        let (mut wanted, mut out) = room();
        let many = (0..SLOTS_MAX + 1).map(|n| (service(&format!("s{n:03}")), item(1, 1, &Value::Gone)));
        let desired = desired(&out, many);
        assert_eq!(wanted.take(desired, came("x"), &mut out).len(), SLOTS_MAX);
    }

    #[test]
    fn a_slot_of_a_newer_center_is_kept_and_asks_for_nothing() {
        let (mut wanted, mut out) = room();
        let slot = Slot::Other("firmware".into());
        let before = wanted.digest();
        let desired = desired(&out, [(slot, item(1, 1, &Value::Gone))]);
        assert_eq!(wanted.take(desired, came("x"), &mut out), []);
        assert_ne!(wanted.digest(), before);
        assert_eq!(out.take_step().persist.len(), 2, "the slot, and the message that it came in");
    }
}
