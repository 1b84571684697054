//! Publication: signature, uploads and proof first, then the core.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use center_core::{Answer, Core, Request};
use flotilla_sandbox::prove::{Budget, Settings};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::{PROOF_BYTES_MAX, Proof};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::{AppId, Artifact, EventsId, ScriptId, Signed};
use flotilla_script::{Definition, Diagnostics, EventList};

use super::answer::{Asked, Body, Problem};
use super::decisions::decide;
use super::state::Api;
use super::types::{AppQuery, Published};
use crate::prove::callers::{self, Broken};
use crate::prove::range::{self, Offered, RangeError};
use crate::prove::{self, File, ScriptFiles};
use crate::shelf::Shelf;

/// How long the proof of a script may take here, all its event lists together, and again the search for the shortest
/// script that breaks it; a publisher who took longer is refused.
const PROOF_TIME: Duration = Duration::from_secs(55);

/// How long a proof waits for its turn: as long as the one before it may take.
const TURN_TIME: Duration = Duration::from_secs(110);

pub(super) async fn app(
    State(api): State<Api>,
    Asked(AppQuery { force }): Asked<AppQuery>,
    Body(signed): Body<Signed<Release>>,
) -> Result<Json<Published>, Problem> {
    let release =
        api.publishers.open(&signed).map_err(|error| unfit(format!("publish the release: {error}")))?;
    let turn = api.heavy.take().await;
    let (apps, scripts) = api.desk.look(|core| (core.releases(), core.script_releases())).await?;
    let (shelf, sandbox) = (api.shelf.clone(), api.sandbox.clone());
    let prove = move || {
        let artifacts = std::iter::once(&release.wasm).chain(release.machine.values());
        let uploads = uploads(&shelf, artifacts)?;
        let wasm = uploads.first().map(Vec::as_slice).unwrap_or_default();
        let what = format!("prove {} {}", release.app(), release.manifest.version);
        prove::app(&release, wasm, sandbox.inspect(wasm)).map_err(|errors| all(&what, &errors))?;
        let broken = callers::broken(&release, &apps, &event_lists(&shelf, scripts));
        match broken.is_empty() || apps.get(release.app()) == Some(&release) {
            true => Ok(()),
            false => still_called(&release, &broken, force),
        }
    };
    turn.run(prove).await?;
    decide(&api, Request::PublishApp(signed), published).await
}

pub(super) async fn script(
    State(api): State<Api>,
    Body(signed): Body<Signed<ScriptRelease>>,
) -> Result<Json<Published>, Problem> {
    let release =
        api.publishers.open(&signed).map_err(|error| unfit(format!("publish the script: {error}")))?;
    let turn = api.proving.take_within(TURN_TIME).await?;
    let (shelf, releases) = (api.shelf.clone(), api.desk.look(Core::releases).await?);
    let countermeasures = api.desk.look(Core::countermeasures).await?;
    let apps = turn.run(move || prove_script(&shelf, &release, &releases, &countermeasures)).await?;
    decide(&api, Request::PublishScript { release: signed, apps }, published).await
}

/// The event lists of these scripts, as far as they are on disk.
fn event_lists(shelf: &Shelf, scripts: BTreeMap<ScriptId, ScriptRelease>) -> Vec<(ScriptId, EventList)> {
    let lists = |(script, release): (ScriptId, ScriptRelease)| {
        let bytes = release.events.into_values().filter_map(|artifact| shelf.get_signed(&artifact).ok());
        let lists = bytes.filter_map(|bytes| EventList::parse("events.json", &bytes).ok());
        lists.map(|list| (script.clone(), list)).collect::<Vec<_>>()
    };
    scripts.into_iter().flat_map(lists).collect()
}

/// Refuses a release that breaks published scripts, or warns of it.
fn still_called(release: &Release, broken: &[Broken], force: bool) -> Result<(), Problem> {
    let (app, version) = (release.app(), release.manifest.version);
    let details: Vec<String> = broken.iter().map(ToString::to_string).collect();
    if force {
        tracing::warn!(%app, %version, broken = details.join("; "), "scripts call what the app cannot do");
        return Ok(());
    }
    let error = format!(
        "publish {app} {version}: published scripts call what it cannot do; publish a release that still can, \
         then the scripts without it, then this one; or this one with --force, and they fail until they are \
         published anew"
    );
    Err(Problem::with(StatusCode::CONFLICT, error, details))
}

