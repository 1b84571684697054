//! rumqttd's router, and one link to it for each session.
//!
//! It matches topics and queues messages, and is asked for nothing else: everything passes through it at QoS 0, and
//! acknowledgements, retained messages and wills are ours. Invariants that keep its thread alive:
//! - a link is named by its slot, never by a client, and a slot is used again only after its link was closed: names
//!   are few, sane and never doubled;
//! - nothing follows the DISCONNECT of a link: dropping a [`Link`] sends it, and takes both ends with it;
//! - topics and filters were checked before they come here, and there is a bound on how many there ever are, since
//!   the router forgets none.

mod link;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use rumqttd::RouterConfig;
use tokio::sync::{oneshot, watch};

use crate::limits::Limits;
use crate::lock::lock;
pub(crate) use link::Link;

/// Messages that the router hands to a link at a time.
const BATCH: u64 = 200;
/// What the router keeps of each filter's messages for links that are behind: this many segments of this many bytes.
const SEGMENTS: usize = 16;
const SEGMENT_BYTES: usize = 1 << 20;
/// The same for the filters of one edge, of which there are as many as edges.
const EDGE_SEGMENTS: usize = 8;
const EDGE_SEGMENT_BYTES: usize = 64 << 10;
/// When a link that has just been closed is the router's next in turn, the router sleeps until the next event, with
/// all others waiting. An event at least this often bounds that.
const NUDGE_EVERY: Duration = Duration::from_millis(100);

/// The router's thread is gone; only a new process mends that.
#[derive(Debug, thiserror::Error)]
#[error("pass on messages: the router has died")]
pub(crate) struct Died;

/// Starts the router and makes links to it.
pub(crate) struct Router {
    opener: mpsc::Sender<oneshot::Sender<Result<Link, Died>>>,
    topics: Known<Bytes>,
    filters: Known<String>,
    died: watch::Sender<bool>,
}

impl Router {
    /// Starts the router's thread, which ends with the process, and a watch over it.
    pub(crate) async fn start(limits: &Limits) -> Result<Arc<Self>, Died> {
        let config = rumqttd::Config { router: router_config(limits), ..rumqttd::Config::default() };
        let broker = rumqttd::Broker::new(config);
        let (opener, requests) = mpsc::channel();
        std::thread::spawn(move || open_links(&broker, &requests));
        let router = Arc::new(Self {
            opener,
            topics: Known::new(limits.topics),
            filters: Known::new(limits.filters),
            died: watch::Sender::new(false),
        });
        tokio::spawn(watch_over(router.link().await?, router.died.clone()));
        Ok(router)
    }

    /// Opens a link.
    pub(crate) async fn link(&self) -> Result<Link, Died> {
        let (answer, link) = oneshot::channel();
        self.opener.send(answer).map_err(|_| Died)?;
        tokio::select! {
            biased;
            () = self.died() => Err(Died),
            link = link => link.unwrap_or(Err(Died)),
        }
    }

    /// Resolves when the router's thread is gone.
    pub(crate) fn died(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut died = self.died.subscribe();
        async move {
            let _ = died.wait_for(|died| *died).await;
        }
    }

    /// Whether a message may be published to this topic: false if it is new and there are too many already.
    pub(crate) fn admits_topic(&self, topic: &Bytes) -> bool {
        self.topics.admit(topic)
    }

    /// Whether this filter may be subscribed to; as for topics.
    pub(crate) fn admits_filter(&self, filter: &String) -> bool {
        self.filters.admit(filter)
    }
}

/// Opening a link blocks until the router answers, and for ever if it dies meanwhile: so this has a thread of its own,
/// which nobody waits for.
fn open_links(broker: &rumqttd::Broker, requests: &mpsc::Receiver<oneshot::Sender<Result<Link, Died>>>) {
    let slots = Arc::new(Mutex::new(Slots::default()));
    for answer in requests {
        let slot = lock(&slots).take();
        let link = broker.link(&slot.to_string());
        let link = link.map(|(tx, rx)| Link { tx, rx, slot, slots: Arc::clone(&slots) });
        // Whoever does not want it any more drops it, which closes it.
        let _ = answer.send(link.map_err(|_| Died));
    }
}

fn router_config(limits: &Limits) -> RouterConfig {
    let edge =
        rumqttd::SegmentConfig { max_segment_size: EDGE_SEGMENT_BYTES, max_segment_count: EDGE_SEGMENTS };
    let edge_filters = ["fleet/v1/to/+/#", "fleet/v1/edge/+/#"];
    RouterConfig {
        // One more for the watch, and room for sessions that have been refused but not yet dropped.
        max_connections: limits.connections + limits.handshakes + 1,
        max_outgoing_packet_count: BATCH,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        custom_segment: Some(edge_filters.iter().map(|filter| (filter.to_string(), edge.clone())).collect()),
        ..RouterConfig::default()
    }
}

