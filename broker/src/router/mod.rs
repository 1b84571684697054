//! rumqttd's router, and the one link through which all messages pass it.
//!
//! A message goes in as an opaque payload on a constant topic and comes out in the order of all messages; who gets it
//! is decided in [`crate::subscribers`]. So nothing that a client chooses reaches the router: there is nothing it
//! could choke on, and nothing that grows with topics or clients. Invariants:
//! - what has gone in stays in [`Flow`] until it has come out: a router that dies loses nothing, and one that lags has
//!   at most about [`ROUTER_BYTES`] before it, as whoever publishes waits while it is full;
//! - an event is sent to the router only when its buffer was empty, so there are never enough to block on.
//!
//! A router that dies, or has carried as much as one may, is replaced within milliseconds. Nobody notices but a pause.

mod flow;

use std::sync::Arc;
use std::time::Duration;

use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{Filter, Packet, QoS, RetainForwardRule, Subscribe};
use tokio::task::{AbortHandle, yield_now};

use crate::meters::Meters;
pub(crate) use flow::{Flow, Stamped};
use flow::{ROUTER_BYTES, TOPIC};

/// The router's log: it holds more than is ever on its way, so it drops nothing that has not come out.
const SEGMENT_BYTES: usize = 256 << 10;
const SEGMENTS: usize = ROUTER_BYTES / SEGMENT_BYTES + 4;
/// Messages that the router hands over at a time.
const BATCH: u64 = 500;
/// Messages that are handed over before other tasks have their turn: as many as thousands of sessions publish in theirs.
const TURN: u64 = 2_048;
/// How long after a router that did not start the next is tried.
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// The router did not start.
#[derive(Debug, thiserror::Error)]
#[error("start the router: {0}")]
pub(crate) struct NotStarted(String);

/// Carries messages from those who publish to `deliver`. Dropping it ends that.
pub(crate) struct Router {
    pub(crate) flow: Arc<Flow>,
    carrier: AbortHandle,
}

