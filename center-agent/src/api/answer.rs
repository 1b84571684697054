//! How the API says no, and how it reads what it is sent.

use std::future::poll_fn;
use std::pin::Pin;

use axum::Json;
use axum::body::HttpBody;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use center_core::{CommandError, PublishError, Refusal, ServiceError};
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;
use serde::de::DeserializeOwned;

use super::types::ErrorBody;
use crate::desk::Gone;
use crate::shelf::ShelfError;
use crate::store::StoreError;

/// The largest JSON body, in bytes.
const JSON_BYTES_MAX: u64 = 1024 * 1024;

/// How much of a body that is too large is read and thrown away, in bytes.
const DRAINED_BYTES_MAX: u64 = 2 * ARTIFACT_BYTES_MAX;

/// A refusal: a status and why.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: ErrorBody,
}

impl Problem {
    pub fn of(status: StatusCode, error: impl ToString) -> Self {
        Self::with(status, error, Vec::new())
    }

    pub fn with(status: StatusCode, error: impl ToString, details: Vec<String>) -> Self {
        Self { status, body: ErrorBody { error: error.to_string(), details } }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

fn lines<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        use StatusCode as S;
        let (status, details) = match &refusal {
            Refusal::Unswept => (S::SERVICE_UNAVAILABLE, Vec::new()),
            Refusal::Countermeasures(errors) => (S::UNPROCESSABLE_ENTITY, lines(errors)),
            Refusal::Publish(error) => match error {
                PublishError::Sign(_) => (S::UNPROCESSABLE_ENTITY, Vec::new()),
                PublishError::Rules { errors, .. } => (S::UNPROCESSABLE_ENTITY, errors.clone()),
                PublishError::Downgrade { .. }
                | PublishError::OtherContent { .. }
                | PublishError::OtherMaker { .. } => (S::CONFLICT, Vec::new()),
                PublishError::EventsInUse { uses, .. } => (S::CONFLICT, uses.clone()),
                PublishError::Full { .. } => (S::PAYLOAD_TOO_LARGE, Vec::new()),
            },
            Refusal::Service(ServiceError::Unknown { known, .. }) => (S::NOT_FOUND, known_lines(known)),
            Refusal::Service(ServiceError::Refused { errors, .. }) => {
                (S::UNPROCESSABLE_ENTITY, lines(errors))
            }
            Refusal::Edge { known, .. } => (S::NOT_FOUND, known_lines(known)),
            Refusal::Command(error) => match error {
                CommandError::Unknown { known, .. } => (S::NOT_FOUND, known_lines(known)),
                CommandError::Offline(_) => (S::CONFLICT, Vec::new()),
                CommandError::Busy(_) => (S::SERVICE_UNAVAILABLE, Vec::new()),
                CommandError::Silent(_) => (S::GATEWAY_TIMEOUT, Vec::new()),
            },
        };
        Self::with(status, refusal, details)
    }
}

fn known_lines<T: ToString>(known: &[T]) -> Vec<String> {
    known.iter().map(|name| format!("there is {}", name.to_string())).collect()
}

impl From<Gone> for Problem {
    fn from(gone: Gone) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE, gone)
    }
}

impl From<ShelfError> for Problem {
    fn from(error: ShelfError) -> Self {
        let status = match &error {
            ShelfError::Missing(_) => StatusCode::NOT_FOUND,
            ShelfError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ShelfError::Other { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ShelfError::Spoilt { .. } | ShelfError::Disk { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Self::with(status, error, cause.into_iter().collect())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE, error)
    }
}

impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, format!("finish the work: {error}"))
    }
}

/// The bytes of a body. One that is too large is read to its end, up to [`DRAINED_BYTES_MAX`], and thrown away: whoever
/// still sends does not listen yet, and would never hear why.
pub(super) async fn bytes(request: Request, bytes_max: u64) -> Result<Vec<u8>, Problem> {
    let (mut body, mut bytes, mut read) = (request.into_body(), Vec::new(), 0);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| unreadable(&error))?;
        let Ok(part) = frame.into_data() else { continue };
        read += part.len() as u64;
        match read {
            _ if read <= bytes_max => bytes.extend_from_slice(&part),
            _ if read <= DRAINED_BYTES_MAX => bytes.clear(),
            _ => break,
        }
    }
    if read <= bytes_max {
        return Ok(bytes);
    }
    let error = format!("read the body: it has more than {bytes_max} bytes");
    Err(Problem::of(StatusCode::PAYLOAD_TOO_LARGE, error))
}

fn unreadable(error: &impl ToString) -> Problem {
    Problem::of(StatusCode::BAD_REQUEST, format!("read the body: {}", error.to_string()))
}

/// A body of JSON.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = bytes(request, JSON_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| unreadable(&error))
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let problem = |rejection: QueryRejection| {
            Problem::of(StatusCode::BAD_REQUEST, format!("read the query: {}", rejection.body_text()))
        };
        Query::from_request_parts(parts, state).await.map(|Query(asked)| Self(asked)).map_err(problem)
    }
}

/// A name from the path.
pub(super) fn name<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::of(StatusCode::BAD_REQUEST, error))
}

/// What is there, or 404 with its kind and name.
pub(super) fn found<T>(what: &str, name: impl ToString, thing: Option<T>) -> Result<T, Problem> {
    let name = name.to_string();
    thing.ok_or_else(|| Problem::of(StatusCode::NOT_FOUND, format!("find the {what} {name}: there is none")))
}
