//! The driver loop: inputs in, the core's word, a commit, effects out.
//!
//! ```text
//! broker ─ LinkEvent ─┐                       ┌─▶ broker: publishes, chunks from the shelf
//! HTTP ─── Ask ───────┼─▶ Core::handle ─▶ disk┼─▶ HTTP: replies
//! store ── done ──────┤                       ├─▶ store: appends
//! time ───────────────┘                       └─▶ log
//! ```
//!
//! What is to be persisted is on disk before the effects, and what needs no disk does not wait for it. The loop never
//! waits for the disk either: what is decided while a commit is under way shares the next ([`Waiting`]). A disk that
//! takes nothing costs the person who asked for a decision, who is told so, and nobody else: batches are not
//! acknowledged, so their edges keep them, and rows go with a later commit.

mod log;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use center_core::{Answer, Chunk, Core, Effect, Held, Input, Journaled, OFFLINE, Refusal, RequestId, Write};
use flotilla_link::{Delivery, Link, LinkConfig, LinkEvent, PublishError};
use flotilla_machine::Clock;
use flotilla_schemas::topic::{CenterTopic, Tree};
use flotilla_schemas::{CenterId, Topic};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::desk::Ask;
use crate::shelf::Shelf;
use crate::store::{Store, StoreError};
use crate::views::Views;
use waiting::{Turn, Waiting};

/// The most appends under way; while there are so many, nothing more is read from the broker.
const APPENDS_MAX: usize = 256;

/// How long rows that could not be stored wait until they are tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The longest sleep of a loop that has nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// What a driver is made from.
pub(crate) struct Driver {
    pub config: center_core::Config,
    pub link: LinkConfig,
    pub store: Store,
    pub shelf: Arc<Shelf>,
    pub views: Arc<Views>,
    pub asks: mpsc::Receiver<Ask>,
    pub stop: oneshot::Receiver<()>,
}

impl Driver {
    /// Begins with what is on disk.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn begin(self) -> Result<impl Future<Output = ()> + Send + 'static, StoreError> {
        let clock = Clock::start();
        let (rows, center) = (self.store.rows()?, self.config.center.clone());
        let core = Core::from_records(self.config, rows, clock.now());
        self.views.refresh(&core, &core.edge_ids().cloned().collect());
        let (done, dones) = mpsc::unbounded_channel();
        Ok(async move {
            let (link, events) = Link::start(self.link);
            let (store, shelf, views) = (self.store, self.shelf, self.views);
            let mut hands = Hands {
                core,
                clock,
                link: link.clone(),
                store,
                shelf,
                views,
                done,
                appending: 0,
                waiting: Waiting::default(),
                try_again_at: None,
                requests: BTreeMap::new(),
                asked: 0,
                unsent: 0,
            };
            hands.work(events, dones, self.asks, self.stop).await;
            hands.leave(&center);
            link.stop().await;
        })
    }
}

/// What the store has done.
enum Done {
    Appended(Box<Journaled>, Result<Held, StoreError>),
    Committed(Vec<Write>, Result<(), StoreError>),
}

/// The core and what it acts through.
struct Hands {
    core: Core,
    clock: Clock,
    link: Link,
    store: Store,
    shelf: Arc<Shelf>,
    views: Arc<Views>,
    /// At most [`APPENDS_MAX`] appends and one commit are under way.
    done: mpsc::UnboundedSender<Done>,
    appending: usize,
    waiting: Waiting,
    try_again_at: Option<tokio::time::Instant>,
    requests: BTreeMap<RequestId, oneshot::Sender<Result<Answer, Refusal>>>,
    asked: RequestId,
    /// Messages that could not be sent since the log was told.
    unsent: u64,
}

impl Hands {
    /// Works until it is told to stop, or whoever could tell it is gone; then what was decided is on disk.
    async fn work(
        &mut self,
        mut events: mpsc::Receiver<LinkEvent>,
        mut dones: mpsc::UnboundedReceiver<Done>,
        mut asks: mpsc::Receiver<Ask>,
        mut stop: oneshot::Receiver<()>,
    ) {
        loop {
            let wake = self.wake_at();
            tokio::select! {
                _ = &mut stop => break,
                Some(done) = dones.recv() => self.done(done),
                Some(event) = events.recv(), if self.appending < APPENDS_MAX => self.heard(event),
                Some(ask) = asks.recv(), if !self.waiting.decides() => self.asked(ask),
                () = tokio::time::sleep_until(wake) => self.wake(),
            }
            self.go_on();
        }
        while !self.waiting.is_idle()
            && let Some(done) = dones.recv().await
        {
            self.done(done);
            self.go_on();
        }
    }

    fn wake_at(&self) -> tokio::time::Instant {
        let core = self.core.wake_at().map(|mono_ms| self.clock.at(mono_ms).into());
        let wakes = [core, self.try_again_at].into_iter().flatten().min();
        wakes.unwrap_or_else(|| tokio::time::Instant::now() + IDLE)
    }

    fn wake(&mut self) {
        if self.try_again_at.take_if(|at| *at <= tokio::time::Instant::now()).is_some() {
            self.waiting.try_again();
        }
        self.step(Input::Tick);
    }

