//! What an edge should be: slots, each with a key that only grows.
//!
//! A slot is joined by maximum of its key, ties by the larger digest of its value, so messages may be lost, repeated
//! and reordered. What is missing is not deleted: deletion is a value, `gone`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::countermeasure::Countermeasures;
use crate::digest::Digest;
use crate::id::{AppId, CenterId, EdgeId, EpochId, EventsId, FleetId, ScriptId, ServiceId};

/// The most slots of one edge.
pub const SLOTS_MAX: usize = 256;

/// How far the number of a document may jump past the highest that was seen.
pub const JUMP_MAX: u64 = 1 << 20;

/// Retained on `to/<e>/desired`, signed by a center.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The fleet.
    pub fleet: FleetId,
    /// The edge that it is for.
    pub edge: EdgeId,
    /// The edge's journal epoch that it is for: void once the edge's state was deleted.
    pub edge_epoch: EpochId,
    /// The least catalog version that has everything named here.
    pub min_catalog: u64,
    /// Slot name to what is desired there.
    pub items: BTreeMap<Slot, Item>,
}

/// A part of an edge that changes as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^(policy|service/[a-z0-9-]{1,64})$"))]
pub enum Slot {
    /// `policy`: the countermeasures.
    Policy,
    /// `service/<s>`: a service with all that it consists of.
    Service(ServiceId),
}

impl TryFrom<String> for Slot {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            None if text == "policy" => Ok(Slot::Policy),
            Some(("service", id)) => id.parse().map(Slot::Service).map_err(|e| format!("{e}")),
            _ => Err(format!("{text:?} is not a slot: policy or service/<id>")),
        }
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> String {
        match slot {
            Slot::Policy => "policy".into(),
            Slot::Service(id) => format!("service/{id}"),
        }
    }
}

/// What decides which of two values of a slot holds: compared field by field, in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The fleet file's era.
    pub era: u32,
    /// The document's number: 1 + the highest that its author had seen.
    pub n: u64,
    /// The center that took the document.
    pub author: CenterId,
    /// The rollout's run.
    pub run: u32,
    /// The rollout's phase.
    pub phase: u32,
}

/// A slot's key and value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Decides against another value.
    pub key: Key,
    /// What is desired.
    pub value: Wanted,
}

impl Item {
    /// Whether this item replaces the other: by key, on a tie by the larger digest of the value.
    pub fn replaces(&self, other: &Item) -> bool {
        (&self.key, self.value.digest()) > (&other.key, other.value.digest())
    }
}

/// The digest over the slots that an edge holds: what its status shows, and what a center compares with its own.
pub fn slots_digest(slots: &BTreeMap<Slot, Item>) -> Digest {
    let digests: Vec<_> = slots.iter().map(|(slot, item)| (slot, &item.key, item.value.digest())).collect();
    Digest::of(&serde_json::to_vec(&digests).unwrap_or_default())
}

/// A slot's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Nothing: what was here is to be removed.
    Gone,
    /// The slot `policy`.
    Policy(Countermeasures),
    /// A slot `service/<s>`.
    Service(Service),
}

impl Wanted {
    /// The digest of the value's JSON.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A service: what must change together is one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What a run does.
    pub work: Work,
    /// The app releases it runs, alternates included: the digests of their documents in the catalog.
    pub apps: BTreeMap<AppId, Digest>,
    /// When it runs.
    pub trigger: Trigger,
    /// Grows each time that a person starts it: what runs once runs once for each of these.
    pub started: u64,
}

/// What a run of a service does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// It walks a script.
    Script {
        /// The script.
        script: ScriptId,
        /// The script release: the digest of its document in the catalog.
        release: Digest,
        /// Which of its event lists.
        events: EventsId,
    },
    /// It calls the operation that this app's manifest declares for it, as an edge without scripts can.
    App(AppId),
}

/// When a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Once for each time it was started; not again after the edge's restart.
    Once,
    /// At once, and again each time so many milliseconds have passed since the last start.
    EveryMs(u64),
}

/// The shortest period of a service, in milliseconds.
pub const EVERY_MS_MIN: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u64, author: &str, value: Wanted) -> Item {
        Item { key: Key { era: 1, n, author: CenterId::new(author).unwrap(), run: 0, phase: 0 }, value }
    }

    #[test]
    fn of_two_items_exactly_one_replaces_the_other_unless_they_are_equal() {
        let list = Countermeasures { version: 2, ..Countermeasures::default() };
        let items = [
            item(1, "c1", Wanted::Gone),
            item(2, "c1", Wanted::Gone),
            item(2, "c2", Wanted::Gone),
            item(2, "c2", Wanted::Policy(list)),
        ];
        for (i, a) in items.iter().enumerate() {
            for (j, b) in items.iter().enumerate() {
                assert_eq!(a.replaces(b) ^ b.replaces(a), i != j, "{i} {j}");
            }
        }
        assert!(items[2].replaces(&items[0]) && items[2].replaces(&items[1]));
    }

    #[test]
    fn a_slot_is_read_as_it_is_written() {
        for text in ["\"policy\"", "\"service/cooling\""] {
            let slot: Slot = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&slot).unwrap(), text);
        }
        assert!(serde_json::from_str::<Slot>("\"service/\"").is_err());
    }
}
