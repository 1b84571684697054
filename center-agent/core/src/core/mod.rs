//! The core itself: what it holds, how it begins, and how an input becomes a step.
//!
//! ```text
//! message ─ verified ─▶ registry, faults, documents ─┐
//! request ─ judged ──────────────────▶ documents ────┼─▶ what the broker should retain ─▶ what differs is published
//! store ── appended ─▶ faults, ack                   │
//! time ─── sweep, chunks, commands, pulse ───────────┘
//! ```
//!
//! Nothing is issued before the sweep is over. Each function here takes the step that it adds to.

mod decision;
mod intake;
mod looks;
mod membership;
mod state;

use std::collections::BTreeMap;

use flotilla_schemas::desired::Desired;
use flotilla_schemas::fleet::Fleet;
use flotilla_schemas::sign::PublicKey;
use flotilla_schemas::time::Now;
use flotilla_schemas::{CenterId, EdgeId, SessionId, Topic};

use crate::answer::Refusal;
use crate::catalog::Listing;
use crate::command::Commands;
use crate::delivery::Delivery;
use crate::desk::Faults;
use crate::document::{Documents, Made};
use crate::present::Present;
use crate::registry::Registry;
use crate::request::{Request, RequestId};
use crate::retained::{Behind, Retained, Sweep};
use crate::row::Row;
use crate::step::{Effect, Input, Step};
use crate::warning::Warnings;

/// How often a center looks for edges that fell silent, and brings its views up to date, in milliseconds.
pub const PULSE_MS: u64 = 5_000;

/// How often a center's status is published, in milliseconds.
pub const STATUS_MS: u64 = 30_000;

/// The most requests that wait for the first sweep; it takes a second, so few come.
pub const EARLY_MAX: usize = 64;

/// What a core is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The center.
    pub center: CenterId,
    /// The fleet, and whom it trusts.
    pub fleet: Fleet,
    /// This run of the agent; never used before. At most 40 characters, as command ids are made from it.
    pub session: SessionId,
    /// The agent's version.
    pub agent: String,
    /// How many records of journals the store holds.
    pub records: u64,
}

/// What `avail` says while the center is there.
pub const ONLINE: &[u8] = b"online";

/// What `avail` says when it is not: the last will.
pub const OFFLINE: &[u8] = b"offline";

/// The decisions of a center.
#[derive(Debug, Clone)]
pub struct Core {
    config: Config,
    documents: Documents,
    catalog: Listing,
    registry: Registry,
    faults: Faults,
    commands: Commands,
    delivery: Delivery,
    retained: Retained,
    warnings: Warnings,
    /// What was retained for edges, other than this center would have it.
    heard: BTreeMap<EdgeId, Desired>,
    /// The highest version of a catalog that any center signed.
    catalog_seen: u64,
    behind: Behind,
    sweep: Sweep,
    /// Whether a sweep was ever finished.
    swept: bool,
    /// Requests that came during the first sweep; they are judged when it is over.
    early: Vec<(RequestId, Request)>,
    /// What was decided last, for as long as it may be taken back.
    fresh: Vec<Made>,
    seq: u64,
    pulse_at: u64,
    status_at: u64,
}

impl Core {
    /// Begins, or begins again after a crash, with what is on disk.
    pub fn from_records(config: Config, rows: impl IntoIterator<Item = Row>, now: Now) -> Self {
        let mut documents = Documents::new(config.center.clone(), config.fleet.era);
        let (mut registry, mut faults) = (Registry::default(), Faults::default());
        for row in rows {
            match row {
                Row::Document(document) => documents.load(document),
                Row::Edge(edge) => registry.load(edge),
                Row::Fault(fault) => faults.load(fault),
            }
        }
        let mut core = Self {
            catalog: Listing::of(&config.fleet.fleet, &documents),
            commands: Commands::new(config.session.clone()),
            config,
            documents,
            registry,
            faults,
            delivery: Delivery::default(),
            retained: Retained::default(),
            warnings: Warnings::default(),
            heard: BTreeMap::new(),
            catalog_seen: 0,
            behind: Behind::default(),
            sweep: Sweep::Idle,
            swept: false,
            early: Vec::new(),
            fresh: Vec::new(),
            seq: 0,
            pulse_at: now.mono_ms,
            status_at: now.mono_ms,
        };
        core.forget_strangers();
        core.retain_all();
        core
    }

