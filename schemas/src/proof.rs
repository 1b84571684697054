//! The report of a proof: what was run of a script's whole range before it was published, and what was seen.
//!
//! There is a report only of what held: whatever breaks is refused with the script that breaks it. All of it follows
//! from the files, the apps, the list of countermeasures and the seed, and comes out the same on every machine;
//! what does not is [`Measured`]. So whoever proves again compares the rest with [`Proof::differs_from`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::Limits;
use crate::countermeasure::Measure;
use crate::digest::Digest;
use crate::fault::Kind;
use crate::id::{AppId, EventsId};

/// The largest report, in bytes of JSON.
pub const PROOF_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much more memory than was seen an app is given whose manifest does not say.
pub const MEMORY_MULTIPLE: u64 = 2;

/// How much more time than was seen an app is given whose manifest does not say, and never less than
/// [`Limits::default`]: a gateway is slower than the machine that proved.
pub const DEADLINE_MULTIPLE: u64 = 10;

/// What was proven of a script with all of its event lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Version of this message's form: 1.
    pub v: u32,
    /// What chance began with: the same seed makes the same scripts.
    pub seed: u64,
    /// The components that were run.
    pub apps: BTreeMap<AppId, Digest>,
    /// Each event list, in the order of their names.
    pub lists: Vec<ListProof>,
}

/// What was proven of one event list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListProof {
    /// The list.
    pub events: EventsId,
    /// Everything that the definition lets a script say below the list's root, and which script said it.
    pub items: Vec<ItemProof>,
    /// How many scripts were made and run.
    pub scripts: u32,
    /// Why no more were made.
    pub end: End,
    /// Values just outside their range that were refused.
    pub outside: u32,
    /// What may come and was not tried, in words: alternates that are not there, values that no script has, texts
    /// longer than any that was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The runs with the apps that the list names, and those in which an alternate stood in for one of them.
    pub casts: Vec<CastProof>,
}

/// One thing that a script can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemProof {
    /// An element, branch, repetition, attribute or value, in words.
    pub item: String,
    /// The first script that said it, counted from 1; none did if this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<u32>,
}

/// Why no more scripts were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every item was taken.
    Complete,
    /// No further script took anything new.
    Stalled,
    /// The budget of scripts, of bytes or of elements was used up.
    Size,
    /// The budget of time was used up.
    Time,
}

/// What was seen with one set of apps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CastProof {
    /// Which alternate stood in for which app; empty for the apps that the list names.
    pub standing_in: BTreeMap<AppId, AppId>,
    /// Runs: each script twice in a row with equipment that is well, so that what resident apps keep shows, and again
    /// for each way in which equipment was made to fail.
    pub runs: u32,
    /// Operations that were called.
    pub calls: u64,
    /// How often equipment was made to fail: each access of a point at each step event, in each way, once.
    pub failures: u32,
    /// The most memory of each app, in bytes.
    pub memory_bytes: BTreeMap<AppId, u64>,
    /// The faults that failing equipment came to, each with what is done about it.
    pub faults: Vec<SeenFault>,
    /// What another machine measures differently.
    pub measured: Measured,
}

/// A fault that failing equipment came to. With equipment that is well, none may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenFault {
    /// The kind.
    pub kind: Kind,
    /// The app.
    pub app: AppId,
    /// The code of the fault, where the app returned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// In how many runs.
    pub runs: u32,
    /// Where it was seen first: the step event, the point, and what that did.
    pub first: String,
    /// What the list of countermeasures does about it, in order.
    pub measures: Vec<Measure>,
}

/// What depends on the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The runtime: engine, processor, configuration.
    pub runtime: String,
    /// The operation of each app that took longest, of those that came through.
    pub slowest: BTreeMap<AppId, Slowest>,
    /// The least stack in which every script ran: a power of two, in bytes. The stack that the equipment's failures
    /// take is not in it, nor what a program keeps in its own memory.
    pub stack_bytes: u64,
    /// How long it all took, in milliseconds.
    pub elapsed_ms: u64,
}

