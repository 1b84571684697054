//! What people decided, as signed documents that are retained on `intent/<kind>/<id>`.
//!
//! A document is whole and its last [version](Ver) wins; of a service each edge's entry by itself. Everything else that a center publishes follows from its
//! documents. Documents of another era than the fleet file's are void: they are neither loaded nor
//! taken, and of a later one, which no operator declared here, not even the number counts.

mod body;
mod edge;
mod release;
mod service;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::JUMP_MAX;
use flotilla_schemas::{AppId, CenterId, EdgeId, ScriptId, ServiceId};

pub use body::{Body, Document, DocumentId};
pub use edge::{EdgeDocument, Standing};
pub use release::{AppDocument, ScriptDocument};
pub use service::{On, Run, ServiceDocument, Work};
pub use version::{Jump, Ver};

/// A document that was made here, and what held before it.
#[derive(Debug, Clone)]
pub struct Made {
    document: Document,
    before: Option<Document>,
}

/// All documents of a center, and the highest number that it has seen.
#[derive(Debug, Clone)]
pub struct Documents {
    author: CenterId,
    era: u32,
    seen: u64,
    all: BTreeMap<DocumentId, Document>,
    /// Which services there are, and for which buckets of edges.
    services: BTreeMap<ServiceId, BTreeSet<u8>>,
    /// What was made here and may still be taken back.
    made: Vec<Made>,
}

impl Documents {
    /// None yet.
    pub fn new(author: CenterId, era: u32) -> Self {
        Self { author, era, seen: 0, all: BTreeMap::new(), services: BTreeMap::new(), made: Vec::new() }
    }

    /// Takes a document that is on disk; one of a former era is void.
    pub fn load(&mut self, document: Document) {
        self.seen = self.seen.max(document.ver.n);
        if document.ver.era == self.era {
            self.put(document);
        }
    }

    fn put(&mut self, document: Document) {
        if let Body::Service(part) = &document.body {
            self.services.entry(part.service.clone()).or_default().insert(part.bucket);
        }
        self.all.insert(document.body.id(), document);
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
        let ver = self.next();
        self.decide_as(ver, body, ts)
    }

    /// Makes a version of a document that is one of several with the same number: they are one decision. The number is
    /// [`Documents::next`]'s, before the first of them.
    pub fn decide_as(&mut self, ver: Ver, body: Body, ts: i64) -> Document {
        self.seen = self.seen.max(ver.n);
        // The parts of a service are joined, and what is joined follows from what it is made of alone.
        let prev = match body {
            Body::Service(_) => None,
            _ => self.all.get(&body.id()).map(|document| document.ver.clone()),
        };
        let document = Document { v: 1, ver, prev, ts, body };
        let before = self.all.get(&document.body.id()).cloned();
        self.put(document.clone());
        self.made.push(Made { document: document.clone(), before });
        document
    }

    /// What was made since this was last asked, in order.
    pub fn made(&mut self) -> Vec<Made> {
        std::mem::take(&mut self.made)
    }

    /// What was made could not be stored: what held before holds again, unless another center's word was joined in
    /// meanwhile. The numbers stay used.
    pub fn take_back(&mut self, made: Vec<Made>) {
        for Made { document, before } in made.into_iter().rev() {
            if self.all.get(&document.body.id()) != Some(&document) {
                continue;
            }
            match before {
                Some(before) => self.put(before),
                None => self.remove(&document),
            }
        }
    }

    fn remove(&mut self, document: &Document) {
        self.all.remove(&document.body.id());
        if let Body::Service(part) = &document.body
            && let Some(buckets) = self.services.get_mut(&part.service)
        {
            buckets.remove(&part.bucket);
        }
        self.services.retain(|_, buckets| !buckets.is_empty());
    }

    /// Takes a document of another center, or one that this one has lost. What holds now, if that is another than did.
    pub fn adopt(&mut self, document: Document) -> Result<Option<Document>, Jump> {
        if document.ver.era > self.era {
            return Ok(None);
        }
        self.see(document.ver.n)?;
        if document.ver.era < self.era {
            return Ok(None);
        }
        let held = self.all.get(&document.body.id());
        let joined = held.map_or_else(|| document.clone(), |held| held.join(&document));
        if held == Some(&joined) {
            return Ok(None);
        }
        self.put(joined.clone());
        Ok(Some(joined))
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

    /// The document of an edge.
    pub fn edge(&self, edge: &EdgeId) -> Option<&EdgeDocument> {
        match &self.all.get(&DocumentId::Edge(edge.clone()))?.body {
            Body::Edge(document) => Some(document),
            _ => None,
        }
    }

    /// All services that were ever started, by name.
    pub fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.services.keys()
    }

