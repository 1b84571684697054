//! Who proves: the apps that take part, compiled, and the stacks in which they are tried.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use flotilla_schemas::app::{Interface, Manifest};
use flotilla_schemas::{AppId, Digest};
use flotilla_script::{EventList, Mapping};

use super::settings::Subject;
use crate::check::{Wanted, check};
use crate::engine::{INSTANCES_MAX, Sandbox, SandboxError, SandboxLimits, WASM_STACK_BYTES};
use crate::interface::{Compiled, InterfaceError};

/// The stacks in which it is tried whether scripts run, in bytes; the last is an edge's own.
const STACKS: [usize; 7] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, WASM_STACK_BYTES];

/// An edge's own stack among them.
pub(super) const OWN_STACK: usize = STACKS.len() - 1;

/// Proves scripts with the apps that it was given. Cheap to ask again: an app is compiled once.
pub struct Prover {
    pub(super) compiler: Sandbox,
    /// One for each stack, with room for all apps.
    sandboxes: [OnceLock<Result<Sandbox, String>>; STACKS.len()],
    pub(super) apps: BTreeMap<AppId, App>,
}

/// An app that takes part.
pub(super) struct App {
    pub manifest: Manifest,
    pub interface: Interface,
    pub machine: Vec<u8>,
    pub wasm: Digest,
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

    /// The sandbox with the stack of this index, or why there is none.
    pub(super) fn with_stack(&self, index: usize) -> Result<&Sandbox, String> {
        let make = || {
            let instances = (self.apps.len() as u32).clamp(1, INSTANCES_MAX);
            let sandbox = Sandbox::with_stack(SandboxLimits { instances }, stack_bytes(index));
            sandbox.map_err(|error| error.to_string())
        };
        let place = self.sandboxes.get(index).ok_or("there is no such stack")?;
        place.get_or_init(make).as_ref().map_err(String::clone)
    }

    /// What can be said of the list without running anything.
    pub(super) fn look(&self, subject: &Subject<'_>) -> Vec<String> {
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

/// The stack of this index, in bytes.
pub(super) fn stack_bytes(index: usize) -> usize {
    STACKS.get(index).copied().unwrap_or(WASM_STACK_BYTES)
}
