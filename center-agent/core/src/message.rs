//! What a message says, once it is verified: nothing of a message is believed before this file has let it through.
//!
//! An edge's messages are verified by its pinned key, its status by the key that the status shows (the registry
//! pins it), those of centers by the fleet file. Ids inside must be those of the topic. An empty payload means
//! nothing. What is longer than its kind needs is not even read: so every text and count in it has a bound.

use flotilla_schemas::command::{Reply, Shown};
use flotilla_schemas::desired::Desired;
use flotilla_schemas::fleet::Fleet;
use flotilla_schemas::journal::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batch};
use flotilla_schemas::release::Catalog;
use flotilla_schemas::report::{Inventory, ReleaseRow, Status, WANT_CHUNKS_MAX, Want};
use flotilla_schemas::sign::{self, SignError, Signature};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{EdgeId, Topic};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::document::{Body, Document};
use crate::registry::{EDGE_BYTES_MAX, Registry};
use crate::store::Journaled;

/// The most bytes of a status.
pub const STATUS_BYTES_MAX: usize = 4 * 1024;

/// The most bytes of an edge's row of its own distribution table.
pub const ROW_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of a question for chunks.
pub const WANT_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of any other message.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Nothing that a center listens to.
    Nothing,
    /// An edge is there, or gone.
    Avail(EdgeId, bool),
    /// An edge's state.
    Status(Box<Status>),
    /// What an edge has.
    Inventory(Inventory),
    /// An edge's row of its own distribution table.
    Release(ReleaseRow),
    /// Records, dense and in order.
    Batch(Box<Journaled>),
    /// Chunks that an edge lacks.
    Want(Want),
    /// An edge's reply to a command.
    Reply(Reply),
    /// What a center wanted of an edge, as the edge kept it.
    Shown(Shown),
    /// A decision of a center.
    Document(Box<Document>),
    /// What an edge should be, as a center retained it.
    Desired(Desired),
    /// The catalog, as a center retained it.
    Catalog(Catalog),
}

/// Why a message was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// An edge whose status was never seen.
    #[error("{0} has shown no key yet")]
    Stranger(EdgeId),
    /// Not signed by whom it should be.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Longer than any message of its kind.
    #[error("it has {bytes} bytes, more than {most}")]
    Long {
        /// Its size.
        bytes: usize,
        /// The most that there may be.
        most: usize,
    },
    /// Not of the expected shape.
    #[error("it is unreadable: {0}")]
    Shape(String),
    /// Says something that it may not say.
    #[error("{0}")]
    Rule(String),
}

/// A message on its way to being believed.
pub struct Message<'a> {
    /// Where it came.
    pub topic: &'a Topic,
    /// What it holds.
    pub payload: &'a [u8],
    /// Who says to have signed it.
    pub sig: Option<&'a Signature>,
}

