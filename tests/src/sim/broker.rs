//! A model of an MQTT broker: retained messages, filters, deliveries in order, and weather.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flotilla_schemas::Topic;
use flotilla_schemas::sign::Signature;

/// What happens to deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Each arrives once.
    Calm,
    /// Each arrives twice.
    Twice,
    /// The n-th, from 0, never arrives; a broker's queue was full.
    Without(u64),
}

/// A message on its way to one client.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub client: String,
    pub topic: Topic,
    pub payload: Vec<u8>,
    pub sig: Option<Signature>,
    pub retained: bool,
}

type Kept = (Vec<u8>, Option<Signature>);

/// The broker.
pub struct Broker {
    weather: Weather,
    retained: BTreeMap<Topic, Kept>,
    filters: BTreeMap<String, BTreeSet<String>>,
    queue: VecDeque<Delivery>,
    queued: u64,
    published: BTreeMap<Topic, u64>,
}

impl Broker {
    pub fn new(weather: Weather) -> Self {
        let (retained, filters, published) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { weather, retained, filters, queue: VecDeque::new(), queued: 0, published }
    }

    /// How often something was published on a topic.
    pub fn published(&self, topic: &Topic) -> u64 {
        self.published.get(topic).copied().unwrap_or_default()
    }

    /// How many deliveries there were.
    pub fn delivered(&self) -> u64 {
        self.queued
    }

    pub fn retained(&self) -> impl Iterator<Item = (&Topic, &[u8])> {
        self.retained.iter().map(|(topic, (payload, _))| (topic, payload.as_slice()))
    }

    pub fn publish(&mut self, topic: &Topic, payload: Vec<u8>, sig: Option<Signature>, retain: bool) {
        *self.published.entry(topic.clone()).or_default() += 1;
        let text = topic.to_string();
        let hears = |filters: &BTreeSet<String>| filters.iter().any(|filter| matches(filter, &text));
        let clients: Vec<String> = self
            .filters
            .iter()
            .filter(|(_, filters)| hears(filters))
            .map(|(client, _)| client.clone())
            .collect();
        for client in clients {
            let (topic, payload, sig) = (topic.clone(), payload.clone(), sig.clone());
            self.deliver(Delivery { client, topic, payload, sig, retained: false });
        }
        match (retain, payload.is_empty()) {
            (true, true) => _ = self.retained.remove(topic),
            (true, false) => _ = self.retained.insert(topic.clone(), (payload, sig)),
            (false, _) => {}
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let number = self.queued;
        self.queued += 1;
        match self.weather {
            Weather::Without(lost) if lost == number => {}
            Weather::Twice => {
                self.queue.push_back(delivery.clone());
                self.queue.push_back(delivery);
            }
            _ => self.queue.push_back(delivery),
        }
    }

    pub fn subscribe(&mut self, client: &str, filter: &str) {
        self.filters.entry(client.to_owned()).or_default().insert(filter.to_owned());
        let kept: Vec<(Topic, Kept)> = self
            .retained
            .iter()
            .filter(|(topic, _)| matches(filter, &topic.to_string()))
            .map(|(topic, kept)| (topic.clone(), kept.clone()))
            .collect();
        for (topic, (payload, sig)) in kept {
            self.deliver(Delivery { client: client.to_owned(), topic, payload, sig, retained: true });
        }
    }

    /// A client is gone, with what was on its way to it.
    pub fn disconnect(&mut self, client: &str) {
        self.filters.remove(client);
        self.queue.retain(|delivery| delivery.client != client);
    }

    pub fn next(&mut self) -> Option<Delivery> {
        self.queue.pop_front()
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
