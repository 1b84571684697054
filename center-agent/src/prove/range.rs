//! The proof of a script over its whole range: all of its event lists, with the apps that they name.
//!
//! The publisher makes it and signs its report with the release; the center makes it again, as long as that one was,
//! and compares.

use std::collections::BTreeSet;
use std::time::Instant;

use flotilla_sandbox::prove::{AppError, Budget, Progress, Prover, Refusal, Settings, Subject};
use flotilla_sandbox::{EquipmentError, SandboxError, Simulator};
use flotilla_schemas::app::Manifest;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::{End, ListProof, Proof};
use flotilla_schemas::{AppId, EventsId};
use flotilla_script::{Diagnostics, EventList};

use super::{File, ScriptFiles};

/// An app that takes part.
#[derive(Debug, Clone)]
pub struct Offered {
    /// What it may do.
    pub manifest: Manifest,
    /// Its component.
    pub wasm: Vec<u8>,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// The sandbox could not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// An app cannot take part.
    #[error("{app}: {cause}")]
    App {
        /// The app.
        app: AppId,
        /// Why.
        cause: AppError,
    },
    /// An event list is not right by itself.
    #[error("{0}")]
    Text(#[from] Diagnostics),
    /// The equipment is not right.
    #[error(transparent)]
    Equipment(#[from] EquipmentError),
    /// There is none.
    #[error("{} {} devices, and there is no equipment to prove the script on: put equipment.toml beside it",
        joined(.0), if .0.len() == 1 { "uses" } else { "use" })]
    NoEquipment(BTreeSet<AppId>),
    /// Something breaks.
    #[error("event list {events}: {}", .refusal.reasons.join("; "))]
    Refused {
        /// The list.
        events: EventsId,
        /// What breaks, and a script that shows it.
        refusal: Refusal,
    },
    /// It was proven otherwise before.
    #[error("the proof that came with it is another than the one made of it here: they differ in {0}")]
    Differs(String),
    /// There was not as much time as before.
    #[error(
        "event list {events}: {most} scripts were to be run, and the time was out after {scripts}; publish it with a smaller --budget"
    )]
    Time {
        /// The list.
        events: EventsId,
        /// How many were run.
        scripts: u32,
        /// How many were to be.
        most: u32,
    },
}

fn joined(apps: &BTreeSet<AppId>) -> String {
    apps.iter().map(AppId::as_str).collect::<Vec<_>>().join(", ")
}

/// Proves the script with the apps that are offered: those that its event lists name, and their alternates. If there
/// is a proof from before, with its seed, as far as that went, and it must come to the same. The budget's time is for
/// all lists together: each may take an equal part of what is left. It drives a runtime of its own. `watch` is told now
/// and then how far which list is.
///
/// # Errors
/// The first event list that breaks, with all that is wrong with it; or the proofs differ in what they may not.
pub fn prove(
    files: &ScriptFiles<'_>,
    apps: &[Offered],
    countermeasures: &Countermeasures,
    settings: &Settings,
    before: Option<&Proof>,
    watch: &mut dyn FnMut(&EventsId, Progress),
) -> Result<Proof, RangeError> {
    let simulator = simulator(files.equipment, apps)?;
    let mut prover = Prover::new()?;
    for Offered { manifest, wasm } in apps {
        let wrong = |cause| RangeError::App { app: manifest.app.clone(), cause };
        prover.add(manifest.clone(), wasm).map_err(wrong)?;
    }
    let seed = before.map_or(settings.seed, |before| before.seed);
    let (began, mut lists) = (Instant::now(), Vec::new());
    for (at, (events, file)) in files.events.iter().enumerate() {
        let list = EventList::parse(file.name, file.bytes)?;
        let known = before.and_then(|before| before.lists.iter().find(|list| list.events == *events));
        let left = settings.budget.time.saturating_sub(began.elapsed());
        let budget = Budget { time: left / (files.events.len() - at) as u32, ..settings.budget };
        let settings = Settings { seed, budget, as_before: known.and_then(cut_off), ..settings.clone() };
        let subject =
            Subject { definition: files.definition, list: &list, simulator: &simulator, countermeasures };
        let proven = prover.list(&subject, &settings, &mut |progress| watch(events, progress));
        let proven = proven.map_err(|refusal| RangeError::Refused { events: events.clone(), refusal })?;
        known.map_or(Ok(()), |known| went_as_far(&proven, known))?;
        lists.push(proven);
    }
    let proof = Proof { v: 1, seed, apps: prover.apps(), lists };
    match before.and_then(|before| proof.differs_from(before)) {
        Some(what) => Err(RangeError::Differs(what)),
        None => Ok(proof),
    }
}

