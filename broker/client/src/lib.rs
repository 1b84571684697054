//! The link of an agent to its MQTT broker; the only user of rumqttc.
//!
//! A link connects, and connects again with growing, jittered pauses, for as long as it lives. On each ConnAck it
//! subscribes again and sends what the broker had not acknowledged. It signs what is signed. Its owner speaks of
//! topics; the link alone puts them into the fleet's tree and takes them out of it. An acknowledgement by
//! the broker frees the link's own queue and means nothing more: what must not be lost, its owner keeps.
//!
//! ```text
//! owner ── publish, subscribe ──▶ queue ──▶ session task ──▶ rumqttc ──▶ broker
//! owner ◀────── LinkEvent ─────────────────────┘  ◀── poll task ──┘
//! ```

mod entry;
mod outgoing;
mod session;
mod url;

use std::sync::{Arc, Mutex, PoisonError};

use flotilla_schemas::sign::{SecretKey, Signature};
use flotilla_schemas::topic::Tree;
use flotilla_schemas::{FleetId, Topic};
use tokio::sync::{Notify, mpsc, oneshot};

pub use entry::{Broker, Entry, EntryError};
use outgoing::{Outgoing, Queue, Request};
pub use outgoing::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
pub use url::{BrokerUrl, UrlError};

/// The largest payload that a link sends, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1020 * 1024;

/// The largest packet that a link takes from the broker, in bytes.
pub const PACKET_BYTES_MAX: u32 = 1024 * 1024;

/// Events that wait for the owner; when they are this many, the link reads no further from the broker.
const EVENTS_MAX: usize = 1024;

/// What a link is made from.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The broker.
    pub broker: Broker,
    /// Whose topics it speaks of.
    pub fleet: FleetId,
    /// Who it is among the clients of its fleet: `edge-e1`, `center-c1`. The MQTT client id, and the name of its user,
    /// is that with the fleet's ([`FleetId::qualify`]).
    pub client: String,
    /// What the broker publishes, retained, when the link is lost.
    pub will: Option<(Topic, Vec<u8>)>,
    /// What is subscribed to on each ConnAck, at QoS 1, below the fleet's tree.
    pub filters: Vec<String>,
    /// What is subscribed to besides, outside of the tree.
    pub foreign: Vec<String>,
    /// What signs the messages of signed topics; without it nothing is signed.
    pub signer: Option<SecretKey>,
}

/// How a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Retained, QoS 1. While it waits, a later one for the same topic takes its place.
    State,
    /// QoS 1.
    Message,
    /// QoS 0: lost with the connection.
    Reading,
}

/// What a link tells its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// The broker has taken the connection, and the subscriptions are on their way.
    Connected,
    /// The connection is gone; the link goes on trying.
    Disconnected {
        /// Why.
        error: String,
    },
    /// A message on a topic of the fleet. Its signature is not verified yet.
    Message(Message),
    /// A message on a topic that is none of the fleet: who subscribes outside of it gets these.
    Foreign {
        /// Where.
        topic: String,
        /// What.
        payload: Vec<u8>,
    },
    /// A message with an unreadable signature.
    Malformed {
        /// The topic, shortened.
        topic: String,
        /// What is wrong.
        error: String,
    },
    /// The broker answered a publish that [was numbered](Link::publish_numbered).
    Answered {
        /// Its number.
        number: u64,
        /// Why the broker refused it; none if it took it.
        refused: Option<String>,
    },
    /// The broker refused a publish.
    Refused {
        /// The topic.
        topic: String,
        /// The broker's reason.
        error: String,
    },
    /// The broker refused a subscription.
    SubscriptionRefused {
        /// The broker's reason.
        error: String,
    },
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where.
    pub topic: Topic,
    /// What.
    pub payload: Vec<u8>,
    /// Who says to have signed it.
    pub sig: Option<Signature>,
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// Why a message was not taken for sending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The queue is full; the owner sends again later, or gives up.
    #[error("the queue to the broker is full ({QUEUE_MESSAGES_MAX} messages or {QUEUE_BYTES_MAX} bytes)")]
    Full,
    /// No broker of the fleet would take it.
    #[error("{topic}: a payload of {bytes} bytes is larger than {PAYLOAD_BYTES_MAX}")]
    TooLarge {
        /// The topic.
        topic: String,
        /// The payload's size.
        bytes: usize,
    },
}

