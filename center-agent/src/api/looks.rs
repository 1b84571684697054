//! What is only looked at.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use center_core::Core;
use flotilla_machine::wall_ms;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::journal::Lane;
use flotilla_schemas::proof::Proof;
use flotilla_schemas::{AppId, EdgeId, ScriptId};
use serde::Serialize;
use tokio::time::Instant;

use super::answer::{Asked, Problem, found, name};
use super::state::Api;
use super::types::{
    AppDetail, AppSummary, EdgeDetail, FaultsQuery, RECORDS_PAGE_MAX, RecordsPage, RecordsQuery,
    ScriptDetail, ScriptRow, ScriptSummary, ServiceView, StatusView, WAIT_MS_MAX,
};

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn apps(State(api): State<Api>) -> Answer<Vec<AppSummary>> {
    Ok(Json(api.desk.look(Core::apps).await?))
}

pub(super) async fn app(State(api): State<Api>, Path(text): Path<String>) -> Answer<AppDetail> {
    let app: AppId = name(&text)?;
    let detail = api.desk.look(move |core| core.app(&app)).await?;
    found("app", text, detail).map(Json)
}

pub(super) async fn scripts(State(api): State<Api>) -> Answer<Vec<ScriptRow>> {
    let (scripts, releases) = api.desk.look(|core| (core.scripts(), core.script_releases())).await?;
    let row = move |summary: ScriptSummary| {
        let proof =
            releases.get(&summary.script).and_then(|release| api.shelf.get_signed(&release.proof).ok());
        let proof = proof.and_then(|bytes| serde_json::from_slice::<Proof>(&bytes).ok());
        ScriptRow { covered_percent: proof.map(|proof| proof.covered_percent()), summary }
    };
    Ok(Json(tokio::task::spawn_blocking(|| scripts.into_iter().map(row).collect()).await?))
}

pub(super) async fn script(State(api): State<Api>, Path(text): Path<String>) -> Answer<ScriptDetail> {
    let script: ScriptId = name(&text)?;
    let detail = api.desk.look(move |core| core.script(&script)).await?;
    found("script", text, detail).map(Json)
}

pub(super) async fn services(State(api): State<Api>) -> Answer<Vec<ServiceView>> {
    Ok(Json(api.desk.look(Core::services).await?))
}

pub(super) async fn countermeasures(State(api): State<Api>) -> Answer<Countermeasures> {
    Ok(Json(api.desk.look(Core::countermeasures).await?))
}

pub(super) async fn edges(State(api): State<Api>) -> Response {
    shown(&api.views.edges())
}

/// As JSON. A view is shared with the driver, and not copied.
fn shown<T: Serialize>(views: &[Arc<T>]) -> Response {
    Json(views.iter().map(Arc::as_ref).collect::<Vec<_>>()).into_response()
}

pub(super) async fn edge(State(api): State<Api>, Path(text): Path<String>) -> Answer<EdgeDetail> {
    let edge: EdgeId = name(&text)?;
    let detail = api.desk.look(move |core| core.edge(&edge)).await?;
    found("edge", text, detail).map(Json)
}

pub(super) async fn faults(
    State(api): State<Api>,
    Asked(FaultsQuery { edge, open }): Asked<FaultsQuery>,
) -> Result<Response, Problem> {
    if let Some(edge) = &edge {
        known(&api, edge)?;
    }
    Ok(shown(&api.views.faults(edge.as_ref(), open)))
}

pub(super) async fn status(State(api): State<Api>) -> Answer<StatusView> {
    Ok(Json(api.desk.look(|core| core.status_view(wall_ms())).await?))
}

fn known(api: &Api, edge: &EdgeId) -> Result<(), Problem> {
    found("edge", edge, api.views.knows(edge).then_some(()))
}

pub(super) async fn records(
    State(api): State<Api>,
    Asked(query): Asked<RecordsQuery>,
) -> Answer<RecordsPage> {
    let lane = query.lane.map(Lane::try_from).transpose();
    let lane = lane.map_err(|error| Problem::of(StatusCode::BAD_REQUEST, error))?;
    known(&api, &query.edge)?;
    let limit = query.limit.unwrap_or(RECORDS_PAGE_MAX).clamp(1, RECORDS_PAGE_MAX);
    let wait = Duration::from_millis(query.wait_ms.unwrap_or(0).min(WAIT_MS_MAX));
    let until = Instant::now() + wait;
    let mut arrived = api.store.arrived();
    loop {
        arrived.borrow_and_update();
        let (store, edge, after) = (api.store.clone(), query.edge.clone(), query.after.unwrap_or(0));
        // One more than asked for tells whether there are more.
        let lanes = lane.map_or(Lane::ALL.to_vec(), |lane| vec![lane]);
        let found = tokio::task::spawn_blocking(move || store.page(&edge, &lanes, after, limit as usize + 1));
        let mut records = found.await??;
        let more = records.len() > limit as usize;
        records.truncate(limit as usize);
        let next = records.last().map_or(after, |record| record.arrival);
        let page = RecordsPage { records, next, more };
        if !page.records.is_empty() || tokio::time::timeout_at(until, arrived.changed()).await.is_err() {
            return Ok(Json(page));
        }
    }
}
