//! What an operator decides: services, countermeasures, edges, commands.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use center_core::{Answer, Request};
use flotilla_schemas::command::{Order, Reply};
use flotilla_schemas::countermeasure::Countermeasures;

use super::answer::{Body, Problem, name};
use super::state::Api;
use super::types::{EdgeDocument, ServiceStart, ServiceStop, ServiceView};

/// Has the core decide, and takes the kind of answer that fits the request.
pub(super) async fn decide<T>(
    api: &Api,
    request: Request,
    fitting: impl FnOnce(Answer) -> Option<T>,
) -> Result<Json<T>, Problem> {
    let answer = api.desk.request(request).await??;
    let other = || Problem::of(StatusCode::INTERNAL_SERVER_ERROR, "understand the core's answer");
    fitting(answer).map(Json).ok_or_else(other)
}

fn service(answer: Answer) -> Option<ServiceView> {
    match answer {
        Answer::Service(view) => Some(view),
        _ => None,
    }
}

pub(super) async fn start(
    State(api): State<Api>,
    Path(text): Path<String>,
    Body(start): Body<ServiceStart>,
) -> Result<Json<ServiceView>, Problem> {
    decide(&api, Request::Start(name(&text)?, start), service).await
}

pub(super) async fn stop(
    State(api): State<Api>,
    Path(text): Path<String>,
    Body(stop): Body<ServiceStop>,
) -> Result<Json<ServiceView>, Problem> {
    decide(&api, Request::Stop(name(&text)?, stop), service).await
}

pub(super) async fn countermeasures(
    State(api): State<Api>,
    Body(list): Body<Countermeasures>,
) -> Result<Json<Countermeasures>, Problem> {
    let fitting = |answer| match answer {
        Answer::Countermeasures(list) => Some(list),
        _ => None,
    };
    decide(&api, Request::SetCountermeasures(list), fitting).await
}

fn edge(answer: Answer) -> Option<EdgeDocument> {
    match answer {
        Answer::Edge(document) => Some(document),
        _ => None,
    }
}

pub(super) async fn replace(
    State(api): State<Api>,
    Path(text): Path<String>,
) -> Result<Json<EdgeDocument>, Problem> {
    decide(&api, Request::Replace(name(&text)?), edge).await
}

pub(super) async fn retire(
    State(api): State<Api>,
    Path(text): Path<String>,
) -> Result<Json<EdgeDocument>, Problem> {
    decide(&api, Request::Retire(name(&text)?), edge).await
}

pub(super) async fn command(
    State(api): State<Api>,
    Path(text): Path<String>,
    Body(order): Body<Order>,
) -> Result<Json<Reply>, Problem> {
    let fitting = |answer| match answer {
        Answer::Reply(reply) => Some(reply),
        _ => None,
    };
    decide(&api, Request::Command(name(&text)?, order), fitting).await
}
