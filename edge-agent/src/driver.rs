//! The driver loop: inputs in, the core's word, a commit, effects out.
//!
//! Inputs that wait together are worked through together and share one commit. What cannot be committed stays in
//! memory and is tried again; the apps go on meanwhile, and nothing that is not on disk is sent to a center.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_core::{Act, Core, Effect, EffectId, Failure, Input, Outcome, Persist, ScriptFiles, Send};
use flotilla_link::{Delivery, Link, LinkEvent};
use flotilla_machine::Clock;
use flotilla_schemas::fault::kind;
use flotilla_schemas::journal::{Batch, Lane};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{AppId, Artifact, Digest, Json, Topic};
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::apps::{Apps, LoadOf, unreadable};
use crate::equipment::Equipment;
use crate::host::AppHost;
use crate::log;
use crate::shelf::{Shelf, ShelfError};
use crate::store::Store;
use crate::vitals;

/// The most inputs that share a commit.
const INPUTS_PER_COMMIT: usize = 128;

/// How often a commit that failed is tried again.
const COMMIT_RETRY: Duration = Duration::from_secs(1);

/// The most changes that wait for a disk that takes none. Only faults are recorded meanwhile, so it takes days; then the
/// agent ends and begins again with what is on disk.
const UNSAVED_MAX: usize = 65_536;

/// How often the machine is looked at.
const VITALS_EVERY: Duration = Duration::from_secs(10);

/// What drives one core.
pub struct Driver {
    core: Core,
    clock: Clock,
    store: Arc<Store>,
    apps: Apps,
    equipment: Arc<Equipment>,
    link: Link,
    inputs: mpsc::Sender<Input>,
    folder: PathBuf,
    files: mpsc::UnboundedSender<FileJob>,
    hosts: BTreeMap<AppId, Arc<AppHost>>,
    /// Effects whose batches the broker has not all answered, and how many are left.
    sending: BTreeMap<EffectId, u64>,
    /// What the core is told next.
    answered: Vec<Input>,
    /// The first bytes of the chunks that are listened to.
    listening: BTreeSet<u8>,
    /// What could not be committed yet.
    unsaved: Vec<Persist>,
    /// Not before this the disk is tried again.
    retry_at: Option<Instant>,
    wake_at: Option<u64>,
    exit: bool,
}

/// Work on files, done in order. Its length is bounded by what the core has under way: chunks that it asked for.
struct FileJob {
    answer: Answer,
    act: Act,
}

