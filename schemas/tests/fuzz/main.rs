//! Messages and topics from strangers: read or refused, never a panic, and what was read is written as it was read.
//!
//! `cargo test` gives each of these a second. More, in numbers:
//! `BOLERO_RANDOM_ITERATIONS=10000000 cargo test --release -p flotilla-schemas --test fuzz`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]

mod from_schema;

use bolero::{ValueGenerator, check, produce};
use flotilla_schemas::Topic;
use flotilla_schemas::app::Manifest;
use flotilla_schemas::command::{Command, Reply};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::Desired;
use flotilla_schemas::fault::Answer;
use flotilla_schemas::fleet::Fleet;
use flotilla_schemas::journal::{Ack, Batch};
use flotilla_schemas::release::{Catalog, Release, ScriptRelease};
use flotilla_schemas::report::{CenterStatus, EventReport, FaultReport, Inventory, ReleaseRow, Status, Want};
use from_schema::{Chance, make};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A message: its schema, and how it is read and written again.
struct Message {
    name: &'static str,
    schema: Value,
    /// True if it was read.
    both_ways: fn(&[u8]) -> bool,
}

fn message<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Message {
    Message { name, schema: schema_for!(T).to_value(), both_ways: both_ways::<T> }
}

fn both_ways<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return false };
    let written = serde_json::to_string(&message).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    true
}

fn messages() -> Vec<Message> {
    vec![
        message::<Ack>("ack"),
        message::<Answer>("answer"),
        message::<ReleaseRow>("release-row"),
        message::<Batch>("batch"),
        message::<Catalog>("catalog"),
        message::<CenterStatus>("center-status"),
        message::<Command>("command"),
        message::<Countermeasures>("countermeasures"),
        message::<Desired>("desired"),
        message::<EventReport>("event"),
        message::<FaultReport>("fault"),
        message::<Fleet>("fleet"),
        message::<Inventory>("inventory"),
        message::<Manifest>("manifest"),
        message::<Release>("release"),
        message::<Reply>("reply"),
        message::<ScriptRelease>("script-release"),
        message::<Status>("status"),
        message::<Want>("want"),
    ]
}

impl Message {
    fn made(&self, chance: &[u8]) -> Vec<u8> {
        make(&self.schema, &mut Chance(chance.iter())).to_string().into_bytes()
    }
}

/// Enough to decide all of a message.
fn chances() -> impl ValueGenerator<Output = Vec<u8>> {
    produce::<Vec<u8>>().with().len(0_usize..300)
}

#[test]
fn the_messages_that_are_made_can_be_read_now_and_then() {
    for message in messages() {
        let mut state = 1_u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut chances = (0..1_000).map(|_| (0..200).map(|_| byte()).collect::<Vec<u8>>());
        assert!(chances.any(|chance| (message.both_ways)(&message.made(&chance))), "{}", message.name);
    }
}

#[test]
fn a_message_is_refused_or_read_and_written_as_it_was_read() {
    let messages = messages();
    check!().with_generator((produce::<u8>(), chances())).for_each(|(which, chance)| {
        let message = &messages[usize::from(*which) % messages.len()];
        (message.both_ways)(&message.made(chance));
    });
}

#[test]
fn a_message_with_bytes_changed_is_refused_or_read_as_any_other() {
    let messages = messages();
    check!().with_generator((produce::<u8>(), chances(), produce::<[(u16, u8); 2]>())).for_each(
        |(which, chance, edits)| {
            let message = &messages[usize::from(*which) % messages.len()];
            let mut text = message.made(chance);
            for (place, byte) in edits {
                let place = usize::from(*place) % text.len();
                text[place] = *byte;
            }
            (message.both_ways)(&text);
        },
    );
}

/// A topic of each form.
const TOPICS: [&str; 30] = [
    "edge/e1/avail",
    "edge/e1/status",
    "edge/e1/inventory",
    "edge/e1/release/app/a",
    "edge/e1/journal/0/8b",
    "edge/e1/event/system",
    "edge/e1/fault/a/app.trap",
    "edge/e1/want",
    "edge/e1/request/a",
    "edge/e1/reply/a",
    "edge/e1/blob/7f",
    "edge/e1/notice",
    "to/e1/desired",
    "to/e1/ack",
    "to/e1/answer",
    "to/e1/command",
    "catalog/targets",
    "app/a",
    "script/s",
    "rollout/r",
    "advisory/a",
    "distribution/script/s/e1",
    "intent/service/s",
    "gate/r",
    "blob/00",
    "center/c1/avail",
    "center/c1/status",
    "peer/c1",
    "maker/m/offer",
    "local/e1/service",
];

/// Levels that belong elsewhere, or nowhere.
const LEVELS: [&str; 16] =
    ["", "+", "#", "$SYS", "E1", "e1", "3", "01", "+1", "-1", "7F", "app..trap", "ä", " ", "edge", "status"];

#[test]
fn a_text_is_the_only_one_of_its_topic_or_none() {
    for topic in TOPICS {
        assert!(topic.parse::<Topic>().is_ok(), "{topic}");
    }
    check!().with_type::<(u8, Option<(u8, u8)>, Option<(u8, char)>)>().for_each(|(which, level, letter)| {
        let topic = TOPICS[usize::from(*which) % TOPICS.len()];
        let mut levels: Vec<&str> = topic.split('/').collect();
        if let Some((place, level)) = level {
            let place = usize::from(*place) % levels.len();
            levels[place] = LEVELS[usize::from(*level) % LEVELS.len()];
        }
        let mut text = levels.join("/");
        if let Some((place, letter)) = letter {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            text.insert(places[usize::from(*place) % places.len()], *letter);
        }
        if let Ok(topic) = text.parse::<Topic>() {
            assert_eq!(topic.to_string(), text);
            assert!(text.is_ascii() && !text.contains(['+', '#', '$']));
        }
    });
}
