//! The driver of devices that speak to an MQTT broker at the gateway by themselves.
//!
//! A point is what the device said last on its state topic. Setting it publishes to its set topic, and is confirmed by
//! the device saying that very value. The broker is one beside the gateway: a fleet's own carries the fleet's topics
//! alone.

mod payload;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flotilla_link::{Broker, BrokerUrl, Delivery, Entry, Link, LinkConfig, LinkEvent};
use flotilla_sandbox::{Access, HostError, Keys, PointSection, Reply, Section};
use flotilla_schemas::{EdgeId, FleetId, Value};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::driver::Driver;
use payload::Form;

/// The longest topic, in bytes.
const TOPIC_BYTES_MAX: usize = 256;

/// The longest that a state may hold, in milliseconds: a day.
const FRESH_MS_MAX: u64 = 86_400_000;

/// A device.
struct Device {
    name: String,
    broker: Broker,
    points: BTreeMap<String, Topics>,
    heard: watch::Sender<Heard>,
    line: Mutex<Option<Line>>,
}

/// Where a point is told and set.
#[derive(Debug, Clone)]
struct Topics {
    state: String,
    set: Option<String>,
    form: Form,
    /// How long a state holds; none means until the next.
    fresh: Option<Duration>,
}

/// What the device and its broker have said.
#[derive(Debug, Default)]
struct Heard {
    connected: bool,
    /// Why the connection is gone, or was not made.
    gone: Option<String>,
    /// What the broker refused, by topic.
    refused: BTreeMap<String, String>,
    /// Why it refused a subscription, if it did.
    deaf: Option<String>,
    /// Each point's latest state, with its number among all that came, and when it came.
    states: BTreeMap<String, (u64, Value, Instant)>,
    count: u64,
}

/// The connection to the broker, for as long as the device is in use.
struct Line {
    link: Link,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads what a section says of an MQTT device: its `broker` (`mqtt://host:port`, or `mqtts://` with whom to trust, a
/// file, as `ca`) and, if it asks who comes, the `user` and the file with its password, `password_file`; and of each
/// point the topic of its `state` and, if it can be set, the one to `set` it; the payload's form (see [`Form`]); and
/// for how long a state is `fresh` (until the next one, without).
pub fn read(section: &mut Section) -> Option<Box<dyn Driver>> {
    let broker = broker(&mut section.keys);
    let mut points = BTreeMap::new();
    for (name, point) in &mut section.points {
        points.extend(Topics::read(point).map(|topics| (name.clone(), topics)));
    }
    let (name, heard) = (section.name.clone(), watch::Sender::default());
    Some(Box::new(Device { name, broker: broker?, points, heard, line: Mutex::default() }))
}

fn broker(keys: &mut Keys) -> Option<Broker> {
    let url: Option<String> = keys.need("broker");
    let (ca, user, token_file) = (keys.take("ca"), keys.take("user"), keys.take("password_file"));
    let url: BrokerUrl = match url?.parse() {
        Ok(url) => url,
        Err(error) => return keys.problem("broker", error),
    };
    if url.tls && ca.is_none() {
        return keys.problem("ca", "is missing: the file that says whom to trust");
    }
    if user.is_some() != token_file.is_some() {
        return keys.problem("user", "stands with a password_file");
    }
    let entry = Entry { ca, user, token_file, ..Entry::from(url) };
    entry.open().map_or_else(|error| keys.problem("broker", error), Some)
}

impl Topics {
    fn read(section: &mut PointSection) -> Option<Self> {
        let point = section.point.as_ref();
        let may_set = point.is_some_and(|point| point.access == Access::ReadWrite);
        let keys = &mut section.keys;
        if !keys.has("state") {
            keys.problem::<()>("state", "is missing");
        }
        let (state, set) = (topic(keys, "state"), topic(keys, "set"));
        match (may_set, &set) {
            (true, None) => _ = keys.problem::<()>("set", "is missing: where it is set"),
            (false, Some(_)) => _ = keys.problem::<()>("set", "is of no use where access is r"),
            _ => {}
        }
        let fresh =
            keys.has("fresh").then(|| Duration::from_millis(keys.span("fresh", FRESH_MS_MAX, FRESH_MS_MAX)));
        let form = Form::read(keys, point?.ty.clone());
        Some(Self { state: state?, set, form, fresh })
    }
}

fn topic(keys: &mut Keys, key: &str) -> Option<String> {
    let topic: String = keys.take(key)?;
    let legal = !topic.is_empty() && topic.len() <= TOPIC_BYTES_MAX && !topic.contains(['+', '#', '\0']);
    if legal { Some(topic) } else { keys.problem(key, format!("{topic:?} is not a topic without wildcards")) }
}

impl Driver for Device {
    fn start(&self, fleet: &FleetId, edge: &EdgeId) {
        let foreign: Vec<String> = self.points.values().map(|topics| topics.state.clone()).collect();
        let (link, events) = Link::start(LinkConfig {
            broker: self.broker.clone(),
            fleet: fleet.clone(),
            client: format!("equipment-{edge}-{}", self.name),
            will: None,
            filters: Vec::new(),
            foreign,
            signer: None,
        });
        let task = tokio::spawn(listen(events, self.points.clone(), self.heard.clone()));
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(Line { link, task });
    }

    fn read<'a>(&'a self, point: &'a str) -> Reply<'a, Value> {
        Box::pin(async move {
            let topics = self.topics(point)?;
            // Right after the start the broker's retained states are still on their way.
            self.until(|heard| self.said(heard, point, topics)).await
        })
    }

    fn write<'a>(&'a self, point: &'a str, value: &'a Value) -> Reply<'a, ()> {
        Box::pin(async move {
            let topics = self.topics(point)?;
            let topic = topics.set.as_deref().ok_or_else(|| self.unknown(point))?;
            let before = self.heard.borrow().count;
            self.until(|heard| heard.connected.then_some(Ok(()))).await?;
            self.heard.send_modify(|heard| _ = heard.refused.remove(topic));
            self.publish(topic, topics.form.write(value))?;
            self.until(|heard| {
                if let Some(error) = heard.refused.get(topic) {
                    return Some(Err(HostError::Rejected(format!("{}/{point}: {error}", self.name))));
                }
                let (count, said, _) = heard.states.get(point)?;
                (*count > before && payload::is_same(said, value)).then_some(Ok(()))
            })
            .await
        })
    }
}