/// Notices the router's death, and keeps it awake.
async fn watch_over(mut link: Link, died: watch::Sender<bool>) {
    let mut nudge = tokio::time::interval(NUDGE_EVERY);
    nudge.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let alive = tokio::select! {
            passed = link.next() => passed.map(drop),
            _ = nudge.tick() => link.fence(),
        };
        if alive.is_err() {
            tracing::error!("the router has died");
            died.send_replace(true);
            return;
        }
    }
}

/// The numbers of links, the smallest first, so that there are never more names than links at a time.
#[derive(Default)]
struct Slots {
    free: Vec<usize>,
    used: usize,
}

impl Slots {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used
        })
    }
}

/// What the router has been told and will never forget.
struct Known<T> {
    items: Mutex<HashSet<T>>,
    max: usize,
}

impl<T: std::hash::Hash + Eq + Clone> Known<T> {
    fn new(max: usize) -> Self {
        Self { items: Mutex::default(), max }
    }

    fn admit(&self, item: &T) -> bool {
        let mut items = lock(&self.items);
        if items.contains(item) {
            return true;
        }
        items.len() < self.max && items.insert(item.clone())
    }
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet, QoS};

    use super::*;
    use crate::message::{Delivery, Message};

    impl Link {
        async fn delivery(&mut self) -> Delivery {
            loop {
                if let Some(delivery) = self.next().await.unwrap() {
                    return delivery;
                }
            }
        }
    }

    fn message(topic: &'static str) -> Message {
        Message {
            topic: Bytes::from_static(topic.as_bytes()),
            payload: Bytes::new(),
            properties: None,
            qos: QoS::AtLeastOnce,
            retain: false,
            publisher: 1,
        }
    }

    #[tokio::test]
    async fn a_message_reaches_each_subscription_that_matches_by_its_number() {
        let router = Router::start(&Limits::default()).await.unwrap();
        let mut link = router.link().await.unwrap();
        link.subscribe("a/+".into(), 1).unwrap();
        link.subscribe("#".into(), 2).unwrap();
        link.publish(message("a/b")).unwrap();
        link.publish(message("c")).unwrap();
        let mut got = Vec::new();
        for _ in 0..3 {
            let delivery = link.delivery().await;
            got.push((delivery.message.topic().to_owned(), delivery.subscription));
        }
        got.sort();
        assert_eq!(got, [("a/b".to_owned(), 1), ("a/b".to_owned(), 2), ("c".to_owned(), 2)]);
    }

    #[tokio::test]
    async fn more_than_the_router_hands_over_at_a_time_arrives_in_order_without_a_gap() {
        let router = Router::start(&Limits::default()).await.unwrap();
        let mut link = router.link().await.unwrap();
        let mut other = router.link().await.unwrap();
        link.subscribe("a".into(), 1).unwrap();
        link.publish(message("a")).unwrap();
        let first = link.delivery().await.offset;
        for _ in 0..5_000 {
            other.publish(message("a")).unwrap();
        }
        for i in 1..=5_000 {
            assert_eq!(link.delivery().await.offset, first + i);
        }
    }

    #[tokio::test]
    async fn behind_a_fence_a_subscription_holds_and_another_link_overtakes_nothing() {
        let router = Router::start(&Limits::default()).await.unwrap();
        let mut other = router.link().await.unwrap();
        for _ in 0..2_000 {
            let mut link = router.link().await.unwrap();
            // An event of the other is under way, in whose turn the router would take what follows.
            other.publish(message("x")).unwrap();
            link.subscribe("a".into(), 1).unwrap();
            link.fence().unwrap();
            assert!(matches!(link.next().await, Ok(None)));
            other.publish(message("a")).unwrap();
            link.fence().unwrap();
            assert_eq!(link.delivery().await.message.topic(), "a");
        }
    }

    #[tokio::test]
    async fn links_that_close_while_they_are_busy_leave_the_router_alive_and_their_names_free() {
        let router = Router::start(&Limits::default()).await.unwrap();
        let mut bystander = router.link().await.unwrap();
        bystander.subscribe("b".into(), 1).unwrap();
        for _ in 0..100 {
            let mut link = router.link().await.unwrap();
            link.subscribe("#".into(), 1).unwrap();
            for _ in 0..500 {
                link.publish(message("a")).unwrap();
            }
            assert!(link.slot <= 3);
            drop(link);
            bystander.publish(message("b")).unwrap();
            assert_eq!(bystander.delivery().await.message.topic(), "b");
        }
    }

    #[tokio::test]
    async fn the_death_of_the_router_is_noticed_without_traffic() {
        let router = Router::start(&Limits::default()).await.unwrap();
        let mut link = router.link().await.unwrap();
        let died = router.died();
        link.send(Packet::Disconnect(
            Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection },
            None,
        ))
        .unwrap();
        // What no session ever does.
        link.rx.ready().unwrap();
        died.await;
        assert!(link.next().await.is_err());
        assert!(router.link().await.is_err());
    }

    #[test]
    fn beyond_the_limit_only_what_is_known_is_admitted() {
        let known = Known::new(2);
        assert!(known.admit(&1) && known.admit(&2));
        assert!(!known.admit(&3));
        assert!(known.admit(&1));
    }
}
