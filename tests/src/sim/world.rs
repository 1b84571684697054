//! The world: one clock, one broker, one center, some edges.
//!
//! Messages and answers are worked off until nobody has anything to do; then the clock is put forward to the next
//! moment at which somebody wanted to be woken.

use std::collections::BTreeMap;

use center_core::{Answer, Refusal, Request, ServiceStart};
use flotilla_schemas::app::Residence;
use flotilla_schemas::desired::Trigger;
use flotilla_schemas::report::Profile;
use flotilla_schemas::time::Now;
use flotilla_schemas::{AppId, Digest, EdgeId};

use crate::sim::app::{Behaviour, Model};
use crate::sim::broker::{Broker, Weather};
use crate::sim::center::Center;
use crate::sim::edge::Edge;
use crate::sim::samples::Samples;

/// Unix milliseconds at the beginning of every story.
const WALL_MS: i64 = 1_800_000_000_000;

/// A simulated fleet.
pub struct World {
    /// The time since the story began, in milliseconds.
    pub now_ms: u64,
    /// The broker.
    pub broker: Broker,
    /// The only center.
    pub center: Center,
    /// The edges.
    pub edges: BTreeMap<EdgeId, Edge>,
    /// What was published.
    pub samples: Samples,
}

impl World {
    /// A center and edges `e1` to `e<n>`; on `e1` the first maker's air conditioner traps from its third reading on.
    pub fn new(edges: usize, weather: Weather) -> Self {
        let first = |n| if n == 0 { Behaviour::TrapsFromReading(5) } else { Behaviour::Good };
        let edges: Vec<_> = (0..edges).map(|n| (Profile::FULL, first(n))).collect();
        Self::of(&edges, weather)
    }

    /// A center and edges `e1` and on with these profiles; so does the first maker's air conditioner behave on them.
    pub fn of(edges: &[(Profile, Behaviour)], weather: Weather) -> Self {
        let now = Now::new(0, WALL_MS);
        let edge = |(n, (profile, north)): (usize, &(Profile, Behaviour))| {
            let (n, north) = (n + 1, *north);
            let models =
                [("aircon-north", north), ("aircon-south", Behaviour::Good), ("meter", Behaviour::Good)];
            let models = models.map(|(app, behaviour)| (app.parse().unwrap(), Model::new(behaviour)));
            let id = format!("e{n}");
            (id.parse().unwrap(), Edge::new(&id, *profile, models.into(), now))
        };
        let (broker, center) = (Broker::new(weather), Center::new(now));
        Self {
            now_ms: 0,
            broker,
            center,
            edges: edges.iter().enumerate().map(edge).collect(),
            samples: Samples::default(),
        }
    }

    /// The present, as every core is told it.
    pub fn now(&self) -> Now {
        Now::new(self.now_ms, WALL_MS + self.now_ms as i64)
    }

    /// An edge by its id.
    pub fn edge(&mut self, id: &str) -> &mut Edge {
        self.edges.get_mut(&id.parse::<EdgeId>().unwrap()).unwrap()
    }

    /// Everybody connects.
    pub fn connect(&mut self) {
        let now = self.now();
        self.center.connect(&mut self.broker, now);
        for edge in self.edges.values_mut() {
            edge.connect(&mut self.broker, now);
        }
    }

    /// Everybody connects, and the center gets to know every edge.
    pub fn assemble(&mut self) {
        self.connect();
        let all = self.edges.len();
        self.until(60_000, "the center knows the edges", |world| world.center.core.edges().len() == all);
        self.until(20_000, "the center knows what the broker retains", |world| {
            world.broker.retained().any(|(topic, _)| topic.to_string().ends_with("center/c1/avail"))
        });
    }

    /// Publishes everything.
    pub fn publish(&mut self) {
        let north = self.samples.app("aircon-north", "1.0.0", Residence::Resident, &["aircon-south"]);
        let south = self.samples.app("aircon-south", "1.0.0", Residence::Resident, &[]);
        let meter = self.samples.app("meter", "1.0.0", Residence::Transient, &[]);
        let (cooling, cooling_apps) = self.samples.air_conditioner("1.0.0", str::to_owned);
        let (metering, metering_apps) = self.samples.meter();
        self.center.disk.files.extend(self.samples.files.clone());
        for app in [north, south, meter] {
            self.ask(Request::PublishApp(app)).unwrap();
        }
        self.ask(Request::PublishScript { release: cooling, apps: cooling_apps }).unwrap();
        self.ask(Request::PublishScript { release: metering, apps: metering_apps }).unwrap();
        self.ask(Request::SetCountermeasures(Samples::countermeasures())).unwrap();
    }

    /// Publishes everything and starts both services on all edges.
    pub fn publish_and_start(&mut self) {
        self.publish();
        self.start("air-conditioner", Some("aircon-large"), 2_000);
        self.start("meter", None, 5_000);
    }