impl Device {
    fn unknown(&self, point: &str) -> HostError {
        HostError::Unknown(format!("{}/{point}", self.name))
    }

    fn topics(&self, point: &str) -> Result<&Topics, HostError> {
        self.points.get(point).ok_or_else(|| self.unknown(point))
    }

    fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), HostError> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let unreachable = |why: String| HostError::Unreachable(format!("{}: {why}", self.name));
        let link = &line.as_ref().ok_or_else(|| unreachable("it is not in use".to_owned()))?.link;
        link.publish_foreign(topic, payload, Delivery::Message)
            .map_err(|error| unreachable(error.to_string()))
    }

    /// What the device last said of a point; none if that is to be waited for.
    fn said(&self, heard: &Heard, point: &str, topics: &Topics) -> Option<Result<Value, HostError>> {
        let unreachable =
            |why: String| Some(Err(HostError::Unreachable(format!("{}/{point}: {why}", self.name))));
        match heard.states.get(point) {
            Some((_, value, at)) if topics.fresh.is_none_or(|fresh| at.elapsed() < fresh) => {
                Some(Ok(value.clone()))
            }
            Some((_, _, at)) => unreachable(format!("it has said nothing for {} s", at.elapsed().as_secs())),
            None => {
                let error = heard.deaf.as_ref()?;
                unreachable(format!("{} refuses what is subscribed to: {error}", self.broker.url()))
            }
        }
    }

    /// Waits until there is an answer, or the broker is gone.
    async fn until<T>(
        &self,
        answer: impl Fn(&Heard) -> Option<Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let mut heard = self.heard.subscribe();
        loop {
            {
                let heard = heard.borrow_and_update();
                if let Some(why) = &heard.gone {
                    let text = format!("{}: {} is gone: {why}", self.name, self.broker.url());
                    return Err(HostError::Unreachable(text));
                }
                if heard.connected
                    && let Some(answer) = answer(&heard)
                {
                    return answer;
                }
            }
            if heard.changed().await.is_err() {
                return Err(HostError::Unreachable(format!("{} is no longer in use", self.name)));
            }
        }
    }
}

/// Takes in what the broker says.
async fn listen(
    mut events: mpsc::Receiver<LinkEvent>,
    points: BTreeMap<String, Topics>,
    heard: watch::Sender<Heard>,
) {
    while let Some(event) = events.recv().await {
        heard.send_modify(|heard| match event {
            LinkEvent::Connected => {
                (heard.connected, heard.gone, heard.deaf) = (true, None, None);
            }
            LinkEvent::Disconnected { error } => (heard.connected, heard.gone) = (false, Some(error)),
            LinkEvent::Refused { topic, error } => _ = heard.refused.insert(topic, error),
            LinkEvent::SubscriptionRefused { error } => heard.deaf = Some(error),
            LinkEvent::Foreign { topic, payload } => heard.take(&points, &topic, &payload),
            LinkEvent::Message(_) | LinkEvent::Malformed { .. } | LinkEvent::Answered { .. } => {}
        });
    }
}

impl Heard {
    fn take(&mut self, points: &BTreeMap<String, Topics>, topic: &str, payload: &[u8]) {
        for (name, topics) in points.iter().filter(|(_, topics)| topics.state == topic) {
            self.count += 1;
            let state = (self.count, topics.form.read_payload(payload), Instant::now());
            self.states.insert(name.clone(), state);
        }
    }
}