/// The operation of an app that took longest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slowest {
    /// The operation.
    pub operation: String,
    /// The step event that called it.
    pub step: String,
    /// How long it computed, in microseconds.
    pub busy_us: u64,
    /// How long it waited for its simulated equipment, in milliseconds.
    pub waited_ms: u64,
}

impl Slowest {
    /// How long it took as a whole, in microseconds.
    pub fn elapsed_us(&self) -> u64 {
        self.waited_ms.saturating_mul(1000).saturating_add(self.busy_us)
    }
}

impl Measured {
    /// The app and its operation that took longest of all.
    pub fn slowest_of_all(&self) -> Option<(&AppId, &Slowest)> {
        self.slowest.iter().max_by_key(|(_, slowest)| slowest.elapsed_us())
    }
}

impl Proof {
    /// Limits for an app whose manifest does not say, from the most that was seen of it; none if it was not called.
    pub fn limits(&self, app: &AppId) -> Option<Limits> {
        let casts = self.lists.iter().flat_map(|list| &list.casts);
        let seen = casts.filter_map(|cast| {
            let elapsed_us = cast.measured.slowest.get(app).map_or(0, Slowest::elapsed_us);
            Some((*cast.memory_bytes.get(app)?, elapsed_us))
        });
        let most = seen.reduce(|most, seen| (most.0.max(seen.0), most.1.max(seen.1)));
        most.map(|(memory_bytes, elapsed_us)| Limits::from_seen(memory_bytes, elapsed_us))
    }

    /// How much was taken of the event list of which the least was; see [`ListProof::covered_percent`].
    pub fn covered_percent(&self) -> f64 {
        self.lists.iter().map(ListProof::covered_percent).fold(100.0, f64::min)
    }

    /// What two proofs of the same thing disagree in, in words; none if they agree in all but what is measured.
    pub fn differs_from(&self, other: &Proof) -> Option<String> {
        let name = |list: &ListProof| list.events.clone();
        if self.v != other.v || self.seed != other.seed {
            return Some("the seed".to_owned());
        }
        if self.apps != other.apps {
            return Some("the apps that were run".to_owned());
        }
        if !self.lists.iter().map(name).eq(other.lists.iter().map(name)) {
            return Some("the event lists".to_owned());
        }
        let mut pairs = self.lists.iter().zip(&other.lists);
        pairs.find_map(|(list, other)| {
            Some(format!("event list {}: {}", list.events, list.differs_from(other)?))
        })
    }
}

impl ListProof {
    /// How many items were taken.
    pub fn covered(&self) -> usize {
        self.items.iter().filter(|item| item.script.is_some()).count()
    }

    /// How much of the items that is, in percent to one decimal, rounded down: 100 is said of all of them alone.
    pub fn covered_percent(&self) -> f64 {
        (1000 * self.covered() / self.items.len().max(1)) as f64 / 10.0
    }

    fn differs_from(&self, other: &ListProof) -> Option<&'static str> {
        let unmeasured = |list: &ListProof| -> Vec<CastProof> {
            list.casts
                .iter()
                .map(|cast| CastProof { measured: Measured::default(), ..cast.clone() })
                .collect()
        };
        let differences = [
            (self.scripts != other.scripts || self.end != other.end, "the scripts"),
            (self.items != other.items, "the items"),
            (self.outside != other.outside, "the values outside their range"),
            (self.left_out != other.left_out, "what was left out"),
            (unmeasured(self) != unmeasured(other), "what was seen"),
        ];
        differences.into_iter().find_map(|(differs, what)| differs.then_some(what))
    }
}

