//! An edge without I/O: its core, a disk that survives it, and models of its apps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_core::{
    Act, Code, Config, Core, Effect, EffectId, Failure, Found, Health, Input, Outcome, Persist, ScriptFiles,
    Send,
};
use flotilla_schemas::digest::CHUNK_BYTES;
use flotilla_schemas::fault::kind;
use flotilla_schemas::journal::{BATCH_RECORDS_MAX, Batch, Body, Lane, Record};
use flotilla_schemas::report::Profile;
use flotilla_schemas::time::Now;
use flotilla_schemas::topic::{EdgeTopic, filter_catalog, filter_to};
use flotilla_schemas::{AppId, Artifact, Digest, EdgeId, EpochId, Json, PointId, Topic};

use crate::sim::app::Model;
use crate::sim::broker::Broker;
use crate::sim::samples::{RUNTIME, fleet, key, place};

/// What a power cut leaves.
#[derive(Debug, Default)]
pub struct Disk {
    epoch: String,
    pub journal: BTreeMap<(Lane, u64), Record>,
    /// Every record that was ever committed, also those deleted since: the oracle's memory, not the edge's.
    pub ever: BTreeMap<(Lane, u64), Record>,
    heads: BTreeMap<Lane, u64>,
    values: BTreeMap<String, Vec<u8>>,
    /// The apps that keep something: all that were called.
    pub keys: BTreeSet<AppId>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    partial: BTreeMap<Digest, BTreeMap<Digest, Vec<u8>>>,
}

/// A simulated edge.
pub struct Edge {
    pub id: EdgeId,
    core: Core,
    pub disk: Disk,
    pub apps: BTreeMap<AppId, Model>,
    pub loaded: BTreeSet<AppId>,
    /// How often each app was loaded.
    pub loads: BTreeMap<AppId, u64>,
    /// How often a device was set.
    pub writes: u64,
    answers: VecDeque<Input>,
    pub wake_at: Option<u64>,
    pub connected: bool,
    pub warnings: Vec<String>,
    /// The points that do not answer well, and how.
    pub ill: BTreeMap<PointId, Failure>,
    /// The points that are there no more.
    pub gone: BTreeSet<PointId>,
    /// How a device answers that is to be set; none if it does as it is told.
    pub refusal: Option<Failure>,
    /// What it can do from its next start on.
    pub profile: Profile,
    sessions: u64,
}

impl Edge {
    pub fn new(id: &str, profile: Profile, apps: BTreeMap<AppId, Model>, now: Now) -> Self {
        let disk = Disk { epoch: format!("epoch-{id}"), ..Disk::default() };
        let id: EdgeId = id.parse().unwrap();
        let core = boot(&id, profile, &disk, 0, now);
        let (loaded, loads, answers) = (BTreeSet::new(), BTreeMap::new(), VecDeque::from([Input::Tick]));
        let (wake_at, connected, warnings, ill) = (Some(now.mono_ms), false, Vec::new(), BTreeMap::new());
        Self {
            id,
            core,
            disk,
            apps,
            loaded,
            loads,
            writes: 0,
            answers,
            wake_at,
            connected,
            warnings,
            ill,
            gone: BTreeSet::new(),
            refusal: None,
            profile,
            sessions: 0,
        }
    }