/// A link; cheap to clone. It ends with [`Link::stop`], or when the receiver of its events is dropped.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    signer: Option<SecretKey>,
}

struct Shared {
    tree: Tree,
    queue: Mutex<Queue>,
    /// Something was put into the queue.
    queued: Notify,
    stop: Mutex<Option<oneshot::Sender<oneshot::Sender<()>>>>,
}

impl Shared {
    fn queue<R>(&self, act: impl FnOnce(&mut Queue) -> R) -> R {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Link {
    /// Starts a link on the current tokio runtime. Returns at once: whether the broker can be reached is an event.
    pub fn start(config: LinkConfig) -> (Link, mpsc::Receiver<LinkEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let (stop, stopped) = oneshot::channel();
        let tree = Tree::of(config.fleet.clone());
        let filters = config.filters.iter().map(|filter| tree.filter(filter)).chain(config.foreign.clone());
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(filters.collect())),
            tree,
            queued: Notify::new(),
            stop: Mutex::new(Some(stop)),
        });
        let signer = config.signer.clone();
        tokio::spawn(session::run(config, shared.clone(), events, stopped));
        (Link { shared, signer }, receiver)
    }

    /// Puts a message into the queue, signed if its topic is.
    pub fn publish(&self, topic: &Topic, payload: Vec<u8>, delivery: Delivery) -> Result<(), PublishError> {
        self.put_message(topic, payload, delivery, None)
    }

    /// The same at QoS 1, and [`LinkEvent::Answered`] says what the broker answered, with this number of the owner's.
    /// Over lost connections it is sent again until the broker answers.
    pub fn publish_numbered(&self, topic: &Topic, payload: Vec<u8>, number: u64) -> Result<(), PublishError> {
        self.put_message(topic, payload, Delivery::Message, Some(number))
    }

    fn put_message(
        &self,
        topic: &Topic,
        payload: Vec<u8>,
        delivery: Delivery,
        number: Option<u64>,
    ) -> Result<(), PublishError> {
        let text = self.shared.tree.text(topic);
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(PublishError::TooLarge { topic: text, bytes: payload.len() });
        }
        let signer = self.signer.as_ref().filter(|_| topic.is_signed() && !payload.is_empty());
        let sig = signer.map(|key| key.sign(&text, &payload).to_string());
        self.put(Request::Publish(Outgoing { topic: text, payload: payload.into(), sig, delivery, number }))
    }

    /// Puts a message for a topic that is none of the fleet into the queue; it is not signed.
    pub fn publish_foreign(
        &self,
        topic: &str,
        payload: Vec<u8>,
        delivery: Delivery,
    ) -> Result<(), PublishError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(PublishError::TooLarge { topic: topic.to_owned(), bytes: payload.len() });
        }
        let (topic, payload) = (topic.to_owned(), payload.into());
        self.put(Request::Publish(Outgoing { topic, payload, sig: None, delivery, number: None }))
    }

    /// Subscribes to a filter below the fleet's tree, now and after each reconnection.
    pub fn subscribe(&self, filter: &str) -> Result<(), PublishError> {
        self.put(Request::Subscribe(self.shared.tree.filter(filter)))
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, filter: &str) -> Result<(), PublishError> {
        self.put(Request::Unsubscribe(self.shared.tree.filter(filter)))
    }

    fn put(&self, request: Request) -> Result<(), PublishError> {
        if !self.shared.queue(|queue| queue.put(request)) {
            return Err(PublishError::Full);
        }
        self.shared.queued.notify_one();
        Ok(())
    }

    /// Sends what is queued, waits for its acknowledgement (two seconds at most), disconnects and ends. The will is
    /// not published. Stopping twice is stopping once.
    pub async fn stop(&self) {
        let stop = self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (done, finished) = oneshot::channel();
        if stop.is_some_and(|stop| stop.send(done).is_ok()) {
            // The session task drops the sender when it ends, whatever way.
            let _ = finished.await;
        }
    }
}
