//! The tasks behind a link: one polls rumqttc, one connects, hands requests on and tells the owner.
//!
//! rumqttc stops when nobody polls it, and a publish that waits in the polling task deadlocks; so the polling has a
//! task of its own and requests go in by `try_…` alone. Each connection gets a new client: rumqttc forgets what was
//! under way when it reconnects, the queue does not.

use std::sync::Arc;
use std::time::Duration;

use flotilla_schemas::sign::{SIG_PROPERTY, Signature};
use flotilla_schemas::topic::Tree;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, LastWill, Packet, PubAckReason, Publish, PublishProperties};
use rumqttc::v5::mqttbytes::v5::{SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::config::LinkConfig;
use crate::event::{LinkEvent, Message};
use crate::outgoing::{Delivery, Outgoing, Request, UNACKED_MAX};
use crate::shared::Shared;

/// The largest packet that a link takes from the broker, in bytes.
pub const PACKET_BYTES_MAX: u32 = 1024 * 1024;

/// The first pause before connecting again; it doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest pause before connecting again.
const RETRY_LAST: Duration = Duration::from_secs(30);

/// A connection that held this long makes the next pause short again.
const STEADY: Duration = Duration::from_secs(5);

/// How often a silent connection is probed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long a stop waits for acknowledgements.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Requests that rumqttc holds for its poll; small, because it loses them with the connection.
const HANDED_MAX: usize = UNACKED_MAX;

type Polled = Result<Event, ConnectionError>;
type Stop = oneshot::Receiver<oneshot::Sender<()>>;

struct Connection {
    client: AsyncClient,
    polled: mpsc::Receiver<Polled>,
    task: JoinHandle<()>,
}

enum End {
    Lost(String),
    Stopped(oneshot::Sender<()>),
    Abandoned,
}

pub(crate) async fn run(
    config: LinkConfig,
    shared: Arc<Shared>,
    events: mpsc::Sender<LinkEvent>,
    mut stop: Stop,
) {
    let mut pause = RETRY_FIRST;
    loop {
        let began = Instant::now();
        let mut connection = connect(&config, &shared.tree);
        let end = serve(&mut connection, &shared, &events, &mut stop).await;
        connection.task.abort();
        shared.queue(|queue| queue.disconnected());
        let error = match end {
            End::Lost(error) => error,
            End::Stopped(done) => return drop(done),
            End::Abandoned => return,
        };
        if began.elapsed() >= STEADY {
            pause = RETRY_FIRST;
        }
        let waited = jittered(pause);
        tracing::warn!(broker = %config.broker.url, error, retry_ms = waited.as_millis() as u64, "broker not reached");
        if events.send(LinkEvent::Disconnected { error }).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(waited) => {}
            _ = &mut stop => return,
            () = events.closed() => return,
        }
        pause = (pause * 2).min(RETRY_LAST);
    }
}

/// Between half of the pause and all of it, so that a thousand edges do not come back in one moment.
fn jittered(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
}

fn connect(config: &LinkConfig, tree: &Tree) -> Connection {
    let client_id = tree.fleet().qualify(&config.client);
    let mut options = MqttOptions::new(&client_id, &config.broker.url.host, config.broker.url.port);
    options.set_clean_start(true);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    options.set_outgoing_inflight_upper_limit(100);
    if let Some(tls) = &config.broker.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(tls))));
    }
    if let Some(login) = &config.broker.login {
        options.set_credentials(login.user.as_ref().unwrap_or(&client_id), &login.token);
    }
    if let Some((topic, payload)) = &config.will {
        let will = LastWill::new(tree.text(topic), payload.clone(), QoS::AtLeastOnce, true, None);
        options.set_last_will(will);
    }
    let (client, mut eventloop) = AsyncClient::new(options, HANDED_MAX);
    let mut network = eventloop.options.network_options();
    network.set_tcp_nodelay(true);
    eventloop.options.set_network_options(network);
    let (sender, polled) = mpsc::channel(HANDED_MAX);
    Connection { client, polled, task: tokio::spawn(poll(eventloop, sender)) }
}

async fn poll(mut eventloop: EventLoop, polled: mpsc::Sender<Polled>) {
    loop {
        let event = eventloop.poll().await;
        let lost = event.is_err();
        if polled.send(event).await.is_err() || lost {
            return;
        }
    }
}

async fn serve(
    connection: &mut Connection,
    shared: &Shared,
    events: &mpsc::Sender<LinkEvent>,
    stop: &mut Stop,
) -> End {
    let mut connected = false;
    loop {
        let polled = tokio::select! {
            polled = connection.polled.recv() => polled,
            () = shared.queued.notified(), if connected => {
                hand_on(&connection.client, shared);
                continue;
            }
            done = &mut *stop => return match done {
                Ok(done) if connected => finish(connection, shared, done).await,
                Ok(done) => End::Stopped(done),
                Err(_) => End::Abandoned,
            },
            () = events.closed() => return End::Abandoned,
        };
        let told = match polled {
            None => return End::Lost("the connection ended".into()),
            Some(Err(error)) => return End::Lost(describe(&error)),
            Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                connected = true;
                subscribe_all(&connection.client, shared);
                Some(LinkEvent::Connected)
            }
            Some(Ok(event)) => note(event, shared),
        };
        if connected {
            hand_on(&connection.client, shared);
        }
        if let Some(told) = told
            && events.send(told).await.is_err()
        {
            return End::Abandoned;
        }
    }
}