impl Message<'_> {
    /// Verifies and reads it.
    pub fn read(&self, fleet: &Fleet, registry: &Registry) -> Result<Said, Disbelief> {
        if self.payload.is_empty() {
            return Ok(Said::Nothing);
        }
        let (bytes, most) = (self.payload.len(), bytes_max(self.topic));
        if bytes > most {
            return Err(Disbelief::Long { bytes, most });
        }
        match self.topic {
            Topic::Edge(edge, rest) => self.of_edge(edge, rest, fleet, registry),
            Topic::Intent(..) | Topic::IntentPart(..) => self.document(fleet),
            Topic::To(edge, flotilla_schemas::topic::ToTopic::Desired) => {
                let desired: Desired = self.of_center(fleet)?;
                same("edge", &desired.edge, edge)?;
                same("fleet", &desired.fleet, &fleet.fleet)?;
                Ok(Said::Desired(desired))
            }
            Topic::Catalog(role) if role == "targets" => {
                let catalog: Catalog = self.of_center(fleet)?;
                same("fleet", &catalog.fleet, &fleet.fleet)?;
                Ok(Said::Catalog(catalog))
            }
            _ => Ok(Said::Nothing),
        }
    }

    fn of_edge(
        &self,
        edge: &EdgeId,
        rest: &EdgeTopic,
        fleet: &Fleet,
        registry: &Registry,
    ) -> Result<Said, Disbelief> {
        match rest {
            EdgeTopic::Status => self.status(edge, fleet),
            EdgeTopic::Avail => match self.payload {
                b"online" => Ok(Said::Avail(edge.clone(), true)),
                b"offline" => Ok(Said::Avail(edge.clone(), false)),
                _ => Err(Disbelief::Shape("it is neither online nor offline".into())),
            },
            EdgeTopic::Release(release) => {
                let row: ReleaseRow = self.signed(edge, fleet, registry)?;
                same("edge", &row.meta.edge, edge)?;
                same("release", &row.release, release)?;
                Ok(Said::Release(row))
            }
            EdgeTopic::Inventory => {
                let inventory: Inventory = self.signed(edge, fleet, registry)?;
                same("edge", &inventory.meta.edge, edge)?;
                Ok(Said::Inventory(inventory))
            }
            EdgeTopic::Journal(lane) => {
                let batch: Batch = self.signed(edge, fleet, registry)?;
                same("edge", &batch.edge, edge)?;
                same("lane", &batch.lane.number(), lane)?;
                dense(&batch)?;
                let (payload, sig) = (self.payload.to_vec(), self.sig.cloned().ok_or(SignError::Unsigned)?);
                Ok(Said::Batch(Box::new(Journaled { batch, payload, sig })))
            }
            EdgeTopic::Want => {
                let want: Want = self.signed(edge, fleet, registry)?;
                same("edge", &want.edge, edge)?;
                at_most("chunks", want.chunks.len(), WANT_CHUNKS_MAX)?;
                Ok(Said::Want(want))
            }
            EdgeTopic::Reply(name) if name == "desired" => {
                let shown: Shown = self.signed(edge, fleet, registry)?;
                same("edge", &shown.edge, edge)?;
                Ok(Said::Shown(shown))
            }
            EdgeTopic::Reply(_) => {
                let reply: Reply = self.signed(edge, fleet, registry)?;
                same("edge", &reply.edge, edge)?;
                Ok(Said::Reply(reply))
            }
            _ => Ok(Said::Nothing),
        }
    }

    fn status(&self, edge: &EdgeId, fleet: &Fleet) -> Result<Said, Disbelief> {
        let status: Status = self.parse()?;
        same("edge", &status.meta.edge, edge)?;
        same("fleet", &status.fleet, &fleet.fleet)?;
        let sig = self.sig.ok_or(SignError::Unsigned)?;
        status.key.verify(&self.place(fleet), self.payload, sig)?;
        Ok(Said::Status(Box::new(status)))
    }

    /// A document must be where its name says, and what it publishes must be signed by a publisher of its maker.
    fn document(&self, fleet: &Fleet) -> Result<Said, Disbelief> {
        let document: Document = self.of_center(fleet)?;
        same("place", &document.body.id().topic(), self.topic)?;
        let publishers = fleet.publishers();
        match &document.body {
            Body::App(app) => _ = publishers.open(&app.release)?,
            Body::Script(script) => _ = publishers.open(&script.release)?,
            Body::Service(part) => {
                if let Some(edge) = part.on.keys().find(|edge| edge.bucket() != part.bucket) {
                    return Err(Disbelief::Rule(format!("{edge} is not of its bucket")));
                }
                at_most(
                    "entries past its version",
                    part.on.values().filter(|on| on.ver > document.ver).count(),
                    0,
                )?;
            }
            Body::Countermeasures(_) | Body::Edge(_) => {}
        }
        Ok(Said::Document(Box::new(document)))
    }

    fn of_center<T: DeserializeOwned>(&self, fleet: &Fleet) -> Result<T, Disbelief> {
        sign::verify(&fleet.center_keys(), &self.place(fleet), self.payload, self.sig)?;
        self.parse()
    }

    fn signed<T: DeserializeOwned>(
        &self,
        edge: &EdgeId,
        fleet: &Fleet,
        registry: &Registry,
    ) -> Result<T, Disbelief> {
        let known = registry.get(edge).ok_or_else(|| Disbelief::Stranger(edge.clone()))?;
        let sig = self.sig.ok_or(SignError::Unsigned)?;
        known.key.verify(&self.place(fleet), self.payload, sig)?;
        self.parse()
    }

    /// What the message must be signed for.
    fn place(&self, fleet: &Fleet) -> String {
        fleet.tree().text(self.topic)
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Disbelief> {
        serde_json::from_slice(self.payload).map_err(|error| Disbelief::Shape(error.to_string()))
    }
}

/// The most bytes of a message. What centers sign is bounded by what a broker takes alone.
fn bytes_max(topic: &Topic) -> usize {
    let Topic::Edge(_, rest) = topic else { return MESSAGE_BYTES_MAX };
    match rest {
        EdgeTopic::Status | EdgeTopic::Avail => STATUS_BYTES_MAX,
        EdgeTopic::Release(_) => ROW_BYTES_MAX,
        EdgeTopic::Inventory => EDGE_BYTES_MAX,
        // The records, the largest of which travels alone, and what stands around them.
        EdgeTopic::Journal(_) => 2 * BATCH_BYTES_MAX,
        EdgeTopic::Want => WANT_BYTES_MAX,
        _ => MESSAGE_BYTES_MAX,
    }
}