/// The apps that each event list names.
type Named = BTreeMap<EventsId, BTreeSet<AppId>>;

fn prove_script(
    shelf: &Shelf,
    release: &ScriptRelease,
    published: &BTreeMap<AppId, Release>,
    countermeasures: &Countermeasures,
) -> Result<Named, Problem> {
    let artifacts = [&release.definition, &release.text, &release.proof].into_iter();
    let uploads = uploads(shelf, artifacts.chain(&release.equipment).chain(release.events.values()))?;
    let [definition, text, proof, more @ ..] = uploads.as_slice() else { return Ok(Named::new()) };
    let (equipment, lists) = more.split_at(release.equipment.iter().count());
    let names: Vec<String> = release.events.keys().map(|events| format!("{events}.json")).collect();
    let lists = names.iter().zip(lists).map(|(name, bytes)| File { name, bytes });
    let what = format!("prove {} {}", release.script, release.version);
    let definition =
        Definition::parse("definition.dtd", definition).map_err(|Diagnostics(found)| all(&what, &found))?;
    let files = ScriptFiles {
        definition: &definition,
        text: File { name: "script.xml", bytes: text },
        events: release.events.keys().cloned().zip(lists).collect(),
        equipment: equipment.first().map(|bytes| File { name: "equipment.toml", bytes }),
    };
    let named = prove::script(&files, published).map_err(|errors| all(&what, &errors))?;
    let proof = read_proof(proof).map_err(|error| unfit(format!("{what}: {error}")))?;
    let taking_part = prove::taking_part(named.values().flatten(), published);
    let offered = |release: &Release| -> Result<Offered, Problem> {
        Ok(Offered { manifest: release.manifest.clone(), wasm: shelf.get_signed(&release.wasm)? })
    };
    let apps = taking_part.into_values().map(offered).collect::<Result<Vec<_>, _>>()?;
    let budget = Budget { time: PROOF_TIME, ..Settings::default().budget };
    let settings = Settings { budget, ..Settings::default() };
    range::prove(&files, &apps, countermeasures, &settings, Some(&proof), &mut |_, _| {})
        .map_err(|error| refused(&what, &error))?;
    Ok(named)
}

fn read_proof(bytes: &[u8]) -> Result<Proof, String> {
    if bytes.len() > PROOF_BYTES_MAX {
        return Err(format!("its proof has {} bytes, more than {PROOF_BYTES_MAX}", bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|error| format!("read its proof: {error}"))
}

/// All reasons, and how the script looks that shows them.
fn refused(what: &str, error: &RangeError) -> Problem {
    match error {
        RangeError::Refused { refusal, .. } => {
            let shown = refusal.broken.iter().map(|broken| format!("{}:\n{}", broken.reason, broken.script));
            all(what, &refusal.reasons.iter().cloned().chain(shown).collect::<Vec<_>>())
        }
        other => unfit(format!("{what}: {other}")),
    }
}

/// The bytes of each artifact, in order; all that are missing or other than signed are named.
fn uploads<'a>(
    shelf: &Shelf,
    artifacts: impl Iterator<Item = &'a Artifact>,
) -> Result<Vec<Vec<u8>>, Problem> {
    let (mut bytes, mut errors) = (Vec::new(), Vec::new());
    for artifact in artifacts {
        match shelf.get_signed(artifact) {
            Ok(found) => bytes.push(found),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(bytes) } else { Err(all("use what was uploaded", &errors)) }
}

fn published(answer: Answer) -> Option<Published> {
    match answer {
        Answer::Published(published) => Some(published),
        _ => None,
    }
}

fn all<E: ToString>(what: &str, errors: &[E]) -> Problem {
    let details: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let error = format!("{what}: {} errors", details.len());
    Problem::with(StatusCode::UNPROCESSABLE_ENTITY, error, details)
}

fn unfit(error: String) -> Problem {
    Problem::of(StatusCode::UNPROCESSABLE_ENTITY, error)
}