    /// Starts a service on all edges.
    pub fn start(&mut self, service: &str, events: Option<&str>, every_ms: u64) {
        let events = events.map(|list| list.parse().unwrap());
        let edges = self.edges.keys().cloned().collect();
        let start = ServiceStart {
            script: None,
            app: None,
            edges,
            events,
            trigger: Some(Trigger::EveryMs(every_ms)),
        };
        self.ask(Request::Start(service.parse().unwrap(), start)).unwrap();
    }

    /// Starts an app by itself on one edge, as often as it declares.
    pub fn start_app(&mut self, service: &str, app: &str, edge: &str) -> Result<Answer, Refusal> {
        let (app, edges) = (Some(app.parse().unwrap()), vec![edge.parse().unwrap()]);
        let start = ServiceStart { script: None, app, edges, events: None, trigger: None };
        self.ask(Request::Start(service.parse().unwrap(), start))
    }

    /// Asks the center what it answers at once, and lets what follows from it happen.
    pub fn ask(&mut self, request: Request) -> Result<Answer, Refusal> {
        let now = self.now();
        let answer = self.center.ask(request, &mut self.broker, now).expect("an answer at once");
        self.settle();
        answer
    }

    /// Tells an edge something, and lets what follows from it happen.
    pub fn tell(&mut self, edge: &str, input: edge_core::Input) {
        let now = self.now();
        let edge = self.edges.get_mut(&edge.parse::<EdgeId>().unwrap()).unwrap();
        edge.give(input, &mut self.broker, now);
        self.settle();
    }

    /// Goes on until the condition holds; panics if it does not within so many milliseconds of virtual time.
    pub fn until(&mut self, within_ms: u64, what: &str, holds: impl Fn(&World) -> bool) {
        let end = self.now_ms + within_ms;
        while !holds(self) {
            assert!(self.now_ms < end, "not within {within_ms} ms: {what}");
            self.advance(end);
        }
    }

    /// Lets so many milliseconds of virtual time pass.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.advance(end);
        }
        self.settle();
    }

    fn advance(&mut self, end: u64) {
        if self.work() {
            return;
        }
        let wakes = self.edges.values().map(|edge| edge.wake_at).chain([self.center.wake_at]);
        let next = wakes.flatten().min().unwrap_or(end).clamp(self.now_ms + 1, end);
        self.now_ms = next;
        let now = self.now();
        let due = |wake: Option<u64>| wake.is_some_and(|at| at <= next);
        if due(self.center.wake_at) {
            self.center.give(center_core::Input::Tick, &mut self.broker, now);
        }
        for edge in self.edges.values_mut().filter(|edge| due(edge.wake_at)) {
            edge.give(edge_core::Input::Tick, &mut self.broker, now);
        }
    }

    /// Works off all that is under way, at this moment.
    pub fn settle(&mut self) {
        while self.work() {}
    }

    fn work(&mut self) -> bool {
        let now = self.now();
        let mut worked = self.center.work(&mut self.broker, now);
        for edge in self.edges.values_mut() {
            worked |= edge.work(&mut self.broker, now);
        }
        let Some(delivery) = self.broker.next() else { return worked };
        let (topic, payload, sig, retained) =
            (delivery.topic, delivery.payload, delivery.sig, delivery.retained);
        match delivery.client.strip_prefix("edge-") {
            Some(edge) => {
                let input = edge_core::Input::Message { topic, payload, sig };
                let edge = self.edges.get_mut(&edge.parse::<EdgeId>().unwrap()).unwrap();
                edge.give(input, &mut self.broker, now);
            }
            None => {
                let input = center_core::Input::Message { topic, payload, sig, retained };
                self.center.give(input, &mut self.broker, now);
            }
        }
        true
    }

    /// Whether the code of an app, or anything that begins with its name, lies on an edge's disk.
    pub fn is_on_disk(&self, edge: &str, app: &str) -> bool {
        let edge = &self.edges[&edge.parse::<EdgeId>().unwrap()];
        edge.disk.blobs.values().any(|bytes| bytes.starts_with(app.as_bytes()))
    }

    /// Whether an app is in an edge's memory.
    pub fn is_loaded(&self, edge: &str, app: &str) -> bool {
        let app: AppId = app.parse().unwrap();
        self.edges[&edge.parse::<EdgeId>().unwrap()].loaded.contains(&app)
    }

    /// Damages every file on an edge's disk that begins with these bytes, without its knowing.
    pub fn delete_file(&mut self, edge: &str, begins: &str) {
        let edge = self.edge(edge);
        let gone: Vec<Digest> = edge
            .disk
            .blobs
            .iter()
            .filter(|(_, b)| b.starts_with(begins.as_bytes()))
            .map(|(d, _)| *d)
            .collect();
        gone.iter().for_each(|digest| _ = edge.disk.blobs.remove(digest));
    }
}