    /// The values that its core keeps, by their keys.
    pub fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        self.disk.values.clone()
    }

    /// The bytes of all artifacts that it holds, whole and partial.
    pub fn shelf_bytes(&self) -> u64 {
        let partial = self.disk.partial.values().flat_map(BTreeMap::values);
        self.disk.blobs.values().chain(partial).map(|bytes| bytes.len() as u64).sum()
    }

    pub fn client(&self) -> String {
        format!("edge-{}", self.id)
    }

    /// The power fails and comes back: memory is gone, the disk is not.
    pub fn crash(&mut self, broker: &mut Broker, now: Now) {
        broker.disconnect(&self.client());
        self.sessions += 1;
        self.connected = false;
        self.loaded.clear();
        self.answers = VecDeque::from([Input::Tick]);
        if !self.profile.disk {
            let epoch = format!("epoch-{}-{}", self.id, self.sessions);
            self.disk = Disk { epoch, ..Disk::default() };
        }
        self.core = boot(&self.id, self.profile, &self.disk, self.sessions, now);
    }

    pub fn connect(&mut self, broker: &mut Broker, now: Now) {
        self.connected = true;
        let faults = format!("edge/{}/fault/#", self.id);
        for filter in [filter_to(&self.id), filter_catalog(), faults] {
            broker.subscribe(&self.client(), &filter);
        }
        self.give(Input::Connected, broker, now);
    }

    pub fn disconnect(&mut self, broker: &mut Broker, now: Now) {
        self.connected = false;
        broker.disconnect(&self.client());
        self.give(Input::Disconnected, broker, now);
    }

    /// Works off what its own disk and apps answered; whether there was anything.
    pub fn work(&mut self, broker: &mut Broker, now: Now) -> bool {
        let Some(input) = self.answers.pop_front() else { return false };
        self.give(input, broker, now);
        true
    }

    pub fn give(&mut self, input: Input, broker: &mut Broker, now: Now) {
        let step = self.core.handle(input, now);
        for change in step.persist {
            self.persist(change);
        }
        for effect in step.effects {
            self.carry_out(effect, broker);
        }
        self.wake_at = step.wake_at;
    }

    fn persist(&mut self, change: Persist) {
        let disk = &mut self.disk;
        match change {
            Persist::Append(lane, record) => {
                let head = disk.heads.entry(lane).or_default();
                assert_eq!(record.seq, *head + 1, "{}: numbers are dense", self.id);
                *head = record.seq;
                disk.ever.insert((lane, record.seq), (*record).clone());
                disk.journal.insert((lane, record.seq), *record);
            }
            Persist::Trim(lane, below) => disk.journal.retain(|(l, seq), _| *l != lane || *seq >= below),
            Persist::Epoch(epoch) => disk.epoch = epoch.to_string(),
            Persist::Put(key, value) => _ = disk.values.insert(key, value),
            Persist::Delete(key) => _ = disk.values.remove(&key),
            Persist::DeleteKeys(app) => _ = disk.keys.remove(&app),
        }
    }

    fn carry_out(&mut self, Effect { id, act }: Effect, broker: &mut Broker) {
        if self.core.is_storage_full() && !act.goes_without_disk() {
            return self
                .done(id, Outcome::Failed(Failure::new(kind::STORAGE_FULL, "the disk takes nothing")));
        }
        let answered = act.is_answered();
        let outcome = match act {
            Act::Publish(topic, payload, send) => {
                self.publish(broker, &topic, payload, send == Send::State);
                Outcome::Done
            }
            Act::SendRecords { lane, first, last, floor } => {
                self.send_records(broker, lane, first, last, floor)
            }
            Act::Look(artifact) => Outcome::Missing(self.look(&artifact)),
            Act::Listen(chunks) => {
                for chunk in chunks {
                    broker.subscribe(&self.client(), &Topic::Blob(chunk.first()).to_string());
                }
                Outcome::Done
            }
            Act::StoreChunk(artifact, chunk, bytes) => {
                self.disk.partial.entry(artifact.digest).or_default().insert(chunk, bytes);
                Outcome::Done
            }
            Act::ReadScript(files) => {
                self.script(&files).map_or_else(Outcome::Failed, |files| Outcome::Script(Box::new(files)))
            }
            Act::Load { app, code, .. } => self.load(app, &code),
            Act::Call { app, operation, .. } => self.call(app, &operation),
            Act::Write(_) => self.write(),
            Act::Probe(point) => {
                let health = self.ill.get(&point).cloned().map_or(Health::Well, Health::Ill);
                Outcome::Health(if self.gone.contains(&point) { Health::Gone } else { health })
            }
            Act::Unload(app) => {
                self.loaded.remove(&app);
                Outcome::Done
            }
            Act::Delete(digest) => {
                self.disk.blobs.remove(&digest);
                self.disk.partial.remove(&digest);
                Outcome::Done
            }
            Act::Sweep(keep) => {
                self.disk.blobs.retain(|digest, _| keep.contains(digest));
                self.disk.partial.retain(|digest, _| keep.contains(digest));
                Outcome::Done
            }
            Act::Warn(text) => {
                self.warnings.push(text);
                Outcome::Done
            }
            Act::ListenOnly(_) | Act::Exit => Outcome::Done,
        };
        if answered {
            self.done(id, outcome);
        }
    }

    fn done(&mut self, id: EffectId, outcome: Outcome) {
        self.answers.push_back(Input::Done { id, outcome });
    }

    fn load(&mut self, app: AppId, code: &Code) -> Outcome {
        if !self.disk.blobs.contains_key(&code.artifact().digest) {
            return Outcome::Failed(Failure::new(kind::MISMATCH, "no such file"));
        }
        self.loaded.insert(app.clone());
        *self.loads.entry(app).or_default() += 1;
        Outcome::Done
    }

    fn write(&mut self) -> Outcome {
        let is_journaled = |record: &Record| matches!(record.body, Body::Write { .. });
        let journaled = self.disk.ever.values().any(is_journaled);
        assert!(journaled || self.core.is_storage_full(), "{}: set before it is journaled", self.id);
        self.writes += 1;
        self.refusal.clone().map_or(Outcome::Done, Outcome::Failed)
    }

    fn publish(&self, broker: &mut Broker, topic: &Topic, payload: Vec<u8>, retain: bool) {
        if !self.connected {
            return;
        }
        let signed = topic.is_signed() && !payload.is_empty();
        let sig = signed.then(|| key(self.id.as_str()).sign(&place(topic), &payload));
        broker.publish(topic, payload, sig, retain);
    }

    fn send_records(&self, broker: &mut Broker, lane: Lane, first: u64, last: u64, floor: u64) -> Outcome {
        let records: Vec<Record> = self
            .disk
            .journal
            .range((lane, first)..(lane, (last + 1).max(first)))
            .map(|(_, record)| record.clone())
            .collect();
        if !self.connected {
            return Outcome::Failed(Failure::new(kind::JOURNAL_UNSENT, "there is no connection"));
        }
        if first > last {
            self.send_batch(broker, lane, first, floor, Vec::new());
        }
        for records in records.chunks(BATCH_RECORDS_MAX) {
            self.send_batch(broker, lane, records[0].seq, floor, records.to_vec());
        }
        Outcome::Done
    }

    fn send_batch(&self, broker: &mut Broker, lane: Lane, first: u64, floor: u64, records: Vec<Record>) {
        let epoch = EpochId::new(self.disk.epoch.clone()).unwrap();
        let records = records.iter().map(|record| Json::of(record).unwrap()).collect();
        let batch = Batch { v: 1, edge: self.id.clone(), epoch, lane, first, floor, records };
        let topic = Topic::Edge(self.id.clone(), EdgeTopic::Journal(lane.number()));
        self.publish(broker, &topic, serde_json::to_vec(&batch).unwrap(), false);
    }

    fn look(&mut self, artifact: &Artifact) -> Vec<Digest> {
        let digest = artifact.digest;
        let mut missing = Vec::new();
        if !self.disk.blobs.contains_key(&digest) {
            let got = self.disk.partial.entry(digest).or_default();
            missing = artifact.chunks.iter().copied().filter(|chunk| !got.contains_key(chunk)).collect();
            if missing.is_empty() {
                let bytes: Vec<u8> = artifact.chunks.iter().flat_map(|chunk| got[chunk].clone()).collect();
                assert!(artifact.chunks.len() == bytes.len().div_ceil(CHUNK_BYTES));
                artifact.verify(&bytes).unwrap();
                self.disk.partial.remove(&digest);
                self.disk.blobs.insert(digest, bytes);
            }
        }
        missing
    }

    fn script(&self, files: &[Artifact; 3]) -> Result<ScriptFiles, Failure> {
        let read = |file: &Artifact| {
            let missing = || Failure::new(kind::MISMATCH, "no such file");
            self.disk.blobs.get(&file.digest).cloned().ok_or_else(missing)
        };
        let [definition, events, text] = files;
        Ok(ScriptFiles { definition: read(definition)?, events: read(events)?, text: read(text)? })
    }

    fn call(&mut self, app: AppId, operation: &str) -> Outcome {
        assert!(self.loaded.contains(&app), "{}: {app} is called and not in memory", self.id);
        self.disk.keys.insert(app.clone());
        let said = self.apps.get_mut(&app).expect("a model of each app").call(operation);
        let events = said.events.into_iter().map(|(name, fields)| {
            let app = app.clone();
            Input::AppEvent { app, name, fields }
        });
        self.answers.extend(events);
        if operation == "read-room" {
            let ask = |(point, failure): (&PointId, &Failure)| Input::Ill {
                app: app.clone(),
                point: point.clone(),
                failure: failure.clone(),
            };
            self.answers.extend(self.ill.iter().map(ask));
        }
        said.result.map_or_else(Outcome::Failed, Outcome::Value)
    }
}

fn boot(id: &EdgeId, profile: Profile, disk: &Disk, session: u64, now: Now) -> Core {
    let config = Config {
        fleet: fleet(),
        edge: id.clone(),
        key: key(id.as_str()).public(),
        session: format!("{id}-{session}").parse().unwrap(),
        profile,
        arch: "x86_64".into(),
        runtime: RUNTIME.into(),
        compiles: false,
        agent: "0".into(),
        journal_bytes_max: 64 << 20,
    };
    let lanes = Lane::ALL.map(|lane| {
        let head = disk.heads.get(&lane).copied().unwrap_or(0);
        let mut there = disk.journal.range((lane, 0)..=(lane, u64::MAX)).map(|((_, seq), _)| *seq);
        (head, there.next().unwrap_or(head + 1), 0)
    });
    let found =
        Found { epoch: EpochId::new(disk.epoch.clone()).unwrap(), lanes, values: disk.values.clone() };
    Core::from_records(config, found, now)
}
