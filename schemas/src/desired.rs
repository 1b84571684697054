//! What an edge should be: slots, each with a key that only grows.
//!
//! A slot is joined by maximum of its key, ties by the larger digest of its value, so messages may be lost, repeated
//! and reordered. What is missing is not deleted: deletion is a value, `gone`. An item is its text: who joins, compares
//! or passes it on need not know what it says, so an edge or a center carries what a newer one wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::id::{AppId, CenterId, EdgeId, EpochId, EventsId, FleetId, IdError, ScriptId, ServiceId};
use crate::json::Json;

/// The most slots of one edge.
pub const SLOTS_MAX: usize = 256;

/// How far the number of a document may jump past the highest that was seen.
pub const JUMP_MAX: u64 = 1 << 20;

/// The longest name of a slot, in bytes.
const SLOT_BYTES_MAX: usize = 160;

/// Retained on `to/<e>/desired`, signed by a center.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Whether the edge has left the fleet, in whatever state it is: nothing else here means anything then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Slot name to what is desired there. One whose key cannot be read is passed over.
    #[serde(deserialize_with = "readable")]
    pub items: BTreeMap<Slot, Item>,
}

/// The items that can be joined: each by itself, so that one of a newer program harms no other.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Slot, Item>, D::Error> {
    let items = BTreeMap::<String, Json>::deserialize(deserializer)?;
    let read = |(slot, text): (String, Json)| Some((slot.try_into().ok()?, text.try_into().ok()?));
    Ok(items.into_iter().filter_map(read).collect())
}

/// A part of an edge that changes as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^(policy|service/[a-z0-9-]{1,64}|[a-z0-9-/]{1,160})$"))]
pub enum Slot {
    /// `policy`: the countermeasures.
    Policy,
    /// `service/<s>`: a service with all that it consists of.
    Service(ServiceId),
    /// One that a newer program knows: it is carried on and never carried out.
    Other(String),
}

/// Text that cannot be the name of a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Of another form.
    #[error("{0:?} is not a slot: at most {SLOT_BYTES_MAX} characters of a-z, 0-9, - and /")]
    Form(String),
    /// An id in it is none.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl TryFrom<String> for Slot {
    type Error = SlotError;
    fn try_from(text: String) -> Result<Self, SlotError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'/';
        match text.split_once('/') {
            None if text == "policy" => Ok(Slot::Policy),
            Some(("service", id)) => Ok(Slot::Service(id.parse()?)),
            _ if !text.is_empty() && text.len() <= SLOT_BYTES_MAX && text.bytes().all(legal) => {
                Ok(Slot::Other(text))
            }
            _ => Err(SlotError::Form(text.chars().take(80).collect())),
        }
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> String {
        match slot {
            Slot::Policy => "policy".into(),
            Slot::Service(id) => format!("service/{id}"),
            Slot::Other(text) => text,
        }
    }
}

/// What decides which of two values of a slot holds: compared field by field, in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

/// A slot's key and value: `{"key": …, "value": …}`, in the text that they came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Json", into = "Json")]
pub struct Item {
    key: Key,
    text: Json,
}

impl Item {
    /// The item that a center makes of a value.
    pub fn new(key: Key, value: &Wanted) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        struct Parts<'a> {
            key: &'a Key,
            value: &'a Wanted,
        }
        let text = Json::of(&Parts { key: &key, value })?;
        Ok(Self { key, text })
    }

    /// Decides against another value.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What is desired. One key more than is known here may change what the others mean, so nothing of it is believed.
    pub fn wanted(&self) -> Result<Wanted, NeedsNewer> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parts {
            #[serde(rename = "key")]
            _key: Key,
            value: Wanted,
        }
        self.text.read().map(|Parts { value, .. }| value).map_err(|error| NeedsNewer(error.to_string()))
    }

    /// Whether this item replaces the other: by key, on a tie by the larger digest of the text.
    pub fn replaces(&self, other: &Item) -> bool {
        (&self.key, self.text.digest()) > (&other.key, other.text.digest())
    }
}