fn same<T: PartialEq + ToString>(what: &str, inside: &T, outside: &T) -> Result<(), Disbelief> {
    if inside == outside {
        return Ok(());
    }
    let (inside, outside) = (inside.to_string(), outside.to_string());
    Err(Disbelief::Rule(format!("its {what} is {inside}, where {outside} is meant")))
}

fn at_most(what: &str, found: usize, most: usize) -> Result<(), Disbelief> {
    if found <= most { Ok(()) } else { Err(Disbelief::Rule(format!("{found} {what} are more than {most}"))) }
}

fn dense(batch: &Batch) -> Result<(), Disbelief> {
    at_most("records", batch.records.len(), BATCH_RECORDS_MAX)?;
    let rule = |text: String| Err(Disbelief::Rule(text));
    let Batch { first, floor, .. } = batch;
    if *first == 0 || *floor == 0 || floor > first {
        return rule(format!(
            "it begins with {first} above a floor of {floor}: both are at least 1, in order"
        ));
    }
    if batch.last().is_none() {
        return rule(format!("its numbers from {first} on run over"));
    }
    // What else a record says, somebody else may know.
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    for (wanted, record) in (*first..).zip(&batch.records) {
        let Numbered { seq } = record.read().map_err(|error| Disbelief::Shape(error.to_string()))?;
        if seq != wanted {
            return rule(format!("record {seq} stands where {wanted} belongs"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{AppDocument, ScriptDocument};
    use crate::samples::{
        app, app_of, batch, bounded, center_key, edge_key, fault, fleet, row, script, status,
    };
    use flotilla_schemas::Signed;
    use flotilla_schemas::sign::SecretKey;
    use flotilla_schemas::time::Now;

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.status(status("e1", 1), true, Now::new(0, 0)).unwrap();
        registry
    }

    fn read(topic: &str, text: &str, key: Option<&SecretKey>) -> Result<Said, Disbelief> {
        let sig = key.map(|key| key.sign(&fleet().tree().filter(topic), text.as_bytes()));
        let topic = topic.parse().unwrap();
        let message = Message { topic: &topic, payload: text.as_bytes(), sig: sig.as_ref() };
        message.read(&fleet(), &registry())
    }

    fn json<T: serde::Serialize>(value: &T) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn an_edge_speaks_for_itself_alone() {
        let text = json(&batch("e1", 1, &[fault("f", 1, 1)]));
        let topic = "edge/e1/journal/0/8b";
        assert!(matches!(read(topic, &text, Some(&edge_key("e1"))), Ok(Said::Batch(_))));
        assert!(matches!(read(topic, &text, Some(&edge_key("e2"))), Err(Disbelief::Sign(_))));
        assert_eq!(read(topic, &text, None), Err(SignError::Unsigned.into()));
        let stranger = read("edge/e2/journal/0/ac", &text, Some(&edge_key("e2")));
        assert!(matches!(stranger, Err(Disbelief::Stranger(_))));
        let others = read(topic, &json(&batch("e2", 1, &[])), Some(&edge_key("e1")));
        assert!(matches!(others, Err(Disbelief::Rule(_))));
        let other_lane = read("edge/e1/journal/1/8b", &text, Some(&edge_key("e1")));
        assert!(matches!(other_lane, Err(Disbelief::Rule(_))));
    }

    #[test]
    fn a_batch_is_dense() {
        let read = |batch: &Batch| read("edge/e1/journal/0/8b", &json(batch), Some(&edge_key("e1")));
        let good = batch("e1", 7, &[fault("f", 1, 1), fault("f", 1, 2)]);
        assert!(read(&good).is_ok());
        let mut gap = good.clone();
        gap.records.swap(0, 1);
        let mut zero = batch("e1", 1, &[]);
        (zero.first, zero.floor) = (0, 0);
        let mut floor = good.clone();
        floor.floor = 8;
        let over = batch("e1", u64::MAX, &[fault("f", 1, 1)]);
        let many = batch("e1", 1, &vec![fault("f", 1, 1); BATCH_RECORDS_MAX + 1]);
        for bad in [gap, zero, floor, over, many] {
            assert!(matches!(read(&bad), Err(Disbelief::Rule(_))), "{}", bad.first);
        }
    }

    #[test]
    fn a_row_of_a_release_is_signed_by_its_edge_and_stands_in_its_place() {
        let text = json(&row("e1", "a", "1.0.0"));
        let topic = "edge/e1/release/app/a";
        assert!(matches!(read(topic, &text, Some(&edge_key("e1"))), Ok(Said::Release(_))));
        assert_eq!(read(topic, &text, None), Err(Disbelief::Sign(SignError::Unsigned)));
        assert!(matches!(read(topic, &text, Some(&edge_key("e2"))), Err(Disbelief::Sign(_))));
        for other in ["edge/e1/release/app/b", "edge/e1/release/script/a"] {
            assert!(matches!(read(other, &text, Some(&edge_key("e1"))), Err(Disbelief::Rule(_))));
        }
    }

    #[test]
    fn a_status_is_signed_by_the_key_that_it_shows() {
        let text = json(&status("e1", 2));
        let topic = "edge/e1/status";
        assert!(matches!(read(topic, &text, Some(&edge_key("e1"))), Ok(Said::Status(_))));
        assert!(matches!(read(topic, &text, Some(&edge_key("e2"))), Err(Disbelief::Sign(_))));
        let elsewhere = read("edge/e2/status", &text, Some(&edge_key("e1")));
        assert!(matches!(elsewhere, Err(Disbelief::Rule(_))));
        let mut other = status("e1", 2);
        other.fleet = "other".parse().unwrap();
        assert!(matches!(read(topic, &json(&other), Some(&edge_key("e1"))), Err(Disbelief::Rule(_))));
    }

    #[test]
    fn only_a_center_decides_and_a_document_stands_in_its_place() {
        let mut documents = crate::document::Documents::new("c1".parse().unwrap(), 1);
        let document = documents.decide(Body::Countermeasures(Default::default()), 0);
        let (text, topic) = (json(&document), "intent/countermeasures/all");
        assert!(matches!(read(topic, &text, Some(&center_key())), Ok(Said::Document(_))));
        assert!(matches!(read(topic, &text, Some(&edge_key("e1"))), Err(Disbelief::Sign(_))));
        let elsewhere = read("intent/service/all", &text, Some(&center_key()));
        assert!(matches!(elsewhere, Err(Disbelief::Rule(_))));
    }

    #[test]
    fn a_document_publishes_only_what_a_publisher_signed() {
        let read = |body: Body| {
            let topic = body.id().topic().to_string();
            let mut documents = crate::document::Documents::new("c1".parse().unwrap(), 1);
            read(&topic, &json(&documents.decide(body, 0)), Some(&center_key()))
        };
        let signed = app("a", "1.0.0", &[]);
        let forged = Signed::new(&signed.read().unwrap(), &center_key()).unwrap();
        let app = |release| AppDocument { app: "a".parse().unwrap(), release, before: None };
        assert!(matches!(read(Body::App(app(signed))), Ok(Said::Document(_))));
        assert!(matches!(read(Body::App(app(forged))), Err(Disbelief::Sign(_))));
        let others = app_of("south", &bounded(), "a", "1.0.0", &[]);
        let error = read(Body::App(app(others))).unwrap_err().to_string();
        assert!(error.ends_with("good for north, not for south"), "{error}");
        let (signed, apps) = script("s", "1.0.0", &[("large", &["a"])]);
        let forged = Signed::new(&signed.read().unwrap(), &center_key()).unwrap();
        let script = "s".parse().unwrap();
        let forged = ScriptDocument { script, release: forged, apps, before: None };
        assert!(matches!(read(Body::Script(forged)), Err(Disbelief::Sign(_))));
    }

    #[test]
    fn what_is_longer_than_its_kind_needs_is_not_read() {
        for (topic, most) in [
            ("status", STATUS_BYTES_MAX),
            ("release/app/a", ROW_BYTES_MAX),
            ("inventory", EDGE_BYTES_MAX),
            ("want", WANT_BYTES_MAX),
            ("journal/0/8b", 2 * BATCH_BYTES_MAX),
            ("reply/command", MESSAGE_BYTES_MAX),
        ] {
            let topic = format!("edge/e1/{topic}");
            let read = |bytes: usize| read(&topic, &" ".repeat(bytes), Some(&edge_key("e1")));
            assert!(matches!(read(most + 1), Err(Disbelief::Long { .. })), "{topic}");
            assert!(!matches!(read(most), Err(Disbelief::Long { .. })), "{topic}");
        }
    }

    #[test]
    fn an_empty_payload_means_nothing() {
        for topic in
            ["edge/e1/status", "edge/e1/avail", "intent/service/s", "to/e1/desired", "catalog/targets"]
        {
            assert_eq!(read(topic, "", None), Ok(Said::Nothing));
        }
    }

    #[test]
    fn what_is_no_json_of_its_shape_is_refused_wherever_it_comes() {
        let key = edge_key("e1");
        for topic in
            ["status", "inventory", "release/app/a", "journal/0/8b", "want", "reply/command", "avail"]
        {
            for text in ["{", "[]", "{}", "null", "\u{0}", &"[".repeat(10_000)] {
                let said = read(&format!("edge/e1/{topic}"), text, Some(&key));
                assert!(said.is_err(), "{topic} {text:.10}");
            }
        }
    }
}
