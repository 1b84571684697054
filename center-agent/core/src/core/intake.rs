//! What a center does about a message that it believes, and about a batch that is on disk.

use flotilla_schemas::command::{Order, Shown};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::desired::slots_digest;
use flotilla_schemas::fault::Fault;
use flotilla_schemas::journal::{Ack, Batch, Lane};
use flotilla_schemas::release::CATALOG_JUMP_MAX;
use flotilla_schemas::report::{ReleaseRow, Status, Want};
use flotilla_schemas::sign::Signature;
use flotilla_schemas::time::Now;
use flotilla_schemas::topic::ToTopic;
use flotilla_schemas::{Digest, EdgeId, Topic};

use super::Core;
use crate::answer::Answer;
use crate::desk::{FaultRow, answer};
use crate::document::{Document, Jump};
use crate::interval::Held;
use crate::message::{Message, Said};
use crate::registry::Heard;
use crate::retained::Cause;
use crate::row::{Row, Write};
use crate::step::{Effect, Step};
use crate::store::Journaled;

impl Core {
    pub(super) fn hear(
        &mut self,
        topic: &Topic,
        payload: &[u8],
        sig: Option<&Signature>,
        live: bool,
        now: Now,
        step: &mut Step,
    ) {
        if let Topic::Edge(edge, _) = topic
            && self.is_retired(edge)
        {
            return self.empty(edge, topic);
        }
        let message = Message { topic, payload, sig };
        match message.read(&self.config.fleet, &self.registry) {
            Ok(said) => self.act(topic, said, live, now, step),
            Err(error) => self.warn("message not believed", topic, error, now, step),
        }
    }

    fn act(&mut self, topic: &Topic, said: Said, live: bool, now: Now, step: &mut Step) {
        match said {
            Said::Nothing => {}
            Said::Avail(edge, online) => {
                if self.registry.avail(&edge, online, now) {
                    step.note(if online { "edge online" } else { "edge offline" }, Some(&edge), "");
                }
            }
            Said::Status(status) => self.status(topic, *status, live, now, step),
            Said::Inventory(inventory) => {
                if let Err(error) = self.registry.inventory(inventory) {
                    self.warn("inventory not taken", topic, error, now, step);
                }
            }
            Said::Release(row) => self.release_row(topic, row, now, step),
            Said::Batch(journaled) => self.batch(journaled, step),
            Said::Want(want) => self.wanted(topic, want, now, step),
            Said::Reply(reply) => {
                if let Some(id) = self.commands.reply(&reply) {
                    step.effects.push(Effect::Reply { id, answer: Ok(Answer::Reply(reply)) });
                }
            }
            Said::Shown(Shown { edge, text, sig, .. }) => {
                let topic = Topic::To(edge, ToTopic::Desired);
                self.hear(&topic, text.as_bytes(), Some(&sig), live, now, step);
            }
            Said::Document(document) => self.adopt(topic, *document, now, step),
            Said::Desired(desired) => {
                let n_max = desired.items.values().map(|item| item.key().n).max().unwrap_or_default();
                let seen = self.documents.see(n_max);
                if self.believe(seen, topic, now, step) {
                    self.catalog_seen(desired.min_catalog);
                    let edge = desired.edge.clone();
                    self.heard.insert(edge.clone(), desired);
                    self.retain_desired(&edge, Cause::Heard);
                }
            }
            Said::Catalog(catalog) => self.catalog_seen(catalog.version),
        }
    }

    /// A version of the catalog that a center signed: the next one published here is greater. One that is out of reach
    /// is a mistake or an attack.
    fn catalog_seen(&mut self, version: u64) {
        if version <= self.catalog.message().version.max(self.catalog_seen).saturating_add(CATALOG_JUMP_MAX) {
            self.catalog_seen = self.catalog_seen.max(version);
        }
    }

    fn status(&mut self, topic: &Topic, status: Status, live: bool, now: Now, step: &mut Step) {
        let edge = status.meta.edge.clone();
        let (digest, catalog, n_max) = (status.desired_digest, status.catalog, status.n_max);
        if let Err(error) = self.admit(&status, now, step) {
            return self.warn("edge refused", topic, error, now, step);
        }
        let was_online = self.registry.get(&edge).is_some_and(|edge| edge.online);
        match self.registry.status(status, live, now) {
            Err(error) => return self.warn("edge refused", topic, error, now, step),
            Ok(Heard::Same) => {}
            Ok(Heard::New | Heard::Changed) => {
                step.persist.extend(self.registry.row(&edge).map(|row| Write::put(Row::Edge(row))));
                self.take_on(&edge, now, step);
                self.retain_desired(&edge, Cause::Here);
            }
        }
        if live && !was_online {
            step.note("edge online", Some(&edge), "");
        }
        if live {
            self.send_again(&edge, digest, catalog, now);
            self.ask_back(&edge, n_max, now, step);
        }
    }

    /// An edge that has seen a number which this center has not may hold what all centers have lost. Its word for a
    /// number is worth nothing; that of the center which signed it is.
    fn ask_back(&mut self, edge: &EdgeId, n_max: u64, now: Now, step: &mut Step) {
        if !self.swept || n_max <= self.documents.seen() || !self.registry.ask(edge, now) {
            return;
        }
        let Some(known) = self.registry.get(edge) else { return };
        let session = &known.status.meta.session;
        if let Some(command) = self.commands.note(edge, session, Order::ShowDesired) {
            step.note(
                "edge asked what it holds: it has seen a number that is not known here",
                Some(edge),
                n_max,
            );
            step.send(edge, ToTopic::Command, &command);
        }
    }