    /// Takes an input; see [`Step`] for what is to be done with what comes out.
    pub fn handle(&mut self, input: Input, now: Now) -> Step {
        let mut step = Step { touched: touched(&input).into_iter().collect(), ..Step::default() };
        self.retained.pass_time(now.mono_ms);
        match input {
            Input::Connected => self.connected(now),
            Input::Disconnected => {
                self.sweep = Sweep::Idle;
                let early = std::mem::take(&mut self.early);
                step.effects.extend(early.into_iter().map(|(id, _)| unswept(id)));
            }
            Input::Message { topic, payload, sig, retained } => {
                if retained {
                    self.sweep.heard(now.mono_ms);
                }
                if !self.retained.heard(&topic, &payload) {
                    self.hear(&topic, &payload, sig.as_ref(), !retained, now, &mut step);
                }
            }
            Input::Appended { journaled, held } => self.appended(&journaled.batch, held, &mut step),
            Input::Request { id, request } if !self.swept => {
                if self.sweep == Sweep::Idle || self.early.len() >= EARLY_MAX {
                    step.effects.push(unswept(id));
                } else {
                    self.early.push((id, request));
                }
            }
            Input::Request { id, request } => self.decide(id, request, now, &mut step),
            Input::Tick => {}
        }
        self.pass_time(now, &mut step);
        let made = self.documents.made();
        if step.decided {
            self.fresh = made;
        }
        step.wake_at = self.wake_at();
        step
    }

    /// A retained message of the last step was not queued, or the broker did not take it: it goes out again later.
    pub fn unsent(&mut self, topic: &Topic) {
        self.retained.unsent(topic);
    }

    /// What is on disk of an edge whose id has another key by now, or none, is worth nothing.
    fn forget_strangers(&mut self) {
        let known = |edge: &EdgeId, key: &PublicKey| self.documents.edge(edge).is_none_or(|d| d.knows(key));
        let strangers = self.registry.all().filter(|(edge, seen)| !known(edge, &seen.key));
        let strangers: Vec<EdgeId> = strangers.map(|(edge, _)| edge.clone()).collect();
        strangers.iter().for_each(|edge| _ = self.registry.remove(edge));
    }

    /// What was decided last could not be stored: it does not hold, and all is again as if nobody had asked.
    pub fn unstored(&mut self, now: Now) -> Step {
        self.documents.take_back(std::mem::take(&mut self.fresh));
        self.catalog = Listing::of(&self.config.fleet.fleet, &self.documents);
        self.retained.want_nothing();
        self.retain_all();
        self.retain_status(now);
        self.handle(Input::Tick, now)
    }

    fn connected(&mut self, now: Now) {
        self.sweep = Sweep::begin(now.mono_ms);
        self.retained.forget();
    }

    /// What is there when something is to be judged.
    fn present(&self) -> Present<'_> {
        Present { documents: &self.documents, catalog: &self.catalog, registry: &self.registry }
    }

    fn pass_time(&mut self, now: Now, step: &mut Step) {
        for (id, silent) in self.commands.expire(now.mono_ms) {
            step.effects.push(Effect::Reply { id, answer: Err(silent.into()) });
        }
        if self.sweep.end(now.mono_ms) {
            self.swept = true;
            self.take_on_all(now, step);
            step.note("heard what the broker retains", None, "");
            self.answer_waiting(step);
            for (id, request) in std::mem::take(&mut self.early) {
                self.decide(id, request, now, step);
            }
        }
        if now.mono_ms >= self.pulse_at {
            self.pulse_at = now.mono_ms + PULSE_MS;
            for edge in self.registry.fall_silent(now) {
                step.note("edge silent", Some(&edge), "");
                step.touched.insert(edge);
            }
            self.retain_app_views();
        }
        if now.mono_ms >= self.status_at {
            self.status_at = now.mono_ms + STATUS_MS;
            self.retain_status(now);
        }
        if self.sweep == Sweep::Done {
            self.send(now, step);
        }
    }

    fn send(&mut self, now: Now, step: &mut Step) {
        for (topic, payload) in self.retained.take() {
            step.effects.push(Effect::Publish { topic, payload, retain: true });
        }
        let chunks = self.delivery.take(now.mono_ms);
        let chunks: Vec<_> = chunks.iter().filter_map(|digest| self.catalog.chunk(digest)).collect();
        if !chunks.is_empty() {
            step.effects.push(Effect::SendChunks(chunks));
        }
    }

    /// When [`Input::Tick`] is due at the latest, in milliseconds of running time.
    pub fn wake_at(&self) -> Option<u64> {
        let connected = (self.sweep == Sweep::Done).then(|| [self.delivery.due_at(), self.retained.due_at()]);
        let always =
            [self.sweep.ends_at(), self.commands.due_at(), Some(self.pulse_at), Some(self.status_at)];
        always.into_iter().chain(connected.into_iter().flatten()).flatten().min()
    }
}

/// The edge that an input tells of.
fn touched(input: &Input) -> Option<EdgeId> {
    match input {
        Input::Message { topic: Topic::Edge(edge, _), .. } => Some(edge.clone()),
        Input::Appended { journaled, .. } => Some(journaled.batch.edge.clone()),
        _ => None,
    }
}

fn unswept(id: RequestId) -> Effect {
    Effect::Reply { id, answer: Err(Refusal::Unswept) }
}
