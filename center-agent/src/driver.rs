//! The driver loop: inputs in, the core's word, a commit, effects out.
//!
//! ```text
//! broker ─ LinkEvent ─┐                       ┌─▶ broker: publishes, chunks from the shelf
//! HTTP ─── Ask ───────┼─▶ Core::handle ─▶ disk┼─▶ HTTP: replies
//! store ── appended ──┤                       ├─▶ store: appends
//! time ───────────────┘                       └─▶ log
//! ```
//!
//! What is to be persisted is on disk before any effect. If it cannot be, the core is dropped, nothing of that step
//! is done, and another core is made from what is on disk: a full disk costs what was just asked for and nothing
//! else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use center_core::{
    Answer, Chunk, Config, Core, Effect, Held, Input, Note, OFFLINE, Refusal, RequestId, Step,
};
use flotilla_link::{Delivery, Link, LinkConfig, LinkEvent};
use flotilla_machine::Clock;
use flotilla_schemas::journal::Batch;
use flotilla_schemas::topic::{CenterTopic, Tree};
use flotilla_schemas::{CenterId, Topic};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::desk::Ask;
use crate::identity;
use crate::shelf::Shelf;
use crate::store::{Store, StoreError};

/// The most appends under way; while there are so many, nothing more is read from the broker.
const APPENDS_MAX: usize = 256;

/// How long the driver waits before it begins again with what is on disk.
const RESTART: Duration = Duration::from_secs(1);

/// What a driver is made from.
pub(crate) struct Driver {
    pub config: Config,
    pub link: LinkConfig,
    pub store: Store,
    pub shelf: Arc<Shelf>,
    pub asks: mpsc::Receiver<Ask>,
    pub stop: oneshot::Receiver<()>,
}

impl Driver {
    /// Runs until it is told to stop, or whoever could tell it is gone.
    pub async fn run(mut self) {
        let clock = Clock::start();
        loop {
            match self.shift(clock).await {
                Ok(()) => return,
                Err(error) => error!(%error, "the center begins again with what is on disk"),
            }
            tokio::select! {
                () = tokio::time::sleep(RESTART) => {}
                _ = &mut self.stop => return,
            }
        }
    }

    /// Runs one core for as long as what it decides can be stored.
    async fn shift(&mut self, clock: Clock) -> Result<(), StoreError> {
        let config = Config {
            session: identity::session().unwrap_or_else(|_| self.config.session.clone()),
            records: self.store.count()?,
            ..self.config.clone()
        };
        let core = Core::from_records(config, self.store.rows()?, clock.now());
        let (link, events) = Link::start(self.link.clone());
        let (appended, appends) = mpsc::channel(APPENDS_MAX);
        let mut shift = Shift {
            core,
            clock,
            link: link.clone(),
            store: self.store.clone(),
            shelf: self.shelf.clone(),
            appended,
            appending: 0,
            requests: BTreeMap::new(),
            asked: 0,
            wake_at: Some(0),
        };
        let ended = shift.run(events, appends, &mut self.asks, &mut self.stop).await;
        shift.leave(&self.config.center);
        link.stop().await;
        ended
    }
}

type Appended = (Batch, Result<Held, StoreError>);

/// One core and what it acts through.
struct Shift {
    core: Core,
    clock: Clock,
    link: Link,
    store: Store,
    shelf: Arc<Shelf>,
    appended: mpsc::Sender<Appended>,
    appending: usize,
    requests: BTreeMap<RequestId, oneshot::Sender<Result<Answer, Refusal>>>,
    asked: RequestId,
    wake_at: Option<u64>,
}

