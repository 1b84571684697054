//! What people decided, as signed documents that are retained on `intent/<kind>/<id>`.
//!
//! A document is whole and its last [version](Ver) wins. Everything else that a center publishes follows from its
//! documents. Documents of another era than the fleet file's are void: they are neither loaded nor
//! taken, and of a later one, which no operator declared here, not even the number counts.

mod body;
mod release;
mod service;
mod version;

use std::collections::BTreeMap;

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::JUMP_MAX;
use flotilla_schemas::{AppId, CenterId, ScriptId, ServiceId};

pub use body::{Body, Document, DocumentId};
pub use release::{AppDocument, ScriptDocument};
pub use service::{On, Run, ServiceDocument, Work};
pub use version::{Jump, Ver};

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
        if document.ver.era == self.era {
            self.all.insert(document.body.id(), document);
        }
    }

    /// The highest number that was seen in what a center signed.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes note of a number in what a center signed. Nobody else's counts.
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
        if document.ver.era > self.era {
            return Ok(false);
        }
        self.see(document.ver.n)?;
        let id = document.body.id();
        let newer = self.all.get(&id).is_none_or(|held| document.ver > held.ver);
        if newer && document.ver.era == self.era {
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

    #[test]
    fn an_era_that_no_operator_declared_here_is_worth_nothing() {
        let mut stolen = Documents::new("c1".parse().unwrap(), u32::MAX);
        stolen.see(9).unwrap();
        let document = stolen.decide(list(1), 0);
        let mut documents = documents();
        documents.load(document.clone());
        assert_eq!(documents.adopt(document), Ok(false));
        assert_eq!(documents.countermeasures(), None);
    }
}
