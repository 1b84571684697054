//! What a center does about a request: it is judged, becomes a document, is stored, and then holds.

use flotilla_schemas::command::Order;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::time::Now;
use flotilla_schemas::topic::ToTopic;
use flotilla_schemas::{Digest, EdgeId, ServiceId};

use super::Core;
use crate::answer::{Answer, Published, Refusal};
use crate::catalog::publication::{Publication, PublishError, judge_app, judge_script, judge_size};
use crate::command::CommandError;
use crate::document::{Body, Document, DocumentId, ServiceDocument, Standing};
use crate::request::{Request, RequestId};
use crate::retained::Cause;
use crate::row::{Row, Write};
use crate::service::ServiceError;
use crate::step::{Effect, Step};

impl Core {
    pub(super) fn decide(&mut self, id: RequestId, request: Request, now: Now, step: &mut Step) {
        let publishers = self.config.fleet.publishers();
        let answer = match request {
            Request::PublishApp(signed) => judge_app(&self.documents, &publishers, signed)
                .and_then(|publication| self.publish(publication, now, step))
                .map_err(Refusal::from),
            Request::PublishScript { release, apps } => {
                judge_script(&self.documents, &publishers, release, apps)
                    .and_then(|publication| self.publish(publication, now, step))
                    .map_err(Refusal::from)
            }
            Request::Start(service, start) => match self.present().start(service.clone(), &start) {
                Ok(parts) => self.serve(&service, parts, now, step),
                Err(error) => Err(error.into()),
            },
            Request::Stop(service, stop) => match self.present().stop(service.clone(), &stop) {
                Ok(parts) => self.serve(&service, parts, now, step),
                Err(error) => Err(error.into()),
            },
            Request::SetCountermeasures(list) => self.replace_list(list, now, step),
            Request::Replace(edge) => self.stand(edge, Standing::Replaced, now, step),
            Request::Retire(edge) => self.stand(edge, Standing::Retired, now, step),
            Request::Command(edge, order) => match self.command(id, &edge, order, now, step) {
                // The edge's reply will be the answer.
                Ok(()) => return,
                Err(error) => Err(error.into()),
            },
        };
        step.decided |= !step.persist.is_empty();
        step.effects.push(Effect::Reply { id, answer });
    }

    fn publish(
        &mut self,
        publication: Publication,
        now: Now,
        step: &mut Step,
    ) -> Result<Answer, PublishError> {
        let (release, new): (Digest, bool) = match publication {
            Publication::Known(digest) => (digest, false),
            Publication::New(digest, body) => {
                judge_size(&self.config.fleet.fleet, &self.documents, &body)?;
                self.pass_catalog(&body.id());
                self.hold(*body, now, step);
                (digest, true)
            }
        };
        let catalog = self.catalog.message().version;
        Ok(Answer::Published(Published { release, catalog, new }))
    }

    /// Sees to it that the catalog's version grows past any that a center ever signed, when this document gets the
    /// next number: all of them may have lost what it was made of.
    fn pass_catalog(&mut self, id: &DocumentId) {
        let number = |(other, document): (&DocumentId, &Document)| match document.body {
            Body::App(_) | Body::Script(_) if other != id => document.ver.n,
            _ => 0,
        };
        let others: u64 = self.documents.all().map(number).sum();
        // What is out of reach is an attack's, and no publication waits for it.
        let _ = self.documents.see(self.catalog_seen.saturating_sub(others));
    }

    /// One decision, and so one number, however many parts it changes.
    fn serve(
        &mut self,
        service: &ServiceId,
        parts: Vec<ServiceDocument>,
        now: Now,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        step.note("service decided", None, service);
        let ver = self.documents.next();
        for part in parts {
            let document = self.documents.decide_as(ver.clone(), Body::Service(part), now.wall_ms);
            self.issue(&document, step);
        }
        let unknown = || ServiceError::Unknown { service: service.clone(), known: Vec::new() };
        Ok(Answer::Service(self.service(service).ok_or_else(unknown)?))
    }

    fn replace_list(
        &mut self,
        mut list: Countermeasures,
        now: Now,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        list.check().map_err(Refusal::Countermeasures)?;
        // The document's number grows over all centers, so the list's version is the same number.
        list.version = self.documents.next().n;
        self.hold(Body::Countermeasures(list.clone()), now, step);
        Ok(Answer::Countermeasures(list))
    }

    fn command(
        &mut self,
        id: RequestId,
        edge: &EdgeId,
        order: Order,
        now: Now,
        step: &mut Step,
    ) -> Result<(), CommandError> {
        let command = self.commands.give(&self.registry, id, edge, order, now.mono_ms)?;
        step.note("command given", Some(edge), &command.id);
        step.send(edge, ToTopic::Command, &command);
        Ok(())
    }

    /// Makes the body a document.
    pub(super) fn hold(&mut self, body: Body, now: Now, step: &mut Step) {
        let document = self.documents.decide(body, now.wall_ms);
        self.issue(&document, step);
    }

    /// A document that was made here: on disk with this step, retained after it.
    fn issue(&mut self, document: &Document, step: &mut Step) {
        step.note("document decided", None, document.body.id().topic());
        self.follow(document, Cause::Here, step);
        step.persist.push(Write::put(Row::Document(document.clone())));
    }
}