    /// The document of a service for the edges of one bucket.
    pub fn part(&self, service: &ServiceId, bucket: u8) -> Option<&ServiceDocument> {
        self.services.get(service).filter(|buckets| buckets.contains(&bucket))?;
        match &self.all.get(&DocumentId::Service(service.clone(), bucket))?.body {
            Body::Service(part) => Some(part),
            _ => None,
        }
    }

    /// A service on one edge.
    pub fn on(&self, service: &ServiceId, edge: &EdgeId) -> Option<&On> {
        self.part(service, edge.bucket())?.on.get(edge)
    }

    /// A service on each edge on which it was ever started, by bucket and name.
    pub fn entries<'a>(&'a self, service: &'a ServiceId) -> impl Iterator<Item = (&'a EdgeId, &'a On)> {
        let buckets = self.services.get(service).into_iter().flatten();
        buckets.filter_map(|bucket| self.part(service, *bucket)).flat_map(|part| &part.on)
    }

    /// What a service runs where that was decided last.
    pub fn work<'a>(&'a self, service: &'a ServiceId) -> Option<&'a Work> {
        self.entries(service).map(|(_, on)| on).max_by_key(|on| &on.ver).map(|on| &on.work)
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
    use flotilla_schemas::desired::Trigger;

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
        assert_eq!(b.adopt(second.clone()), Ok(Some(second.clone())));
        assert_eq!(b.adopt(first), Ok(None));
        assert_eq!(b.adopt(second), Ok(None));
        assert_eq!(b.countermeasures().unwrap().1.version, 2);
    }

    #[test]
    fn what_could_not_be_stored_gives_way_to_what_held_before() {
        let mut documents = documents();
        documents.decide(list(1), 0);
        documents.made();
        documents.decide(list(2), 0);
        documents.decide(list(3), 0);
        let made = documents.made();
        documents.take_back(made);
        assert_eq!(documents.countermeasures().unwrap().1.version, 1);
        documents.decide(list(4), 0);
        let newer = documents.clone().decide(list(5), 0);
        documents.adopt(newer).unwrap();
        let made = documents.made();
        documents.take_back(made);
        assert_eq!(documents.countermeasures().unwrap().1.version, 5, "another center decided since");
        let mut empty = self::documents();
        empty.decide(list(1), 0);
        let made = empty.made();
        empty.take_back(made);
        assert_eq!(empty.countermeasures(), None);
    }

    #[test]
    fn a_former_era_is_void_but_its_numbers_count() {
        let mut old = documents();
        old.see(9).unwrap();
        let document = old.decide(list(1), 0);
        let mut new = Documents::new("c1".parse().unwrap(), 2);
        new.load(document.clone());
        assert_eq!(new.adopt(document), Ok(None));
        assert_eq!((new.countermeasures(), new.next().n), (None, 11));
    }

    #[test]
    fn an_era_that_no_operator_declared_here_is_worth_nothing() {
        let mut stolen = Documents::new("c1".parse().unwrap(), u32::MAX);
        stolen.see(9).unwrap();
        let document = stolen.decide(list(1), 0);
        let mut documents = documents();
        documents.load(document.clone());
        assert_eq!(documents.adopt(document), Ok(None));
        assert_eq!(documents.countermeasures(), None);
    }

    #[test]
    fn of_a_service_each_entry_holds_by_itself_in_whatever_order_the_documents_come() {
        let part = |edge: &str, ver: &Ver, stopped: bool| {
            let (service, work) = ("s".parse().unwrap(), Work::Script("s".parse().unwrap()));
            let run = (!stopped).then_some(Run { events: None, trigger: Trigger::Once });
            let on = [(edge.parse().unwrap(), On { ver: ver.clone(), work, run })].into();
            Body::Service(ServiceDocument { service, bucket: 0, on })
        };
        let ver = |n, author: &str| Ver { era: 1, n, author: author.parse().unwrap() };
        let document = |edge, ver: Ver, stopped| Document {
            v: 1,
            prev: None,
            ts: ver.n as i64,
            body: part(edge, &ver, stopped),
            ver,
        };
        let all = [
            document("e1", ver(1, "c1"), false),
            document("e2", ver(1, "c2"), false),
            document("e1", ver(2, "c2"), true),
            document("e3", ver(3, "c1"), false),
        ];
        let joined = |order: &[usize]| {
            let mut documents = documents();
            order.iter().for_each(|at| _ = documents.adopt(all[*at].clone()).unwrap());
            serde_json::to_string(&documents.all().next().unwrap().1).unwrap()
        };
        let text = joined(&[0, 1, 2, 3]);
        for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            assert_eq!(joined(&order), text, "byte for byte");
        }
        let document: Document = serde_json::from_str(&text).unwrap();
        let Body::Service(part) = &document.body else { panic!() };
        assert_eq!((part.on.len(), document.ver, document.ts), (3, ver(3, "c1"), 3));
        assert_eq!(part.on[&"e1".parse().unwrap()].run, None);
    }
}