impl TryFrom<Json> for Item {
    type Error = serde_json::Error;
    fn try_from(text: Json) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Parts {
            key: Key,
        }
        let Parts { key } = text.read()?;
        Ok(Self { key, text })
    }
}

impl From<Item> for Json {
    fn from(item: Item) -> Json {
        item.text
    }
}

impl JsonSchema for Item {
    fn schema_name() -> Cow<'static, str> {
        "Item".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (key, value) = (generator.subschema_for::<Key>(), generator.subschema_for::<Wanted>());
        json_schema!({
            "description": "A slot's key and value.",
            "type": "object",
            "properties": { "key": key, "value": value },
            "required": ["key", "value"]
        })
    }
}

/// What a newer program wrote, and permits or asks for something that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it needs a newer agent: {0}")]
pub struct NeedsNewer(pub String);

/// The digest over the slots that an edge holds: what its status shows, and what a center compares with its own.
pub fn slots_digest(slots: &BTreeMap<Slot, Item>) -> Digest {
    let digests: Vec<_> = slots.iter().map(|(slot, item)| (slot, item.text.digest())).collect();
    Digest::of(&serde_json::to_vec(&digests).unwrap_or_default())
}

/// A slot's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Nothing: what was here is to be removed.
    Gone,
    /// The slot `policy`: [`Countermeasures`](crate::countermeasure::Countermeasures), to be read one by one.
    Policy(Json),
    /// A slot `service/<s>`.
    Service(Service),
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

impl Work {
    /// The script that it walks, if it is one.
    pub fn script(&self) -> Option<&ScriptId> {
        match self {
            Work::Script { script, .. } => Some(script),
            Work::App(_) => None,
        }
    }

    /// The script release that it walks, if it is one.
    pub fn script_release(&self) -> Option<Digest> {
        match self {
            Work::Script { release, .. } => Some(*release),
            Work::App(_) => None,
        }
    }
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
        let key = Key { era: 1, n, author: CenterId::new(author).unwrap(), run: 0, phase: 0 };
        Item::new(key, &value).unwrap()
    }

    #[test]
    fn of_two_items_exactly_one_replaces_the_other_unless_they_are_equal() {
        let list = Json::parse(br#"{"version":2}"#).unwrap();
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
        for text in ["policy", "service/cooling", "environment", "app/a"] {
            let slot: Slot = text.to_owned().try_into().unwrap();
            assert_eq!(String::from(slot), text);
        }
        for text in ["", "service/", "service/A", "x y", &"a".repeat(SLOT_BYTES_MAX + 1)] {
            assert!(Slot::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_newer_center_wrote_is_carried_on_as_it_came_and_harms_no_other_slot() {
        let key = r#"{"era":1,"n":7,"author":"c1","run":0,"phase":0,"lease":3}"#;
        let later = format!(r#"{{"key":{key},"value":{{"firmware":"x"}},"until":1.50}}"#);
        let plain = format!(r#"{{"key":{key},"value":"gone"}}"#);
        let text = format!(
            r#"{{"v":1,"fleet":"f","edge":"e1","edge_epoch":"x","min_catalog":0,"later":true,"items":{{
                "policy":{plain},"environment":{later},"service/a":{later},"service/b":{{"value":"gone"}}}}}}"#
        );
        let desired: Desired = serde_json::from_str(&text).unwrap();
        let slots: Vec<String> = desired.items.keys().cloned().map(String::from).collect();
        assert_eq!(slots, ["policy", "service/a", "environment"], "one without a key cannot be joined");
        assert_eq!(desired.items[&Slot::Policy].wanted(), Ok(Wanted::Gone));
        assert!(desired.items.values().nth(1).unwrap().wanted().is_err());
        assert!(serde_json::to_string(&desired).unwrap().contains(&later));
    }
}
