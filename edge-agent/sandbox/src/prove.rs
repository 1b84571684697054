//! Proof: before a script is published, everything that its definition lets a script say has been run, under the
//! grants and limits that a gateway will use.
//!
//! ```text
//! definition ─▶ items ─▶ generator ─▶ script ─▶ plan ─▶ play ─▶ verdict ─▶ ListProof
//! event list ─▶ bounds ─────┘                            │                    │
//! equipment that is well, then failing at each access ───┘      Refusal: reasons, and the shortest script
//! ```
//!
//! Scripts are made until every element, branch, repetition, attribute and value was taken, each argument's type at
//! both of its bounds; values just outside must be refused. Each script runs with equipment that is well, twice in a
//! row because residents stay in memory, and nothing may fail; and once more for each way in which equipment can fail
//! at each access of a point; a device that is silent or late is so as a whole. There an app may fail in ways that
//! were foreseen: it touches nothing that it was not granted, returns no fault that its manifest does not declare, and
//! the list of countermeasures has more to say of what is seen than it has of everything. A script is planned, loaded
//! and called as on an edge, and alternates stand in for the apps that name them.
//!
//! The same input and seed give the same report, but for what is [measured](flotilla_schemas::proof::Measured). The
//! one thing taken from a clock is when to stop ([`Budget::time`]): whoever proves again says how many scripts it
//! shall be ([`Settings::as_before`]).

mod bounds;
mod cast;
mod course;
mod play;
mod shortest;
mod stage;
mod trial;
mod verdict;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use flotilla_schemas::app::{Interface, Manifest};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::{End, ListProof};
use flotilla_schemas::{AppId, Digest};
use flotilla_script::{Budget as Size, Definition, EventList, Mapping};

use crate::check::{Wanted, check};
use crate::engine::{INSTANCES_MAX, Sandbox, SandboxError, SandboxLimits, WASM_STACK_BYTES};
use crate::equipment::Simulator;
use crate::interface::{Compiled, InterfaceError};

/// The stacks in which it is tried whether scripts run, in bytes; the last is an edge's own.
const STACKS: [usize; 7] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, WASM_STACK_BYTES];

/// An edge's own stack among them.
const OWN_STACK: usize = STACKS.len() - 1;

/// Proves scripts with the apps that it was given. Cheap to ask again: an app is compiled once.
pub struct Prover {
    compiler: Sandbox,
    /// One for each stack, with room for all apps.
    sandboxes: [OnceLock<Result<Sandbox, String>>; STACKS.len()],
    apps: BTreeMap<AppId, App>,
}

/// An app that takes part.
struct App {
    manifest: Manifest,
    interface: Interface,
    machine: Vec<u8>,
    wasm: Digest,
}

/// What is proven.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What scripts can say.
    pub definition: &'a Definition,
    /// What that makes apps do.
    pub list: &'a EventList,
    /// The equipment behind the apps. What its file says of misbehaviour is left out: a proof makes its own.
    pub simulator: &'a Simulator,
    /// What is done about faults.
    pub countermeasures: &'a Countermeasures,
}

/// How it is proven.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What chance begins with.
    pub seed: u64,
    /// How much is done at most.
    pub budget: Budget,
    /// End after so many scripts and for that reason, as another proof did whose budget was used up.
    pub as_before: Option<(u32, End)>,
    /// Whether a script that breaks the release is made as short as can be.
    pub shrink: bool,
}

/// How much is done at most.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// How long scripts are run; the search for the shortest one may take as long again.
    pub time: Duration,
    /// How many and how large.
    pub size: Size,
}

impl Default for Settings {
    /// Seed 1, a minute, and as much as a generator makes by itself.
    fn default() -> Self {
        let budget = Budget { time: Duration::from_secs(60), size: Size::default() };
        Self { seed: 1, budget, as_before: None, shrink: true }
    }
}

/// How far a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Scripts that were run.
    pub scripts: u32,
    /// Items that they took.
    pub covered: usize,
    /// Items that there are.
    pub items: usize,
    /// A script that breaks the release was found and is being made shorter; this is its size in bytes.
    pub shrinking: Option<usize>,
}

/// Why a release is not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// All that is wrong as far as it shows, one thing each.
    pub reasons: Vec<String>,
    /// A script that breaks it, if one was found.
    pub broken: Option<Broken>,
}

