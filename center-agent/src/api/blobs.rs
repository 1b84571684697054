//! Uploads: bytes by their digest.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::IntoResponse;
use flotilla_schemas::Digest;
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;

use super::answer::{Problem, bytes, name};
use super::state::Api;
use super::types::BlobStored;

pub(super) async fn store(State(api): State<Api>, request: Request) -> Result<Json<BlobStored>, Problem> {
    let turn = api.heavy.take().await;
    let bytes = bytes(request, ARTIFACT_BYTES_MAX).await?;
    let store = move || {
        let size = bytes.len() as u64;
        Ok(BlobStored { digest: api.shelf.put(&bytes)?, size })
    };
    turn.run(store).await.map(Json)
}

pub(super) async fn look(
    State(api): State<Api>,
    Path(digest): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let digest: Digest = name(&digest)?;
    let size = tokio::task::spawn_blocking(move || api.shelf.look(&digest)).await??;
    Ok((StatusCode::OK, [(CONTENT_LENGTH, size.to_string())]))
}

pub(super) async fn read(State(api): State<Api>, Path(digest): Path<String>) -> Result<Vec<u8>, Problem> {
    let digest: Digest = name(&digest)?;
    Ok(tokio::task::spawn_blocking(move || api.shelf.get(&digest)).await??)
}
