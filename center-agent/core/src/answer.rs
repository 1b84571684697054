//! How a center answers a request.
//!
//! Each is answered exactly once, by the id that the driver gave it: at once, or, for a command to an edge, when the
//! edge replied or time ran out.

use flotilla_schemas::command::Reply;
use flotilla_schemas::countermeasure::{Countermeasures, ListError};
use flotilla_schemas::{Digest, EdgeId};
use serde::{Deserialize, Serialize};

use crate::catalog::publication::PublishError;
use crate::command::CommandError;
use crate::document::EdgeDocument;
use crate::service::ServiceError;
use crate::view::ServiceView;

/// A publication that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The digest of the release's document.
    pub release: Digest,
    /// The version of the catalog that has it.
    pub catalog: u64,
    /// Whether it was new; the same release may be published again and changes nothing.
    pub new: bool,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A release is in the catalog.
    Published(Published),
    /// A service is as it was asked for.
    Service(ServiceView),
    /// An edge's standing.
    Edge(EdgeDocument),
    /// The list holds, with the version that it was given.
    Countermeasures(Countermeasures),
    /// The edge's reply to a command.
    Reply(Reply),
}

/// Why a request was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The center does not know yet what the broker retains.
    #[error("decide anything yet: what the broker retains was not heard; is the broker there?")]
    Unswept,
    /// A publication.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The start or stop of a service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A list of countermeasures.
    #[error("take the list of countermeasures: it has {} errors", .0.len())]
    Countermeasures(Vec<ListError>),
    /// An edge that never showed itself.
    #[error("decide about {edge}: there is no such edge")]
    Edge {
        /// The name.
        edge: EdgeId,
        /// Those that are known.
        known: Vec<EdgeId>,
    },
    /// A command to an edge.
    #[error(transparent)]
    Command(#[from] CommandError),
}