impl Driver {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is made at the start and belongs to the driver alone"
    )]
    pub fn new(
        core: Core,
        clock: Clock,
        store: Arc<Store>,
        shelf: Shelf,
        apps: Apps,
        equipment: Equipment,
        link: Link,
        inputs: mpsc::Sender<Input>,
        folder: PathBuf,
    ) -> Self {
        let (files, jobs) = mpsc::unbounded_channel();
        tokio::spawn(work(shelf, jobs));
        Self {
            core,
            clock,
            store,
            apps,
            equipment: Arc::new(equipment),
            link,
            inputs,
            folder,
            files,
            hosts: BTreeMap::new(),
            sending: BTreeMap::new(),
            answered: Vec::new(),
            listening: BTreeSet::new(),
            unsaved: Vec::new(),
            retry_at: None,
            wake_at: Some(0),
            exit: false,
        }
    }

    /// Runs until the core says that it is over.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut events: mpsc::Receiver<LinkEvent>) {
        let mut vitals = tokio::time::interval(VITALS_EVERY);
        while !self.exit {
            let wake = self.clock.at(self.wake_at.unwrap_or(u64::from(u32::MAX)));
            let first = tokio::select! {
                () = std::future::ready(()), if !self.answered.is_empty() => None,
                Some(input) = inputs.recv() => Some(input),
                Some(event) = events.recv() => self.heard(event),
                () = tokio::time::sleep_until(wake.into()) => Some(Input::Tick),
                _ = vitals.tick() => Some(self.vitals()),
                () = tokio::time::sleep(COMMIT_RETRY), if !self.unsaved.is_empty() => Some(Input::Tick),
            };
            let more = std::iter::from_fn(|| inputs.try_recv().ok()).map(Some);
            let mut waiting = std::mem::take(&mut self.answered);
            let heard = std::iter::from_fn(|| events.try_recv().ok()).map(|event| self.heard(event));
            let all = std::iter::once(first).chain(more.chain(heard).take(INPUTS_PER_COMMIT));
            waiting.extend(all.flatten());
            self.step(waiting).await;
        }
        self.link.stop().await;
    }

    fn heard(&mut self, event: LinkEvent) -> Option<Input> {
        match event {
            LinkEvent::Answered { number, refused } => {
                self.batch_answered(EffectId(number), refused);
                None
            }
            event => heard(event),
        }
    }

    fn vitals(&self) -> Input {
        let disk_free_bytes = vitals::disk_free_bytes(&self.folder);
        Input::Vitals { memory_bytes: vitals::memory_bytes(), disk_free_bytes }
    }

    async fn step(&mut self, inputs: Vec<Input>) {
        let mut effects = Vec::new();
        for input in inputs {
            self.decide(input, &mut effects);
        }
        if let Some(input) = self.commit().await {
            self.decide(input, &mut effects);
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn decide(&mut self, input: Input, effects: &mut Vec<Effect>) {
        let step = self.core.handle(input, self.clock.now());
        step.persist.iter().for_each(log::recorded);
        self.unsaved.extend(step.persist);
        effects.extend(step.effects);
        self.wake_at = step.wake_at;
    }

    /// Commits what is to be kept; what the core must know about the disk.
    async fn commit(&mut self) -> Option<Input> {
        if self.unsaved.is_empty() || self.retry_at.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let (store, changes) = (self.store.clone(), std::mem::take(&mut self.unsaved));
        let committed = tokio::task::spawn_blocking(move || (store.commit(&changes), changes)).await;
        let was_full = self.core.is_storage_full();
        match committed {
            Ok((Ok(()), _)) => {
                self.retry_at = None;
                was_full.then_some(Input::Storage { error: None })
            }
            Ok((Err(error), changes)) => {
                self.unsaved = changes;
                self.retry_at = Some(Instant::now() + COMMIT_RETRY);
                self.exit |= self.unsaved.len() > UNSAVED_MAX;
                if was_full {
                    return None;
                }
                tracing::error!(%error, "nothing can be kept: free some space; the apps go on");
                Some(Input::Storage { error: Some(error.to_string()) })
            }
            Err(error) => {
                tracing::error!(%error, "a commit panicked");
                self.exit = true;
                None
            }
        }
    }

    fn carry_out(&mut self, Effect { id, act }: Effect) {
        if self.retry_at.is_some() && !act.goes_without_disk() {
            let failure = Failure::new(kind::STORAGE_FULL, "the disk takes nothing, so no file is touched");
            return self.answer(id).fail(failure);
        }
        match act {
            Act::Publish(topic, payload, send) => self.publish(&topic, payload, send),
            Act::SendRecords { lane, first, last, floor } => self.send_records(id, lane, first, last, floor),
            Act::Listen(chunks) => self.listen(&chunks, false),
            Act::ListenOnly(chunks) => self.listen(&chunks, true),
            Act::Look(_) | Act::StoreChunk(..) | Act::ReadScript(_) | Act::Delete(_) | Act::Sweep(_) => {
                // The worker ends with the runtime alone.
                let _ = self.files.send(FileJob { answer: self.answer(id), act });
            }
            Act::Load { app, code, grants, limits } => {
                let (answer, host) = (self.answer(id), self.host(&app));
                self.apps.load(answer, LoadOf { app, code, grants, limits }, host);
            }
            Act::Call { app, operation, args } => self.apps.call(self.answer(id), &app, operation, args),
            Act::Write(write) => self.equipment.carry_out(self.answer(id), write),
            Act::Probe(point) => self.equipment.probe(self.answer(id), point),
            Act::Unload(app) => {
                self.apps.unload(&app);
                self.answered.push(Input::Done { id, outcome: Outcome::Done });
            }
            Act::Warn(text) => tracing::warn!("{text}"),
            Act::Exit => self.exit = true,
        }
    }

    fn answer(&self, id: EffectId) -> Answer {
        Answer::new(id, self.inputs.clone())
    }

    fn host(&mut self, app: &AppId) -> Arc<AppHost> {
        let make = || {
            let (equipment, store, inputs) =
                (self.equipment.clone(), self.store.clone(), self.inputs.clone());
            Arc::new(AppHost { app: app.clone(), equipment, store, inputs })
        };
        self.hosts.entry(app.clone()).or_insert_with(make).clone()
    }

    fn publish(&self, topic: &Topic, payload: Vec<u8>, send: Send) {
        let delivery = match send {
            Send::State => Delivery::State,
            Send::Message => Delivery::Message,
            Send::Reading => Delivery::Reading,
        };
        tracing::trace!(%topic, "a message is sent");
        if let Err(error) = self.link.publish(topic, payload, delivery) {
            tracing::warn!(%topic, %error, "a message is dropped");
        }
    }

    fn send_records(&mut self, id: EffectId, lane: Lane, first: u64, last: u64, floor: u64) {
        match self.send_batches(id, lane, first, last, floor) {
            Ok(0) => self.give_up(id, "none of these records is on disk".to_owned()),
            Ok(batches) => _ = self.sending.insert(id, batches),
            Err(error) => {
                tracing::warn!(lane = lane.number(), error, "records are not sent");
                self.give_up(id, error);
            }
        }
    }

    /// How many batches it took.
    fn send_batches(
        &self,
        id: EffectId,
        lane: Lane,
        first: u64,
        last: u64,
        floor: u64,
    ) -> Result<u64, String> {
        let (mut next, mut batches) = (first, 0);
        loop {
            let records = self.store.records(lane, next, last).map_err(|error| error.to_string())?;
            let end = records.last().map_or(last, |(seq, _)| *seq);
            // Records that are not on disk yet are not sent; those that were asked for and are, are.
            let first = records.first().map_or(first, |(seq, _)| *seq);
            if !records.is_empty() || first > last {
                let records = records.into_iter().map(|(_, text)| text).collect();
                self.send_batch(id, lane, first, floor, records)?;
                batches += 1;
            }
            next = end + 1;
            if next > last {
                return Ok(batches);
            }
        }
    }

    fn send_batch(
        &self,
        id: EffectId,
        lane: Lane,
        first: u64,
        floor: u64,
        records: Vec<Json>,
    ) -> Result<(), String> {
        let (edge, epoch) = (self.core.edge().clone(), self.core.epoch().clone());
        let topic = Topic::Edge(edge.clone(), EdgeTopic::Journal(lane.number()));
        let batch = Batch { v: 1, edge, epoch, lane, first, floor, records };
        let payload = serde_json::to_vec(&batch).map_err(|error| error.to_string())?;
        self.link.publish_numbered(&topic, payload, id.0).map_err(|error| error.to_string())
    }

    /// The broker has answered a batch; with the last one, the effect is done.
    fn batch_answered(&mut self, id: EffectId, refused: Option<String>) {
        let Some(left) = self.sending.get_mut(&id) else { return };
        *left -= 1;
        match (refused, *left) {
            (Some(error), _) => self.give_up(id, format!("the broker refused it: {error}")),
            (None, 0) => {
                self.sending.remove(&id);
                self.answered.push(Input::Done { id, outcome: Outcome::Done });
            }
            (None, _) => {}
        }
    }

    fn give_up(&mut self, id: EffectId, error: String) {
        self.sending.remove(&id);
        let outcome = Outcome::Failed(Failure::new(kind::JOURNAL_UNSENT, error));
        self.answered.push(Input::Done { id, outcome });
    }

    fn listen(&mut self, chunks: &[Digest], only: bool) {
        let wanted: BTreeSet<u8> = chunks.iter().map(Digest::first).collect();
        for first in wanted.difference(&self.listening.clone()) {
            self.subscribe(Topic::Blob(*first), true);
            self.listening.insert(*first);
        }
        if only {
            for first in self.listening.clone().difference(&wanted) {
                self.subscribe(Topic::Blob(*first), false);
                self.listening.remove(first);
            }
        }
    }

    fn subscribe(&self, topic: Topic, on: bool) {
        let filter = topic.to_string();
        let put = if on { self.link.subscribe(&filter) } else { self.link.unsubscribe(&filter) };
        if let Err(error) = put {
            tracing::warn!(filter, %error, "a subscription is dropped");
        }
    }
}

/// Says in the log what the core need not know.
fn heard(event: LinkEvent) -> Option<Input> {
    match event {
        LinkEvent::Answered { .. } => None,
        LinkEvent::Connected => {
            tracing::info!("connected");
            Some(Input::Connected)
        }
        LinkEvent::Disconnected { .. } => Some(Input::Disconnected),
        LinkEvent::Message(message) => {
            Some(Input::Message { topic: message.topic, payload: message.payload, sig: message.sig })
        }
        LinkEvent::Malformed { topic, error } => {
            tracing::warn!(topic, error, "a message is ignored");
            None
        }
        LinkEvent::Foreign { topic, .. } => {
            tracing::warn!(topic, "a message of no known form is ignored");
            None
        }
        LinkEvent::Refused { topic, error } => {
            tracing::warn!(topic, error, "the broker refused a message");
            None
        }
        LinkEvent::SubscriptionRefused { error } => {
            tracing::warn!(error, "the broker refused a subscription");
            None
        }
    }
}

async fn work(shelf: Shelf, mut jobs: mpsc::UnboundedReceiver<FileJob>) {
    while let Some(FileJob { answer, act }) = jobs.recv().await {
        let shelf = shelf.clone();
        match tokio::task::spawn_blocking(move || carry_out(&shelf, act)).await {
            Ok(outcome) => answer.give(outcome).await,
            Err(error) => tracing::error!(%error, "work on files panicked"),
        }
    }
}

fn carry_out(shelf: &Shelf, act: Act) -> Outcome {
    let done = match act {
        Act::Look(artifact) => shelf.look(&artifact).map(Outcome::Missing),
        Act::ReadScript(files) => {
            let read = read_script(shelf, &files).map_err(unreadable);
            return read.map_or_else(Outcome::Failed, |files| Outcome::Script(Box::new(files)));
        }
        Act::StoreChunk(artifact, chunk, bytes) => {
            shelf.store_chunk(&artifact, chunk, &bytes).map(|()| Outcome::Done)
        }
        Act::Delete(digest) => shelf.delete(digest).map(|()| Outcome::Done),
        Act::Sweep(keep) => shelf.sweep(&keep).map(|()| Outcome::Done),
        _ => Ok(Outcome::Done),
    };
    done.unwrap_or_else(|error| Outcome::Failed(Failure::new(kind::STORAGE_BROKEN, error.to_string())))
}

fn read_script(shelf: &Shelf, [definition, events, text]: &[Artifact; 3]) -> Result<ScriptFiles, ShelfError> {
    Ok(ScriptFiles {
        definition: shelf.read(definition)?,
        events: shelf.read(events)?,
        text: shelf.read(text)?,
    })
}
