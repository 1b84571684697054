//! The door: a message is believed only as far as its signature, its address and its shape go.

use flotilla_schemas::desired::Desired;
use flotilla_schemas::fault::Answer;
use flotilla_schemas::journal::Ack;
use flotilla_schemas::release::Catalog;
use flotilla_schemas::report::FaultReport;
use flotilla_schemas::sign::{Signature, verify};
use flotilla_schemas::topic::{EdgeTopic, ToTopic};
use flotilla_schemas::{Topic, command::Command};
use serde::de::DeserializeOwned;

use crate::core::Core;
use crate::effect::{Act, Send};

impl Core {
    pub(crate) fn message(&mut self, topic: &Topic, payload: &[u8], sig: Option<&Signature>) {
        match topic {
            Topic::Blob(_) => self.chunk(payload),
            Topic::Edge(edge, rest) if *edge == self.config.edge => self.echo(rest, payload),
            // An empty retained payload means nothing: a stranger, or a broker that forgot.
            _ if payload.is_empty() => {}
            Topic::To(edge, rest) if *edge == self.config.edge => self.told(topic, rest, payload, sig),
            Topic::Catalog(role) if role == "targets" => {
                if let Some(catalog) = self.open::<Catalog>(topic, payload, sig) {
                    self.take_catalog(catalog);
                }
            }
            _ => {}
        }
    }

    fn told(&mut self, topic: &Topic, rest: &ToTopic, payload: &[u8], sig: Option<&Signature>) {
        match rest {
            ToTopic::Desired => {
                if let Some(desired) = self.open::<Desired>(topic, payload, sig) {
                    self.take_desired(desired);
                }
            }
            ToTopic::Ack => {
                if let Some(ack) = self.open_as::<Ack>(topic, payload, sig, |ack| ack.center.as_str()) {
                    self.ack(&ack);
                }
            }
            ToTopic::Answer => {
                if let Some(answer) =
                    self.open_as::<Answer>(topic, payload, sig, |answer| answer.center.as_str())
                {
                    self.answered(answer);
                }
            }
            ToTopic::Command => {
                if let Some(command) = self.open::<Command>(topic, payload, sig) {
                    self.commanded(command);
                }
            }
        }
    }

    /// What a center of this fleet signed for this topic, if it is readable.
    fn open<T: DeserializeOwned>(
        &mut self,
        topic: &Topic,
        payload: &[u8],
        sig: Option<&Signature>,
    ) -> Option<T> {
        let place = self.config.fleet.tree().text(topic);
        let verified = verify(&self.centers, &place, payload, sig).map_err(|error| error.to_string());
        match verified.and_then(|()| serde_json::from_slice(payload).map_err(|error| error.to_string())) {
            Ok(message) => Some(message),
            Err(error) => {
                self.warn(format!("a message on {topic} is ignored: {error}"));
                None
            }
        }
    }

    /// The same, and the message names as its author the center that signed it.
    fn open_as<T: DeserializeOwned>(
        &mut self,
        topic: &Topic,
        payload: &[u8],
        sig: Option<&Signature>,
        author: impl Fn(&T) -> &str,
    ) -> Option<T> {
        let message = self.open::<T>(topic, payload, sig)?;
        let own = sig.is_some_and(|sig| sig.key.as_str() == author(&message));
        if !own {
            self.warn(format!(
                "a message on {topic} is ignored: it speaks for another center than signed it"
            ));
        }
        own.then_some(message)
    }

    /// Whether this is what the edge itself said of a cure of its own: it is not kept, so nothing is to be emptied.
    fn told_closed(&self, payload: &[u8]) -> bool {
        let report = serde_json::from_slice::<FaultReport>(payload);
        report.is_ok_and(|report| report.open == 0 && report.meta.session == self.config.session)
    }

    /// What the broker keeps of this edge: a fault that is no longer open is emptied, whoever left it there.
    fn echo(&mut self, rest: &EdgeTopic, payload: &[u8]) {
        let EdgeTopic::Fault(app, kind) = rest else { return };
        let open = self.faults.values().any(|open| open.fault.app == *app && open.fault.kind == *kind);
        if !open && !payload.is_empty() && !self.told_closed(payload) {
            let topic = Topic::Edge(self.config.edge.clone(), rest.clone());
            self.effect(Act::Publish(topic, Vec::new(), Send::State));
        }
    }
}
