//! A link as its owner holds it: what it takes for sending, and its end.

use std::sync::{Arc, Mutex, PoisonError};

use flotilla_schemas::Topic;
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::topic::Tree;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::config::LinkConfig;
use crate::event::LinkEvent;
use crate::outgoing::{Delivery, Outgoing, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX, Queue, Request};
use crate::session;
use crate::shared::Shared;

/// The largest payload that a link sends, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1020 * 1024;

/// Events that wait for the owner; when they are this many, the link reads no further from the broker.
const EVENTS_MAX: usize = 1024;

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