impl Limits {
    /// What an app is given whose manifest does not say: [`MEMORY_MULTIPLE`] times the memory and
    /// [`DEADLINE_MULTIPLE`] times the time that were seen, rounded up to pages of 64 KiB and to milliseconds, within
    /// what any app may have. The time is at least that of [`Limits::default`].
    fn from_seen(memory_bytes: u64, elapsed_us: u64) -> Self {
        use crate::app::{DEADLINE_MS_MAX, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN};
        let memory = memory_bytes.saturating_mul(MEMORY_MULTIPLE).next_multiple_of(64 * 1024);
        let deadline = elapsed_us.saturating_mul(DEADLINE_MULTIPLE).div_ceil(1000);
        let within = |n: u64, min: u32, max: u32| u32::try_from(n).unwrap_or(max).clamp(min, max);
        Self {
            memory_bytes: within(memory, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX),
            deadline_ms: within(deadline, Self::default().deadline_ms, DEADLINE_MS_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> Proof {
        serde_json::from_str(include_str!("../fixtures/proof.json")).unwrap()
    }

    #[test]
    fn what_is_measured_may_differ_and_nothing_else() {
        let (ours, mut theirs) = (proof(), proof());
        theirs.lists[0].casts[0].measured = Measured::default();
        assert_eq!(ours.differs_from(&theirs), None);
        theirs.lists[0].casts[0].faults.clear();
        assert_eq!(ours.differs_from(&theirs).unwrap(), "event list aircon-large: what was seen");
        theirs.lists[0].left_out.clear();
        assert_eq!(ours.differs_from(&theirs).unwrap(), "event list aircon-large: what was left out");
        theirs.lists[0].items[0].script = None;
        assert_eq!(ours.differs_from(&theirs).unwrap(), "event list aircon-large: the items");
        theirs.lists[0].scripts += 1;
        assert_eq!(ours.differs_from(&theirs).unwrap(), "event list aircon-large: the scripts");
        theirs.lists.clear();
        assert_eq!(ours.differs_from(&theirs).unwrap(), "the event lists");
        theirs.seed = 2;
        assert_eq!(ours.differs_from(&theirs).unwrap(), "the seed");
    }

    #[test]
    fn only_what_is_covered_whole_in_every_list_is_covered_to_100_percent() {
        let mut proof = proof();
        let item = |script| ItemProof { item: "<a>".to_owned(), script };
        proof.lists[0].items = vec![item(Some(1)); 3000];
        assert_eq!(proof.covered_percent(), 100.0);
        let mut list = proof.lists[0].clone();
        list.items[7].script = None;
        proof.lists.insert(0, list);
        assert_eq!(proof.covered_percent(), 99.9);
    }

    #[test]
    fn limits_are_taken_from_the_most_that_was_seen_of_an_app_anywhere() {
        let mut proof = proof();
        let (app, other): (AppId, AppId) = ("aircon-north".parse().unwrap(), "meter".parse().unwrap());
        let seen = Limits { memory_bytes: 2_228_224, deadline_ms: 1_000 };
        assert_eq!((proof.limits(&app), proof.limits(&other)), (Some(seen), None));
        let mut slow = proof.lists[0].casts[0].clone();
        slow.memory_bytes.insert(app.clone(), 1);
        slow.measured.slowest.get_mut(&app).unwrap().waited_ms = 200;
        proof.lists[0].casts.push(slow);
        assert_eq!(proof.limits(&app), Some(Limits { memory_bytes: 2_228_224, deadline_ms: 2_001 }));
    }

    #[test]
    fn limits_that_nobody_wrote_are_a_multiple_of_what_was_seen_within_what_is_possible() {
        let limits = |memory_bytes, deadline_ms| Limits { memory_bytes, deadline_ms };
        assert_eq!(Limits::from_seen(1_114_112, 500), limits(2_228_224, 1_000));
        assert_eq!(Limits::from_seen(1_114_113, 250_001), limits(2_293_760, 2_501));
        assert_eq!(Limits::from_seen(0, 0), limits(128 * 1024, 1_000));
        assert_eq!(Limits::from_seen(u64::MAX / 4, u64::MAX), limits(64 * 1024 * 1024, 600_000));
    }
}
