//! Who plays: the apps that an event list names, or with an alternate standing in for one of them, loaded as an edge
//! loads them, with the very grants and limits of their manifests.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::AppId;
use flotilla_schemas::proof::{CastProof, Measured, SeenFault};
use flotilla_script::EventList;

use super::actor::Actor;
use super::play::{Played, longer};
use super::prover::{OWN_STACK, Prover};
use super::stage::Failing;

/// One set of apps, and what was seen of it so far.
#[derive(Clone)]
pub(super) struct Cast<'p> {
    /// By the name that the list has for it.
    pub actors: BTreeMap<AppId, Actor<'p>>,
    pub proof: CastProof,
    /// The failures of equipment that were tried.
    pub tried: BTreeSet<Failing>,
    /// The least stack that every script so far ran in, as an index of the prover's stacks.
    pub stack: usize,
    /// The apps with that stack, once they were loaded.
    shallow: Option<BTreeMap<AppId, Actor<'p>>>,
}

impl<'p> Cast<'p> {
    /// The apps that the list names, and for each alternate of one of them, the same with it in its place. Apps that
    /// the prover does not know are left out.
    pub fn all(prover: &'p Prover, list: &EventList) -> Vec<Self> {
        let named: BTreeSet<AppId> = list.apps();
        let mut casts = vec![BTreeMap::new()];
        for app in &named {
            let alternates = prover.apps.get(app).into_iter().flat_map(|app| &app.manifest.alternates);
            let known = alternates.filter(|alternate| prover.apps.contains_key(alternate));
            casts.extend(known.map(|alternate| BTreeMap::from([(app.clone(), alternate.clone())])));
        }
        casts.into_iter().map(|standing_in| Self::new(prover, &named, standing_in)).collect()
    }

    /// The alternates that are left out, in words.
    pub fn left_out(prover: &Prover, list: &EventList) -> Vec<String> {
        let mut words = Vec::new();
        for app in list.apps() {
            let alternates = prover.apps.get(&app).into_iter().flat_map(|app| &app.manifest.alternates);
            let absent = alternates.filter(|alternate| !prover.apps.contains_key(alternate));
            words.extend(absent.map(|absent| format!("{absent} in place of {app}: it is not there")));
        }
        words
    }

    fn new(prover: &'p Prover, named: &BTreeSet<AppId>, standing_in: BTreeMap<AppId, AppId>) -> Self {
        let actor = |name: &AppId| {
            let id = standing_in.get(name).unwrap_or(name).clone();
            let app = prover.apps.get(&id)?;
            Some((name.clone(), Actor { program: app.load(prover, OWN_STACK), id, app }))
        };
        let actors = named.iter().filter_map(actor).collect();
        let measured = Measured { runtime: prover.compiler.runtime(), ..Measured::default() };
        let proof = CastProof {
            standing_in,
            runs: 0,
            calls: 0,
            failures: 0,
            memory_bytes: BTreeMap::new(),
            faults: Vec::new(),
            measured,
        };
        Self { actors, proof, tried: BTreeSet::new(), stack: 0, shallow: None }
    }

    /// Adds a run to the report, with the faults that were seen in it.
    pub fn add(&mut self, played: &Played, faults: Vec<SeenFault>) {
        let proof = &mut self.proof;
        proof.runs += played.runs;
        proof.calls += played.calls;
        for (app, bytes) in &played.memory_bytes {
            let most = proof.memory_bytes.entry(app.clone()).or_default();
            *most = (*most).max(*bytes);
        }
        for (app, slowest) in &played.slowest {
            longer(&mut proof.measured.slowest, app, slowest.clone());
        }
        for fault in faults {
            let same = |seen: &&mut SeenFault| {
                (&seen.kind, &seen.app, &seen.code) == (&fault.kind, &fault.app, &fault.code)
            };
            match proof.faults.iter_mut().find(same) {
                Some(seen) => seen.runs += 1,
                None => proof.faults.push(fault),
            }
        }
    }

    /// The apps with the stack that did so far.
    pub fn shallow(&mut self, prover: &Prover) -> &BTreeMap<AppId, Actor<'p>> {
        let program = |actor: &Actor<'p>| actor.app.load(prover, self.stack);
        let moved = |actor: &Actor<'p>| Actor { program: program(actor), ..actor.clone() };
        let load = || self.actors.iter().map(|(name, actor)| (name.clone(), moved(actor))).collect();
        self.shallow.get_or_insert_with(load)
    }

    /// The stack did not do.
    pub fn deepen(&mut self) {
        self.stack += 1;
        self.shallow = None;
    }

    /// Who stands in for whom, in words; empty if nobody does.
    pub fn words(&self) -> String {
        let words = |(app, alternate): (&AppId, &AppId)| format!(", with {alternate} in place of {app}");
        self.proof.standing_in.iter().map(words).collect()
    }
}