    fn heard(&mut self, event: LinkEvent) {
        if let LinkEvent::Refused { topic, .. } = &event
            && let Ok((_, topic)) = Tree::locate(topic)
        {
            self.core.unsent(&topic);
        }
        if let Some(input) = log::heard(event) {
            self.step(input);
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Look(look) => look(&self.core),
            Ask::Request(request, answer) => {
                self.asked += 1;
                self.requests.insert(self.asked, answer);
                self.step(Input::Request { id: self.asked, request });
            }
        }
    }

    /// A batch that is not on disk is not acknowledged: its edge keeps it and sends it again.
    fn done(&mut self, done: Done) {
        match done {
            Done::Appended(journaled, held) => {
                self.appending -= 1;
                match held {
                    Ok(held) => self.step(Input::Appended { journaled, held }),
                    Err(error) => {
                        let batch = &journaled.batch;
                        error!(edge_id = %batch.edge, lane = batch.lane.number(), first = batch.first, %error, "records not stored");
                    }
                }
            }
            Done::Committed(writes, result) => {
                if let Err(error) = &result {
                    error!(%error, "rows not stored");
                }
                let turn = self.waiting.committed(writes, result.is_ok());
                turn.into_iter().for_each(|turn| self.take(turn));
                let again = || tokio::time::Instant::now() + TRY_AGAIN;
                self.try_again_at = self.waiting.is_unsaved().then(again);
            }
        }
    }

    fn step(&mut self, input: Input) {
        let mut step = self.core.handle(input, self.clock.now());
        self.views.refresh(&self.core, &step.touched);
        step.at_once.drain(..).for_each(|effect| self.carry_out(effect));
        self.waiting.add(step);
    }

    /// Does whatever does not have to wait any more.
    fn go_on(&mut self) {
        while let Some(turn) = self.waiting.next() {
            self.take(turn);
        }
        let unsent = std::mem::take(&mut self.unsent);
        if unsent > 0 {
            warn!(unsent, "messages not sent: the queue to the broker is full");
        }
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Commit(writes) => self.commit(writes),
            Turn::CarryOut(effects) => effects.into_iter().for_each(|effect| self.carry_out(effect)),
            Turn::Refuse(effects) => self.refuse(effects),
        }
    }

    fn commit(&mut self, writes: Vec<Write>) {
        let done = self.done.clone();
        // The driver may have stopped meanwhile.
        self.store.commit(writes, move |writes, result| _ = done.send(Done::Committed(writes, result)));
    }

    fn append(&mut self, journaled: Box<Journaled>) {
        self.appending += 1;
        let done = self.done.clone();
        self.store.append(journaled, move |journaled, held| _ = done.send(Done::Appended(journaled, held)));
    }

    /// What was decided does not hold: nobody hears of it but whoever asked.
    fn refuse(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { id, .. } => _ = self.requests.remove(&id),
                Effect::Publish { topic, retain: true, .. } => self.core.unsent(&topic),
                Effect::Publish { .. } | Effect::SendChunks(_) | Effect::Append(_) | Effect::Note(_) => {}
            }
        }
        let step = self.core.unstored(self.clock.now());
        self.waiting.add(step);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Publish { topic, payload, retain } => self.publish(topic, payload, retain),
            Effect::SendChunks(chunks) => self.send_chunks(chunks),
            Effect::Append(journaled) => self.append(journaled),
            Effect::Reply { id, answer } => {
                // Whoever asked may have gone away meanwhile.
                _ = self.requests.remove(&id).map(|asked| asked.send(answer));
            }
            Effect::Note(note) => log::write(&note),
        }
    }

    /// What is not retained is asked for again; what is goes out again later.
    fn publish(&mut self, topic: Topic, payload: Vec<u8>, retain: bool) {
        let delivery = if retain { Delivery::State } else { Delivery::Message };
        match self.link.publish(&topic, payload, delivery) {
            Ok(()) => return,
            Err(PublishError::Full) => self.unsent += 1,
            Err(error) => warn!(%topic, %error, "message not sent"),
        }
        if retain {
            self.core.unsent(&topic);
        }
    }

    fn send_chunks(&self, chunks: Vec<Chunk>) {
        let (shelf, link) = (self.shelf.clone(), self.link.clone());
        tokio::task::spawn_blocking(move || {
            for chunk in chunks {
                // An edge asks again for what does not come.
                match shelf.chunk(&chunk) {
                    Ok(bytes) => {
                        let topic = Topic::Blob(chunk.digest.first());
                        if let Err(error) = link.publish(&topic, bytes, Delivery::Message) {
                            warn!(%topic, %error, "chunk not sent");
                        }
                    }
                    Err(error) => error!(%error, "chunk not sent: publish the release again"),
                }
            }
        });
    }

    /// Says good-bye: a link that is stopped publishes no will.
    fn leave(&self, center: &CenterId) {
        let avail = Topic::Center(center.clone(), CenterTopic::Avail);
        // If the queue is full, the status grows old instead.
        let _ = self.link.publish(&avail, OFFLINE.to_vec(), Delivery::State);
    }
}