impl Router {
    /// Starts the router's thread and the task that takes out what it carried. `messages_max` is how much one router
    /// carries before it is replaced.
    pub(crate) async fn start<D>(
        meters: Arc<Meters>,
        messages_max: u64,
        deliver: D,
    ) -> Result<Self, NotStarted>
    where
        D: FnMut(Stamped) + Send + 'static,
    {
        let flow = Arc::new(Flow::default());
        let rx = renew(&flow).await?;
        let carrier = Carrier { flow: Arc::clone(&flow), meters, messages_max, deliver };
        let carrier = tokio::spawn(carrier.run(rx)).abort_handle();
        Ok(Self { flow, carrier })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

struct Carrier<D> {
    flow: Arc<Flow>,
    meters: Arc<Meters>,
    messages_max: u64,
    deliver: D,
}

/// Why a router's time is over.
enum Over {
    Died,
    Spent,
}

impl<D: FnMut(Stamped)> Carrier<D> {
    async fn run(mut self, mut rx: LinkRx) {
        loop {
            let replaced = match self.carry(&mut rx).await {
                Over::Died => {
                    tracing::error!("the router has died and is replaced; nothing is lost");
                    &self.meters.router_deaths
                }
                Over::Spent => {
                    tracing::info!(
                        messages = self.messages_max,
                        "the router has carried its share and is replaced"
                    );
                    // Its thread ends by nothing else.
                    self.flow.kill();
                    &self.meters.router_renewals
                }
            };
            rx = loop {
                match renew(&self.flow).await {
                    Ok(rx) => break rx,
                    Err(error) => {
                        tracing::error!(%error, "no router: messages wait");
                        tokio::time::sleep(RESTART_WAIT).await;
                    }
                }
            };
            replaced.add(1);
        }
    }

    /// Hands over what comes out of one router, in order and without a gap.
    async fn carry(&mut self, rx: &mut LinkRx) -> Over {
        let mut carried = 0;
        while carried < self.messages_max {
            match rx.next().await {
                Ok(Some(Notification::Forward(forward))) => {
                    let position = forward.cursor.map_or(0, |(_, offset)| offset);
                    self.flow.came_out(position, forward.publish.payload, &mut self.deliver);
                    carried = position + 1;
                }
                // It has handed over as much as it does at a time and waits to be called.
                Ok(Some(Notification::Unschedule)) if rx.ready().is_err() => return Over::Died,
                Ok(Some(Notification::Disconnect(..))) | Err(_) => return Over::Died,
                Ok(_) => {}
            }
            if carried % TURN == 0 {
                yield_now().await;
            }
        }
        Over::Spent
    }
}

/// Starts a router and puts into it what has not come out of the one before.
async fn renew(flow: &Flow) -> Result<LinkRx, NotStarted> {
    // It blocks until the router's thread answers.
    let started = tokio::task::spawn_blocking(start_router).await;
    let (tx, rx) = started.map_err(|error| NotStarted(error.to_string()))??;
    flow.renew(tx);
    Ok(rx)
}

fn start_router() -> Result<(LinkTx, LinkRx), NotStarted> {
    let router = rumqttd::RouterConfig {
        max_connections: 1,
        max_outgoing_packet_count: BATCH,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..rumqttd::RouterConfig::default()
    };
    let broker = rumqttd::Broker::new(rumqttd::Config { router, ..rumqttd::Config::default() });
    let (mut tx, rx) = broker.link("link").map_err(|error| NotStarted(error.to_string()))?;
    let filter = Filter {
        path: TOPIC.into(),
        qos: QoS::AtMostOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::Never,
    };
    let subscribe = Packet::Subscribe(Subscribe { pkid: 1, filters: vec![filter] }, None);
    flow::send(&mut tx, subscribe).map_err(|error| NotStarted(error.to_string()))?;
    Ok((tx, rx))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;
    use crate::lock::lock;
    use crate::message::sample;

    type Got = (Mutex<Vec<(u64, String)>>, Notify);

    /// A router whose messages are kept with their numbers.
    struct Lab {
        router: Router,
        meters: Arc<Meters>,
        got: Arc<Got>,
    }

    impl Lab {
        async fn start(messages_max: u64) -> Self {
            let got = Arc::<Got>::default();
            let meters = Arc::<Meters>::default();
            let deliver = {
                let got = Arc::clone(&got);
                move |stamped: Stamped| {
                    lock(&got.0).push((stamped.number, stamped.message.topic().to_owned()));
                    got.1.notify_one();
                }
            };
            let router = Router::start(Arc::clone(&meters), messages_max, deliver).await.unwrap();
            Self { router, meters, got }
        }

        fn publish(&self, range: std::ops::Range<u64>) {
            for i in range {
                self.router.flow.publish(sample(&i.to_string(), ""));
            }
        }

        /// All of so many, each once and in order.
        async fn expect(&self, count: u64) {
            let wait = async {
                while (lock(&self.got.0).len() as u64) < count {
                    self.got.1.notified().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), wait).await.expect("all came out");
            let expected: Vec<_> = (0..count).map(|i| (i, i.to_string())).collect();
            assert!(*lock(&self.got.0) == expected);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn messages_come_out_in_order_numbered_without_a_gap() {
        let lab = Lab::start(u64::MAX).await;
        lab.publish(0..20_000);
        lab.expect(20_000).await;
        assert!(lab.router.flow.has_room());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_router_that_dies_again_and_again_loses_nothing_and_is_counted() {
        let lab = Lab::start(u64::MAX).await;
        for round in 0..20 {
            lab.publish(round * 500..round * 500 + 250);
            lab.router.flow.kill();
            lab.publish(round * 500 + 250..round * 500 + 500);
            lab.expect(round * 500 + 500).await;
        }
        assert_eq!((lab.meters.router_deaths.get(), lab.meters.router_renewals.get()), (20, 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_router_that_carried_its_share_is_replaced_without_a_loss() {
        let lab = Lab::start(1_000).await;
        lab.publish(0..10_500);
        lab.expect(10_500).await;
        assert_eq!((lab.meters.router_deaths.get(), lab.meters.router_renewals.get()), (0, 10));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_waits_for_room_is_woken_once_half_has_come_out() {
        let lab = Lab::start(u64::MAX).await;
        let flow = &lab.router.flow;
        let long = "x".repeat(ROUTER_BYTES / 4);
        for i in 0..5 {
            flow.publish(sample(&i.to_string(), &long));
        }
        let mut asked = None;
        let room = std::future::poll_fn(|cx| flow.poll_room(cx, &mut asked));
        tokio::time::timeout(Duration::from_secs(10), room).await.expect("there is room again");
        assert!(flow.has_room());
        lab.expect(5).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_than_the_router_keeps_is_not_lost_either() {
        let lab = Lab::start(u64::MAX).await;
        let long = "x".repeat(ROUTER_BYTES / 20);
        for i in 0..500 {
            lab.router.flow.publish(sample(&i.to_string(), &long));
        }
        lab.expect(500).await;
    }
}