/// Refuses a list for which there was less time than before, rather than to call it another.
fn went_as_far(list: &ListProof, before: &ListProof) -> Result<(), RangeError> {
    let (scripts, most) = (list.scripts, before.scripts);
    if list.end == End::Time && scripts < most {
        return Err(RangeError::Time { events: list.events.clone(), scripts, most });
    }
    Ok(())
}

/// After how many scripts a budget ended a proof, if one did: what ended by itself does so again.
fn cut_off(list: &ListProof) -> Option<(u32, End)> {
    matches!(list.end, End::Time | End::Size).then_some((list.scripts, list.end))
}

fn simulator(equipment: Option<File<'_>>, apps: &[Offered]) -> Result<Simulator, RangeError> {
    let grants = |offered: &&Offered| {
        !offered.manifest.grants.device_read.is_empty() || !offered.manifest.grants.device_write.is_empty()
    };
    let need: BTreeSet<AppId> =
        apps.iter().filter(grants).map(|offered| offered.manifest.app.clone()).collect();
    match equipment {
        None if !need.is_empty() => Err(RangeError::NoEquipment(need)),
        None => Ok(Simulator::parse("equipment.toml", "")?),
        Some(file) => Ok(Simulator::parse(file.name, &String::from_utf8_lossy(file.bytes))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_script::Definition;
    use flotilla_script::limit::WORDS_MAX;
    use serde_json::json;
    use std::time::Duration;

    /// Why a script is refused that says one word of many, if its event lists call this operation for each.
    fn refusal(operation: &str, lists: &[&str], time: Duration) -> String {
        let words: Vec<String> = (0..WORDS_MAX).map(|word| format!("w{word}")).collect();
        let definition = format!("<!ELEMENT r EMPTY> <!ATTLIST r word ({}) #REQUIRED>", words.join("|"));
        let definition = Definition::parse("d", definition.as_bytes()).unwrap();
        let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples/apps/faulty/app.wasm");
        let all = json!([{"device": "*", "points": ["*"]}]);
        let manifest = json!({
            "app": "faulty", "maker": "west", "version": "1.0.0", "residence": "resident",
            "grants": {"device_read": all, "device_write": all, "events": ["*"], "kv": true},
            "limits": {"memory_bytes": 2_097_152, "deadline_ms": 600_000},
        });
        let manifest = serde_json::from_value(manifest).unwrap();
        let faulty = Offered { manifest, wasm: std::fs::read(wasm).unwrap() };
        let list = |name: &&str| {
            let steps = json!({"start r": {"app": "faulty", "operation": operation}, "end r": "none"});
            json!({"events": name, "definition": "d", "root": "r", "steps": steps}).to_string()
        };
        let texts: Vec<String> = lists.iter().map(list).collect();
        let list = |(name, text): (&&str, _)| (name.parse().unwrap(), File { name: "e", bytes: text });
        let files = ScriptFiles {
            definition: &definition,
            text: File { name: "s", bytes: b"<r word='w0'/>" },
            events: lists.iter().zip(texts.iter().map(String::as_bytes)).map(list).collect(),
            equipment: Some(File { name: "equipment.toml", bytes: b"" }),
        };
        let budget = Budget { time, ..Settings::default().budget };
        let settings = Settings { budget, ..Settings::default() };
        let standard = Countermeasures::standard();
        prove(&files, &[faulty], &standard, &settings, None, &mut |_, _| {}).unwrap_err().to_string()
    }

    #[test]
    fn all_event_lists_together_have_the_time_of_the_budget() {
        let error = refusal("spin", &["e1", "e2"], Duration::from_secs(1));
        let within = error
            .split_once("not one script ran through within ")
            .and_then(|(_, rest)| rest.split_once("ms"));
        assert!(within.is_some_and(|(ms, _)| ms.parse::<f64>().unwrap() <= 500.0), "{error}");
    }

    #[test]
    fn who_had_more_time_before_is_told_so() {
        let list = |scripts, end| {
            let (events, items, left_out, casts) = ("e".parse().unwrap(), vec![], vec![], vec![]);
            ListProof { events, items, scripts, end, outside: 0, left_out, casts }
        };
        let before = list(1000, End::Complete);
        let error = went_as_far(&list(3, End::Time), &before).unwrap_err().to_string();
        assert!(error.contains("1000 scripts were to be run, and the time was out after 3"), "{error}");
        for as_far in [list(1000, End::Time), list(3, End::Complete)] {
            assert!(went_as_far(&as_far, &before).is_ok(), "{as_far:?}");
        }
    }
}