/// Keeps the queue's books, and turns what the owner should know into an event.
fn note(event: Event, shared: &Shared) -> Option<LinkEvent> {
    match event {
        Event::Outgoing(rumqttc::Outgoing::Publish(packet_id)) => {
            shared.queue(|queue| queue.sent(packet_id));
            None
        }
        Event::Incoming(Packet::PubAck(ack)) => {
            let Outgoing { topic, number, .. } = shared.queue(|queue| queue.acked(ack.pkid))?;
            let taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
            let refused = (!taken).then(|| format!("{:?}", ack.reason));
            match number {
                Some(number) => Some(LinkEvent::Answered { number, refused }),
                None => refused.map(|error| LinkEvent::Refused { topic, error }),
            }
        }
        Event::Incoming(Packet::SubAck(ack)) => refused_subscription(&ack),
        Event::Incoming(Packet::Publish(publish)) => Some(received(&publish, &shared.tree)),
        _ => None,
    }
}

fn refused_subscription(ack: &SubAck) -> Option<LinkEvent> {
    let refused = ack.return_codes.iter().find(|code| !matches!(code, SubscribeReasonCode::Success(_)))?;
    Some(LinkEvent::SubscriptionRefused { error: format!("{refused:?}") })
}

fn received(publish: &Publish, tree: &Tree) -> LinkEvent {
    let text = String::from_utf8_lossy(&publish.topic).into_owned();
    let Ok(topic) = tree.parse(&text) else {
        return LinkEvent::Foreign { topic: text, payload: publish.payload.to_vec() };
    };
    let properties = publish.properties.iter().flat_map(|properties| &properties.user_properties);
    let sig = match properties
        .filter(|(name, _)| name == SIG_PROPERTY)
        .map(|(_, sig)| sig.parse::<Signature>())
        .next()
    {
        None => None,
        Some(Ok(sig)) => Some(sig),
        Some(Err(error)) => return LinkEvent::Malformed { topic: text, error: error.to_string() },
    };
    LinkEvent::Message(Message { topic, payload: publish.payload.to_vec(), sig, retained: publish.retain })
}

fn subscribe_all(client: &AsyncClient, shared: &Shared) {
    let filters: Vec<Filter> =
        shared.queue(|queue| queue.filters().map(|filter| Filter::new(filter, QoS::AtLeastOnce)).collect());
    if !filters.is_empty() && client.try_subscribe_many(filters).is_err() {
        tracing::error!("subscriptions do not fit into the queue of a new connection");
    }
}

/// Hands on what waits, as far as rumqttc takes it now; the next event of the connection goes on.
fn hand_on(client: &AsyncClient, shared: &Shared) {
    shared.queue(|queue| {
        while let Some(request) = queue.next() {
            let taken = match &request {
                Request::Publish(publish) => try_publish(client, publish),
                Request::Subscribe(filter) => client.try_subscribe(filter, QoS::AtLeastOnce).is_ok(),
                Request::Unsubscribe(filter) => client.try_unsubscribe(filter).is_ok(),
            };
            if !taken {
                queue.put_back(request);
                return;
            }
        }
    });
}

fn try_publish(client: &AsyncClient, publish: &Outgoing) -> bool {
    let (qos, retain) = match publish.delivery {
        Delivery::State => (QoS::AtLeastOnce, true),
        Delivery::Message => (QoS::AtLeastOnce, false),
        Delivery::Reading => (QoS::AtMostOnce, false),
    };
    let user_properties = publish.sig.iter().map(|sig| (SIG_PROPERTY.to_owned(), sig.clone())).collect();
    let properties = PublishProperties { user_properties, ..PublishProperties::default() };
    let payload = publish.payload.clone();
    client.try_publish_with_properties(&publish.topic, qos, retain, payload, properties).is_ok()
}

/// Sends what is left, as far as it goes in [`STOP_WAIT`], and says goodbye.
async fn finish(connection: &mut Connection, shared: &Shared, done: oneshot::Sender<()>) -> End {
    let drain = async {
        hand_on(&connection.client, shared);
        while !shared.queue(|queue| queue.is_idle()) {
            let Some(Ok(event)) = connection.polled.recv().await else { return };
            note(event, shared);
            hand_on(&connection.client, shared);
        }
        if connection.client.try_disconnect().is_ok() {
            while let Some(Ok(event)) = connection.polled.recv().await {
                if event == Event::Outgoing(rumqttc::Outgoing::Disconnect) {
                    return;
                }
            }
        }
    };
    let _ = timeout(STOP_WAIT, drain).await;
    End::Stopped(done)
}

fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::Tls(error) => format!("TLS: {error}"),
        ConnectionError::Timeout(_) => "it does not answer".into(),
        ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            format!("it ended the connection: {reason_code:?}")
        }
        ConnectionError::ConnectionRefused(code) => format!("it refused the connection: {code:?}"),
        other => other.to_string(),
    }
}
