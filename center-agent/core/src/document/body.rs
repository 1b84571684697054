//! A document as it is retained, and its name.

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::{AppId, EdgeId, ScriptId, ServiceId, Topic};
use serde::{Deserialize, Serialize};

use super::edge::EdgeDocument;
use super::release::{AppDocument, ScriptDocument};
use super::service::ServiceDocument;
use super::version::Ver;

/// The id of the one document of countermeasures.
const COUNTERMEASURES_ID: &str = "all";

/// A document: on `intent/<kind>/<id>`, retained, signed by the center that publishes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Version of this message's form: 1.
    pub v: u32,
    /// Its version.
    pub ver: Ver,
    /// The version that it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Ver>,
    /// When it was taken, in Unix milliseconds of the author's clock; for people.
    pub ts: i64,
    /// What was decided.
    pub body: Body,
}

/// What a document decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// An app's newest release.
    App(AppDocument),
    /// A script's newest release.
    Script(ScriptDocument),
    /// Where a service runs.
    Service(ServiceDocument),
    /// Whose key an edge's is, and whether it belongs to the fleet.
    Edge(EdgeDocument),
    /// What is done about faults.
    Countermeasures(Countermeasures),
}

/// Kind and id: a document's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentId {
    /// `app/<app>`
    App(AppId),
    /// `countermeasures/all`
    Countermeasures,
    /// `script/<script>`
    Script(ScriptId),
    /// `service/<service>/<bb>`
    Service(ServiceId, u8),
    /// `edge/<edge>`
    Edge(EdgeId),
}

impl DocumentId {
    /// Where it is retained.
    pub fn topic(&self) -> Topic {
        let (kind, id) = match self {
            DocumentId::App(app) => ("app", app.as_str()),
            DocumentId::Countermeasures => ("countermeasures", COUNTERMEASURES_ID),
            DocumentId::Script(script) => ("script", script.as_str()),
            DocumentId::Edge(edge) => ("edge", edge.as_str()),
            DocumentId::Service(service, bucket) => {
                return Topic::IntentPart("service".to_owned(), service.to_string(), *bucket);
            }
        };
        Topic::Intent(kind.to_owned(), id.to_owned())
    }
}

impl Body {
    /// The name of the document that it is the body of.
    pub fn id(&self) -> DocumentId {
        match self {
            Body::App(app) => DocumentId::App(app.app.clone()),
            Body::Script(script) => DocumentId::Script(script.script.clone()),
            Body::Service(part) => DocumentId::Service(part.service.clone(), part.bucket),
            Body::Edge(edge) => DocumentId::Edge(edge.edge.clone()),
            Body::Countermeasures(_) => DocumentId::Countermeasures,
        }
    }
}

impl Document {
    /// What holds when this one and another of the same name are there: the one with the greater version; of a service,
    /// for each edge the greater entry. All centers make the same of the same, byte for byte.
    pub fn join(&self, other: &Self) -> Self {
        let (newer, older) = if self.ver >= other.ver { (self, other) } else { (other, self) };
        let mut joined = newer.clone();
        if let (Body::Service(part), Body::Service(older)) = (&mut joined.body, &older.body) {
            part.join(older);
        }
        joined
    }
}