impl Shift {
    async fn run(
        &mut self,
        mut events: mpsc::Receiver<LinkEvent>,
        mut appends: mpsc::Receiver<Appended>,
        asks: &mut mpsc::Receiver<Ask>,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<(), StoreError> {
        loop {
            let wake = self.clock.at(self.wake_at.unwrap_or(u64::from(u32::MAX)));
            let input = tokio::select! {
                _ = &mut *stop => return Ok(()),
                Some(event) = events.recv(), if self.appending < APPENDS_MAX => self.heard(event),
                Some(appended) = appends.recv() => self.appended(appended),
                Some(ask) = asks.recv() => self.asked(ask),
                () = tokio::time::sleep_until(wake.into()) => Some(Input::Tick),
            };
            if let Some(input) = input {
                self.step(input).await?;
            }
        }
    }

    async fn step(&mut self, input: Input) -> Result<(), StoreError> {
        let Step { persist, effects, wake_at } = self.core.handle(input, self.clock.now());
        self.wake_at = wake_at;
        if !persist.is_empty() {
            self.store.commit(persist).await?;
        }
        effects.into_iter().for_each(|effect| self.carry_out(effect));
        Ok(())
    }

    fn heard(&mut self, event: LinkEvent) -> Option<Input> {
        if let LinkEvent::Refused { topic, .. } = &event
            && let Ok((_, topic)) = Tree::locate(topic)
        {
            self.unsent(&topic);
        }
        heard(event)
    }

    fn asked(&mut self, ask: Ask) -> Option<Input> {
        match ask {
            Ask::Look(look) => {
                look(&self.core);
                None
            }
            Ask::Request(request, answer) => {
                self.asked += 1;
                self.requests.insert(self.asked, answer);
                Some(Input::Request { id: self.asked, request })
            }
        }
    }

    /// A batch that is not on disk is not acknowledged: its edge keeps it and sends it again.
    fn appended(&mut self, (batch, held): Appended) -> Option<Input> {
        self.appending -= 1;
        match held {
            Ok(held) => Some(Input::Appended { batch, held }),
            Err(error) => {
                error!(edge_id = %batch.edge, lane = batch.lane.number(), first = batch.first, %error, "records not stored");
                None
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Publish { topic, payload, retain } => self.publish(topic, payload, retain),
            Effect::SendChunks(chunks) => self.send_chunks(chunks),
            Effect::Append(batch) => self.append(batch),
            Effect::Reply { id, answer } => {
                // Whoever asked may have gone away meanwhile.
                _ = self.requests.remove(&id).map(|asked| asked.send(answer));
            }
            Effect::Note(note) => write(&note),
        }
    }

    fn publish(&mut self, topic: Topic, payload: Vec<u8>, retain: bool) {
        let delivery = if retain { Delivery::State } else { Delivery::Message };
        let Err(error) = self.link.publish(&topic, payload, delivery) else { return };
        warn!(%topic, %error, "message not sent");
        if retain {
            self.unsent(&topic);
        }
    }

    /// What is to be retained and is not goes out again later.
    fn unsent(&mut self, topic: &Topic) {
        self.core.unsent(topic);
        self.wake_at = self.core.wake_at();
    }

    fn append(&mut self, batch: Batch) {
        let (store, appended) = (self.store.clone(), self.appended.clone());
        self.appending += 1;
        tokio::spawn(async move {
            let held = store.append(batch.clone()).await;
            // The shift may be over; the edge sends the batch again.
            let _ = appended.send((batch, held)).await;
        });
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

fn heard(event: LinkEvent) -> Option<Input> {
    match event {
        LinkEvent::Connected => {
            info!("connected to the broker");
            Some(Input::Connected)
        }
        LinkEvent::Disconnected { error } => {
            warn!(error, "no connection to the broker");
            Some(Input::Disconnected)
        }
        LinkEvent::Message(message) => {
            let flotilla_link::Message { topic, payload, sig, retained } = message;
            Some(Input::Message { topic, payload, sig, retained })
        }
        LinkEvent::Malformed { topic, error } => {
            warn!(topic, error, "message not believed");
            None
        }
        LinkEvent::Foreign { topic, .. } => {
            tracing::warn!(topic, "a message of no known form is ignored");
            None
        }
        // No publish is numbered here.
        LinkEvent::Answered { .. } => None,
        LinkEvent::Refused { topic, error } => {
            error!(topic, error, "the broker refuses what a center needs: look at its access rules");
            None
        }
        LinkEvent::SubscriptionRefused { error } => {
            error!(error, "the broker refuses a subscription that a center needs: look at its access rules");
            None
        }
    }
}

fn write(Note { warn: warns, message, edge, subject, error, left_out }: &Note) {
    let (subject, error) = (said(subject), said(error));
    let edge_id = edge.as_ref().map(|edge| edge.as_str());
    match warns {
        true => warn!(edge_id, subject, error, left_out, "{message}"),
        false => info!(edge_id, subject, "{message}"),
    }
}

/// What is empty is not in the line.
fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use center_core::Request;
    use flotilla_broker::Broker;
    use flotilla_link::{BrokerUrl, Entry};
    use flotilla_schemas::countermeasure::Countermeasures;
    use flotilla_schemas::fleet::{Center, Fleet};
    use flotilla_schemas::sign::SecretKey;

    use super::*;
    use crate::desk::{Desk, Gone};

    fn config(key: &SecretKey) -> Config {
        let center = CenterId::new("c1").unwrap();
        let centers = vec![Center { id: center.clone(), key: key.public() }];
        let (operators, publishers) = (Vec::new(), Vec::new());
        let fleet = "f".parse().unwrap();
        let fleet = Fleet { fleet, era: 1, durable: 1, centers, operators, publishers };
        Config { center, fleet, session: "s".parse().unwrap(), agent: "0".into(), records: 0 }
    }

    /// Asks until the center has heard its broker.
    async fn set_list(desk: &Desk) -> Result<u64, Gone> {
        loop {
            match desk.request(Request::SetCountermeasures(Countermeasures::default())).await? {
                Ok(Answer::Countermeasures(list)) => return Ok(list.version),
                Err(Refusal::Unswept) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_costs_what_was_asked_for_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let open = flotilla_broker::Config::open;
        let broker = open("127.0.0.1:0".parse().unwrap(), &folder.path().join("broker"));
        let broker = Broker::start(broker).await.unwrap();
        let key = SecretKey::from_seed("c1".parse().unwrap(), [1; 32]);
        let url: BrokerUrl = format!("mqtt://{}", broker.local_addrs()[0]).parse().unwrap();
        let link = LinkConfig {
            broker: Entry::from(url).open().unwrap(),
            fleet: "f".parse().unwrap(),
            client: "center-c1".into(),
            will: None,
            filters: center_core::filters(),
            foreign: Vec::new(),
            signer: Some(key.clone()),
        };
        let disk = flotilla_machine::testing::Disk::default();
        let store = Store::on_disk(folder.path(), &disk).unwrap();
        let shelf = Arc::new(Shelf::open(folder.path()).unwrap());
        let (desk, asks) = Desk::new();
        let (stop, stopped) = oneshot::channel();
        let driver = Driver { config: config(&key), link, store, shelf, asks, stop: stopped };
        let driver = tokio::spawn(driver.run());
        assert_eq!(set_list(&desk).await, Ok(1));
        disk.fill();
        assert_eq!(set_list(&desk).await, Err(Gone));
        disk.empty();
        assert_eq!(set_list(&desk).await, Ok(2), "what was refused has left nothing behind");
        stop.send(()).unwrap();
        driver.await.unwrap();
        broker.stop().await;
    }
}
