//! What people decided, as signed documents that are retained on `intent/<kind>/<id>`.
//!
//! A document is whole and its last version wins; versions are compared by era, number, author. A number is one more
//! than the highest that was seen anywhere, so it needs no clock; a jump of more than [`JUMP_MAX`] is a mistake or
//! an attack and is refused. Everything else that a center publishes follows from its documents.
//!
//! Documents of an era before the fleet file's are void: they are neither loaded nor taken.

use std::collections::BTreeMap;

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::{JUMP_MAX, Key};
use flotilla_schemas::{AppId, CenterId, ScriptId, ServiceId, Topic};
use serde::{Deserialize, Serialize};

use crate::catalog::{AppDocument, ScriptDocument};
use crate::service::ServiceDocument;

/// The id of the one document of countermeasures.
const COUNTERMEASURES_ID: &str = "all";

/// Which of two versions of a document holds: the greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ver {
    /// The fleet file's era.
    pub era: u32,
    /// One more than the highest number that the author had seen anywhere.
    pub n: u64,
    /// The center that took the document.
    pub author: CenterId,
}

impl Ver {
    /// The key of a slot whose value comes from this version, outside any rollout.
    pub fn key(&self) -> Key {
        Key { era: self.era, n: self.n, author: self.author.clone(), run: 0, phase: 0 }
    }
}

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
    /// `service/<service>`
    Service(ServiceId),
}

impl DocumentId {
    /// Where it is retained.
    pub fn topic(&self) -> Topic {
        let (kind, id) = match self {
            DocumentId::App(app) => ("app", app.as_str()),
            DocumentId::Countermeasures => ("countermeasures", COUNTERMEASURES_ID),
            DocumentId::Script(script) => ("script", script.as_str()),
            DocumentId::Service(service) => ("service", service.as_str()),
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
            Body::Service(service) => DocumentId::Service(service.service.clone()),
            Body::Countermeasures(_) => DocumentId::Countermeasures,
        }
    }
}

/// A number that is out of reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("believe the document number {n}: it is more than {JUMP_MAX} past {seen}, the highest seen")]
pub struct Jump {
    /// The number.
    pub n: u64,
    /// The highest that was believed before.
    pub seen: u64,
}

/// All documents of a center, and the highest number that it has seen.
#[derive(Debug, Clone)]
pub struct Documents {
    author: CenterId,
    era: u32,
    seen: u64,
    all: BTreeMap<DocumentId, Document>,
}

impl Documents {
    /// None yet.
    pub fn new(author: CenterId, era: u32) -> Self {
        Self { author, era, seen: 0, all: BTreeMap::new() }
    }

    /// Takes a document that is on disk; one of a former era is void.
    pub fn load(&mut self, document: Document) {
        self.seen = self.seen.max(document.ver.n);
        if document.ver.era >= self.era {
            self.all.insert(document.body.id(), document);
        }
    }

    /// Takes note of a number that somebody used.
    pub fn see(&mut self, n: u64) -> Result<(), Jump> {
        if n > self.seen.saturating_add(JUMP_MAX) {
            return Err(Jump { n, seen: self.seen });
        }
        self.seen = self.seen.max(n);
        Ok(())
    }

    /// The version of the next document.
    pub fn next(&self) -> Ver {
        Ver { era: self.era, n: self.seen + 1, author: self.author.clone() }
    }

    /// Makes the next version of a document. The caller stores it before anybody hears of it.
    pub fn decide(&mut self, body: Body, ts: i64) -> Document {
        let (id, ver) = (body.id(), self.next());
        let prev = self.all.get(&id).map(|document| document.ver.clone());
        self.seen = ver.n;
        let document = Document { v: 1, ver, prev, ts, body };
        self.all.insert(id, document.clone());
        document
    }