    /// What an edge should have and shows that it has not, for too long, goes out again.
    fn send_again(&mut self, edge: &EdgeId, digest: Digest, catalog: u64, now: Now) {
        let desired = self.desired(edge);
        let lacks_desired = desired.as_ref().is_some_and(|desired| slots_digest(&desired.items) != digest);
        let lacks_catalog = desired.is_some() && catalog < self.catalog.message().version;
        if !self.behind.shows(edge, lacks_desired || lacks_catalog, now.mono_ms) {
            return;
        }
        if lacks_desired {
            self.retained.unsent(&Topic::To(edge.clone(), ToTopic::Desired));
        }
        if lacks_catalog {
            self.retained.unsent(&Topic::Catalog("targets".to_owned()));
        }
    }

    fn release_row(&mut self, topic: &Topic, row: ReleaseRow, now: Now, step: &mut Step) {
        let (edge, release) = (row.meta.edge.clone(), row.release.clone());
        match self.registry.release(row) {
            Ok(()) => self.retain_distribution(&release, &edge),
            Err(error) => self.warn("row of a release not taken", topic, error, now, step),
        }
    }

    /// A fault is answered first: neither the answer nor the batch waits for the disk.
    fn batch(&mut self, journaled: Box<Journaled>, step: &mut Step) {
        let batch = &journaled.batch;
        if self.swept && batch.lane == Lane::Fault {
            for fault in self.faults.unanswered(batch) {
                self.answer(&batch.edge, &fault, step);
            }
        }
        step.effects.push(Effect::Append(journaled));
        step.at_once.append(&mut step.effects);
    }

    /// Answers what came before the list was known.
    pub(super) fn answer_waiting(&self, step: &mut Step) {
        for (edge, fault) in self.faults.waiting() {
            self.answer(edge, fault, step);
        }
    }

    fn answer(&self, edge: &EdgeId, fault: &Fault, step: &mut Step) {
        let none = Countermeasures::default();
        let list = self.documents.countermeasures().map_or(&none, |(_, list)| list);
        let answer = answer(list, &self.config.center, edge, fault);
        step.send(edge, ToTopic::Answer, &answer);
        step.note(
            "fault answered",
            Some(edge),
            format!("{} {}: {}", fault.fault, fault.kind, answer.measure),
        );
    }

    pub(super) fn appended(&mut self, batch: &Batch, held: Held, step: &mut Step) {
        self.config.records += held.stored;
        if held.fork {
            step.note(
                "journal forked: other records are held at its positions",
                Some(&batch.edge),
                &batch.epoch,
            );
        } else if batch.lane == Lane::Fault {
            let changes = self.faults.record(batch);
            let key = |row: FaultRow| Write::Remove(Row::Fault(row).key());
            step.persist.extend(changes.removed.into_iter().map(key));
            step.persist.extend(changes.put.into_iter().map(|row| Write::put(Row::Fault(row))));
        }
        let Held { from, upto, want, fork, .. } = held;
        let (center, epoch) = (self.config.center.clone(), batch.epoch.clone());
        let ack = Ack { v: 1, center, epoch, lane: batch.lane, from, upto, want, fork };
        step.send(&batch.edge, ToTopic::Ack, &ack);
    }

    fn wanted(&mut self, topic: &Topic, want: Want, now: Now, step: &mut Step) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            want.chunks.into_iter().partition(|digest| self.catalog.chunk(digest).is_some());
        if let Some(digest) = unknown.first() {
            let error =
                format!("{} of the chunks are not of the catalog, {} first", unknown.len(), digest.short());
            self.warn("chunks not served", topic, error, now, step);
        }
        if known.into_iter().filter(|digest| !self.delivery.ask(*digest, now.mono_ms)).count() > 0 {
            self.warn("chunks not served", topic, "too many wait to be sent", now, step);
        }
    }

    fn adopt(&mut self, topic: &Topic, document: Document, now: Now, step: &mut Step) {
        match self.documents.adopt(document) {
            Ok(Some(joined)) => {
                step.note("document taken from the broker", None, topic);
                step.persist.push(Write::put(Row::Document(joined.clone())));
                self.follow(&joined, Cause::Heard, step);
            }
            Ok(None) => {}
            Err(jump) => self.warn("message not believed", topic, jump, now, step),
        }
    }

    fn believe(&mut self, seen: Result<(), Jump>, topic: &Topic, now: Now, step: &mut Step) -> bool {
        match seen {
            Ok(()) => true,
            Err(jump) => {
                self.warn("message not believed", topic, jump, now, step);
                false
            }
        }
    }

    fn warn(
        &mut self,
        message: &'static str,
        topic: &Topic,
        error: impl ToString,
        now: Now,
        step: &mut Step,
    ) {
        let edge = match topic {
            Topic::Edge(edge, _) | Topic::To(edge, _) => Some(edge),
            _ => None,
        };
        let note = self.warnings.about(message, edge, topic, error, now.mono_ms);
        step.effects.extend(note.map(Effect::Note));
    }
}