/// A script that its definition allows and that breaks a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The script.
    pub script: String,
    /// What happens, where in it, with which apps, and what equipment does meanwhile.
    pub reason: String,
    /// Whether no shorter one was found that breaks the release in the same way; otherwise the search was cut off.
    pub shortest: bool,
}

/// Why an app takes no part.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// It is no app.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Interface(Vec<InterfaceError>),
}

impl Prover {
    /// Without any app.
    pub fn new() -> Result<Self, SandboxError> {
        let compiler = Sandbox::new(SandboxLimits { instances: 1 })?;
        Ok(Self { compiler, sandboxes: Default::default(), apps: BTreeMap::new() })
    }

    /// Gives it an app, by the name in its manifest.
    ///
    /// # Errors
    /// The bytes are no component, or not one of an app.
    pub fn add(&mut self, manifest: Manifest, wasm: &[u8]) -> Result<(), AppError> {
        let Compiled { interface, machine } = self.compiler.compile_app(wasm).map_err(AppError::Interface)?;
        let app = App { interface, machine, wasm: Digest::of(wasm), manifest };
        self.apps.insert(app.manifest.app.clone(), app);
        self.sandboxes = Default::default();
        Ok(())
    }

    /// The components that take part.
    pub fn apps(&self) -> BTreeMap<AppId, Digest> {
        self.apps.iter().map(|(id, app)| (id.clone(), app.wasm)).collect()
    }

    /// Proves one event list. It takes its time and drives a runtime of its own: not to be called from one. `watch`
    /// is told now and then how far it is.
    ///
    /// # Errors
    /// Everything that breaks the release.
    pub fn list(
        &self,
        subject: &Subject<'_>,
        settings: &Settings,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<ListProof, Refusal> {
        let wrong = |error: std::io::Error| Refusal::of(format!("start a runtime: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(wrong)?;
        runtime.block_on(course::run(self, subject, settings, watch))
    }

    /// The sandbox with the stack of this index, or why there is none.
    fn with_stack(&self, index: usize) -> Result<&Sandbox, String> {
        let make = || {
            let instances = (self.apps.len() as u32).clamp(1, INSTANCES_MAX);
            let sandbox = Sandbox::with_stack(SandboxLimits { instances }, stack_bytes(index));
            sandbox.map_err(|error| error.to_string())
        };
        let place = self.sandboxes.get(index).ok_or("there is no such stack")?;
        place.get_or_init(make).as_ref().map_err(String::clone)
    }

    /// What can be said of the list without running anything.
    fn look(&self, subject: &Subject<'_>) -> Vec<String> {
        let list = subject.list;
        let fits = list.check(subject.definition).err();
        let mut reasons: Vec<String> =
            fits.into_iter().flat_map(|found| found.0).map(|one| one.to_string()).collect();
        for id in list.apps() {
            let Some(named) = self.apps.get(&id) else {
                reasons.push(format!("event list {} names the app {id}, which is not there", list.events));
                continue;
            };
            let wanted = wanted(list, &id);
            let alternates = named.manifest.alternates.iter().filter_map(|id| self.apps.get(id));
            for App { manifest, interface, .. } in std::iter::once(named).chain(alternates) {
                for error in check(interface, &manifest.grants, &wanted).err().unwrap_or_default() {
                    let reason = format!("{}: {error}", manifest.app);
                    // An alternate may stand in for several.
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
        }
        reasons
    }
}

/// What a list wants of an app, and of its alternates, each once.
pub fn wanted(list: &EventList, app: &AppId) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for mapping in list.operations().filter(|mapping| mapping.app == *app) {
        let call = Wanted::from(mapping);
        if !wanted.contains(&call) {
            wanted.push(call);
        }
    }
    wanted
}

impl From<&Mapping> for Wanted {
    fn from(mapping: &Mapping) -> Self {
        let args = mapping.args.iter().map(|arg| arg.ty.clone()).collect();
        Self { operation: mapping.operation.clone(), args }
    }
}

impl Refusal {
    fn of(reason: String) -> Self {
        Self { reasons: vec![reason], broken: None }
    }
}

/// The stack of this index, in bytes.
fn stack_bytes(index: usize) -> usize {
    STACKS.get(index).copied().unwrap_or(WASM_STACK_BYTES)
}
