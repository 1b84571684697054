//! The door: a message is believed only as far as its signature, its address and its shape go.
//!
//! Nothing is decided here: what came through is given back, and what did not is said in the log.

use flotilla_schemas::command::Command;
use flotilla_schemas::desired::Desired;
use flotilla_schemas::fault::{Answer, Kind};
use flotilla_schemas::journal::Ack;
use flotilla_schemas::release::Catalog;
use flotilla_schemas::report::FaultReport;
use flotilla_schemas::sign::{Keys, Signature, verify};
use flotilla_schemas::topic::{EdgeTopic, ToTopic};
use flotilla_schemas::{AppId, Topic};
use serde::de::DeserializeOwned;

use crate::out::Out;
use crate::wanted::Came;

/// A message that may be believed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// A chunk: it proves itself.
    Chunk(Vec<u8>),
    /// The broker retains a report of a fault of this edge.
    Echo(AppId, Kind),
    Catalog(Catalog),
    /// What the edge should be, and the message that said so.
    Desired(Desired, Came),
    Ack(Ack),
    Answer(Answer),
    Command(Command),
}

/// A message as it came.
struct Letter<'a> {
    topic: &'a Topic,
    payload: &'a [u8],
    sig: Option<&'a Signature>,
    centers: &'a Keys,
}

/// What of a message may be believed, if centers sign with these keys.
pub(crate) fn open(
    topic: &Topic,
    payload: Vec<u8>,
    sig: Option<&Signature>,
    centers: &Keys,
    out: &mut Out,
) -> Option<Heard> {
    let letter = Letter { topic, payload: &payload, sig, centers };
    match topic {
        Topic::Blob(_) => Some(Heard::Chunk(payload)),
        // An empty retained payload means nothing: a stranger, or a broker that forgot.
        _ if payload.is_empty() => None,
        Topic::Edge(edge, EdgeTopic::Fault(app, kind)) if *edge == out.config.edge => {
            (!told_closed(&payload, out)).then(|| Heard::Echo(app.clone(), kind.clone()))
        }
        Topic::To(edge, rest) if *edge == out.config.edge => letter.told(rest, out),
        Topic::Catalog(role) if role == "targets" => letter.open(out).map(Heard::Catalog),
        _ => None,
    }
}

/// Whether this is what the edge itself said of a cure of its own: it is not kept, so nothing is to be emptied.
fn told_closed(payload: &[u8], out: &Out) -> bool {
    let report = serde_json::from_slice::<FaultReport>(payload);
    report.is_ok_and(|report| report.open == 0 && report.meta.session == out.config.session)
}

impl Letter<'_> {
    fn told(&self, rest: &ToTopic, out: &mut Out) -> Option<Heard> {
        match rest {
            ToTopic::Desired => Some(Heard::Desired(self.open(out)?, self.as_it_came()?)),
            ToTopic::Ack => self.open_as(|ack: &Ack| ack.center.as_str(), out).map(Heard::Ack),
            ToTopic::Answer => self.open_as(|answer: &Answer| answer.center.as_str(), out).map(Heard::Answer),
            ToTopic::Command => self.open(out).map(Heard::Command),
        }
    }

    fn as_it_came(&self) -> Option<Came> {
        let text = String::from_utf8(self.payload.to_vec()).ok()?;
        Some(Came { text, sig: self.sig?.clone() })
    }

    /// What a center of this fleet signed for this topic, if it is readable.
    fn open<T: DeserializeOwned>(&self, out: &mut Out) -> Option<T> {
        let place = out.config.fleet.tree().text(self.topic);
        let verified =
            verify(self.centers, &place, self.payload, self.sig).map_err(|error| error.to_string());
        let read =
            verified.and_then(|()| serde_json::from_slice(self.payload).map_err(|error| error.to_string()));
        read.map_err(|error| out.warn(format!("a message on {} is ignored: {error}", self.topic))).ok()
    }

    /// The same, and the message names as its author the center that signed it.
    fn open_as<T: DeserializeOwned>(&self, author: impl Fn(&T) -> &str, out: &mut Out) -> Option<T> {
        let message = self.open::<T>(out)?;
        if self.sig.is_some_and(|sig| sig.key.as_str() == author(&message)) {
            return Some(message);
        }
        let topic = self.topic;
        out.warn(format!("a message on {topic} is ignored: it speaks for another center than signed it"));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, key};
    use flotilla_schemas::topic::ToTopic;

    fn hear(topic: &Topic, message: &serde_json::Value, signer: Option<&str>) -> Option<Heard> {
        let mut out = samples::out();
        let payload = serde_json::to_vec(message).unwrap();
        let place = out.config.fleet.tree().text(topic);
        let sig = signer.map(|id| key(id).sign(&place, &payload));
        open(topic, payload, sig.as_ref(), &out.config.fleet.center_keys(), &mut out)
    }

    fn to(edge: &str, rest: ToTopic) -> Topic {
        Topic::To(edge.parse().unwrap(), rest)
    }

    fn ack(center: &str) -> serde_json::Value {
        serde_json::json!({"v": 1, "center": center, "epoch": "e", "lane": 1, "from": 1, "upto": 1})
    }

    #[test]
    fn a_message_counts_that_a_center_signed_for_this_edge_in_its_own_name() {
        let own = to("e1", ToTopic::Ack);
        assert!(matches!(hear(&own, &ack("c1"), Some("c1")), Some(Heard::Ack(_))));
        assert_eq!(hear(&own, &ack("c2"), Some("c1")), None, "it speaks for another");
        assert_eq!(hear(&own, &ack("c1"), Some("stranger")), None);
        assert_eq!(hear(&own, &ack("c1"), None), None);
        assert_eq!(hear(&to("e2", ToTopic::Ack), &ack("c1"), Some("c1")), None, "for another edge");
        assert_eq!(hear(&own, &serde_json::json!({"v": 1}), Some("c1")), None, "it cannot be read");
    }

    #[test]
    fn what_is_empty_means_nothing_and_a_chunk_proves_itself() {
        let mut out = samples::out();
        let keys = out.config.fleet.center_keys();
        let desired = to("e1", ToTopic::Desired);
        assert_eq!(open(&desired, Vec::new(), None, &keys, &mut out), None);
        assert_eq!(out.take_step().effects, [], "nor is it worth a word");
        let chunk = open(&Topic::Blob(0), b"x".to_vec(), None, &keys, &mut out);
        assert_eq!(chunk, Some(Heard::Chunk(b"x".to_vec())));
    }

    #[test]
    fn a_report_of_a_fault_that_the_broker_retains_is_an_echo_of_this_edge_alone() {
        let fault = |edge: &str| {
            let rest = EdgeTopic::Fault("a".parse().unwrap(), Kind::of("app.error"));
            Topic::Edge(edge.parse().unwrap(), rest)
        };
        let report = serde_json::json!({"open": 1});
        assert!(matches!(hear(&fault("e1"), &report, None), Some(Heard::Echo(..))));
        assert_eq!(hear(&fault("e2"), &report, None), None);
    }
}
