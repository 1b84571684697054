//! The HTTP API: what an operator's command line speaks to.
//!
//! Every request shows the token; what is refused is answered in JSON. Reading takes the views or looks into the
//! core, deciding asks it; nothing is decided here. What is expensive (hashing, proving) runs beside the driver.

mod answer;
mod blobs;
mod decisions;
mod door;
mod looks;
mod publishing;
mod state;
mod turns;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use flotilla_sandbox::Sandbox;
use flotilla_schemas::Digest;
use flotilla_schemas::fleet::Fleet;

use crate::desk::Desk;
use crate::shelf::Shelf;
use crate::store::Store;
use crate::views::Views;
use answer::Problem;
pub(crate) use door::Door;
use state::{Api, HEAVY_MAX, PROVING_MAX};
use turns::Turns;

/// All of the API.
pub(crate) fn router(
    token: &str,
    fleet: &Fleet,
    desk: Desk,
    views: Arc<Views>,
    store: Store,
    shelf: Arc<Shelf>,
    sandbox: Sandbox,
) -> Router {
    let (token, publishers) = (Digest::of(token.as_bytes()), Arc::new(fleet.publishers()));
    let (heavy, proving) = (Turns::new(HEAVY_MAX), Turns::new(PROVING_MAX));
    let api = Api { token, publishers, desk, views, store, shelf, sandbox, heavy, proving };
    Router::new()
        .route("/v1/blobs", post(blobs::store))
        .route("/v1/blobs/{digest}", get(blobs::read).head(blobs::look))
        .route("/v1/apps", get(looks::apps).post(publishing::app))
        .route("/v1/apps/{name}", get(looks::app))
        .route("/v1/scripts", get(looks::scripts).post(publishing::script))
        .route("/v1/scripts/{name}", get(looks::script))
        .route("/v1/services", get(looks::services))
        .route("/v1/services/{name}", put(decisions::start).delete(decisions::stop))
        .route("/v1/countermeasures", get(looks::countermeasures).put(decisions::countermeasures))
        .route("/v1/edges", get(looks::edges))
        .route("/v1/edges/{id}", get(looks::edge))
        .route("/v1/edges/{id}/commands", post(decisions::command))
        .route("/v1/edges/{id}/replace", post(decisions::replace))
        .route("/v1/edges/{id}/retire", post(decisions::retire))
        .route("/v1/faults", get(looks::faults))
        .route("/v1/records", get(looks::records))
        .route("/v1/status", get(looks::status))
        .fallback(async || Problem::of(StatusCode::NOT_FOUND, "find anything at this path"))
        .method_not_allowed_fallback(async || {
            Problem::of(StatusCode::METHOD_NOT_ALLOWED, "do that at this path")
        })
        .layer(middleware::from_fn_with_state(api.clone(), authorize))
        .with_state(api)
}

async fn authorize(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Problem> {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shown.and_then(|shown| shown.strip_prefix("Bearer ")) {
        Some(token) if Digest::of(token.trim().as_bytes()) == api.token => Ok(next.run(request).await),
        Some(_) => Err(Problem::of(StatusCode::UNAUTHORIZED, "accept the token: it is not this center's")),
        None => Err(Problem::of(StatusCode::UNAUTHORIZED, "find a token: send Authorization: Bearer TOKEN")),
    }
}