    /// Takes a document of another center, or one that this one has lost. True if it is newer than what was there.
    pub fn adopt(&mut self, document: Document) -> Result<bool, Jump> {
        self.see(document.ver.n)?;
        let id = document.body.id();
        let newer = self.all.get(&id).is_none_or(|held| document.ver > held.ver);
        if newer && document.ver.era >= self.era {
            self.all.insert(id, document);
            return Ok(true);
        }
        Ok(false)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&DocumentId, &Document)> {
        self.all.iter()
    }

    /// The document of an app, with its version.
    pub fn app(&self, app: &AppId) -> Option<(&Ver, &AppDocument)> {
        match self.all.get(&DocumentId::App(app.clone()))? {
            Document { ver, body: Body::App(document), .. } => Some((ver, document)),
            _ => None,
        }
    }

    /// The document of a script, with its version.
    pub fn script(&self, script: &ScriptId) -> Option<(&Ver, &ScriptDocument)> {
        match self.all.get(&DocumentId::Script(script.clone()))? {
            Document { ver, body: Body::Script(document), .. } => Some((ver, document)),
            _ => None,
        }
    }

    /// The document of a service.
    pub fn service(&self, service: &ServiceId) -> Option<&ServiceDocument> {
        match &self.all.get(&DocumentId::Service(service.clone()))?.body {
            Body::Service(document) => Some(document),
            _ => None,
        }
    }

    /// The documents of all services, by name.
    pub fn services(&self) -> impl Iterator<Item = &ServiceDocument> {
        self.all.values().filter_map(|document| match &document.body {
            Body::Service(service) => Some(service),
            _ => None,
        })
    }

    /// The countermeasures, with their version.
    pub fn countermeasures(&self) -> Option<(&Ver, &Countermeasures)> {
        match self.all.get(&DocumentId::Countermeasures)? {
            Document { ver, body: Body::Countermeasures(list), .. } => Some((ver, list)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Documents {
        Documents::new("c1".parse().unwrap(), 1)
    }

    fn list(version: u64) -> Body {
        Body::Countermeasures(Countermeasures { version, ..Countermeasures::default() })
    }

    #[test]
    fn a_number_is_one_more_than_the_highest_seen_anywhere() {
        let mut documents = documents();
        assert_eq!(documents.decide(list(1), 0).ver.n, 1);
        documents.see(41).unwrap();
        let document = documents.decide(list(2), 0);
        assert_eq!(document.ver.n, 42);
        assert_eq!(document.prev.map(|ver| ver.n), Some(1));
    }

    #[test]
    fn a_jump_is_refused_and_changes_nothing() {
        let mut documents = documents();
        assert!(documents.see(JUMP_MAX).is_ok());
        assert_eq!(documents.see(2 * JUMP_MAX + 1), Err(Jump { n: 2 * JUMP_MAX + 1, seen: JUMP_MAX }));
        assert_eq!(documents.next().n, JUMP_MAX + 1);
        let mut document = documents.decide(list(1), 0);
        document.ver.n = u64::MAX;
        assert!(documents.adopt(document).is_err());
        assert_eq!(documents.countermeasures().unwrap().0.n, JUMP_MAX + 1);
    }

    #[test]
    fn of_two_versions_the_greater_holds_whichever_comes_first() {
        let (mut a, mut b) = (documents(), documents());
        let (first, second) = (a.decide(list(1), 0), a.decide(list(2), 0));
        assert_eq!(b.adopt(second.clone()), Ok(true));
        assert_eq!(b.adopt(first), Ok(false));
        assert_eq!(b.adopt(second), Ok(false));
        assert_eq!(b.countermeasures().unwrap().1.version, 2);
    }

    #[test]
    fn a_former_era_is_void_but_its_numbers_count() {
        let mut old = documents();
        old.see(9).unwrap();
        let document = old.decide(list(1), 0);
        let mut new = Documents::new("c1".parse().unwrap(), 2);
        new.load(document.clone());
        assert_eq!(new.adopt(document), Ok(false));
        assert_eq!((new.countermeasures(), new.next().n), (None, 11));
    }
}
