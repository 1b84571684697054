//! Publication: signature, uploads and proof first, then the core.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use center_core::{Answer, Core, Request};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::{AppId, Artifact, EventsId, Signed};

use super::Api;
use super::answer::{Body, Problem};
use super::decisions::decide;
use super::types::Published;
use crate::prove::{self, File, ScriptFiles};
use crate::shelf::Shelf;

pub(super) async fn app(
    State(api): State<Api>,
    Body(signed): Body<Signed<Release>>,
) -> Result<Json<Published>, Problem> {
    let release =
        signed.open(&api.publishers).map_err(|error| unfit(format!("publish the release: {error}")))?;
    let (shelf, sandbox) = (api.shelf.clone(), api.sandbox.clone());
    let turn = api.heavy.acquire().await;
    tokio::task::spawn_blocking(move || {
        let artifacts = std::iter::once(&release.wasm).chain(release.machine.values());
        let uploads = uploads(&shelf, artifacts)?;
        let wasm = uploads.first().map(Vec::as_slice).unwrap_or_default();
        let what = format!("prove {} {}", release.app(), release.manifest.version);
        prove::app(&sandbox, &release, wasm).map_err(|errors| all(&what, &errors))
    })
    .await??;
    drop(turn);
    decide(&api, Request::PublishApp(signed), published).await
}

pub(super) async fn script(
    State(api): State<Api>,
    Body(signed): Body<Signed<ScriptRelease>>,
) -> Result<Json<Published>, Problem> {
    let release =
        signed.open(&api.publishers).map_err(|error| unfit(format!("publish the script: {error}")))?;
    let (shelf, releases) = (api.shelf.clone(), api.desk.look(Core::releases).await?);
    let turn = api.heavy.acquire().await;
    let apps = tokio::task::spawn_blocking(move || prove_script(&shelf, &release, &releases)).await??;
    drop(turn);
    decide(&api, Request::PublishScript { release: signed, apps }, published).await
}

/// The apps that each event list names.
type Named = BTreeMap<EventsId, BTreeSet<AppId>>;

fn prove_script(
    shelf: &Shelf,
    release: &ScriptRelease,
    apps: &BTreeMap<AppId, Release>,
) -> Result<Named, Problem> {
    let artifacts = [&release.definition, &release.text].into_iter().chain(release.events.values());
    let uploads = uploads(shelf, artifacts)?;
    let [definition, text, lists @ ..] = uploads.as_slice() else { return Ok(Named::new()) };
    let names: Vec<String> = release.events.keys().map(|events| format!("{events}.json")).collect();
    let lists = names.iter().zip(lists).map(|(name, bytes)| File { name, bytes });
    let files = ScriptFiles {
        definition: File { name: "definition.dtd", bytes: definition },
        text: File { name: "script.xml", bytes: text },
        events: release.events.keys().cloned().zip(lists).collect(),
    };
    let what = format!("prove {} {}", release.script, release.version);
    prove::script(&files, apps).map_err(|errors| all(&what, &errors))
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
