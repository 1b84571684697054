//! What is proved of a release before it is published: once by its publisher, on the publisher's machine, and again
//! by the center, by these very functions.
//!
//! Nothing runs here but the proof of a script's whole [`range`](range::prove). All that is wrong is told, not just
//! the first.

pub mod callers;
pub mod range;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_sandbox::{CheckError, InterfaceError, check};
use flotilla_schemas::app::{Interface, ManifestError};
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Artifact, EventsId};
use flotilla_script::{Definition, Diagnostic, Diagnostics, EventList, PlanError, Script};

/// The most runtimes that a release has machine code for.
pub const RUNTIMES_MAX: usize = 16;

/// The most event lists of a script.
pub const EVENT_LISTS_MAX: usize = 64;

/// One thing that is wrong with a release of an app.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AppError {
    /// The manifest breaks a bound.
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The component is not the one that the release describes.
    #[error("the component is not the one that the release describes")]
    Component,
    /// It is too large.
    #[error("the component has {0} bytes, more than {ARTIFACT_BYTES_MAX}")]
    Size(u64),
    /// The component is no app.
    #[error("{0}")]
    Interface(#[from] InterfaceError),
    /// The release says other things of the component than it says itself.
    #[error("the release says that the app imports and exports other things than it does")]
    OtherInterface,
    /// It needs what its manifest does not grant.
    #[error("{0}")]
    Grants(CheckError),
    /// It cannot do what its manifest says that it does by itself.
    #[error("manifest: run: {0}")]
    OwnRun(String),
    /// No machine code, or for too many runtimes.
    #[error("it has machine code for {0} runtimes, not for 1 to {RUNTIMES_MAX}")]
    Runtimes(usize),
}

/// Proves a release of an app: its bounds, that this is its component, that the component is what the release says,
/// and that its grants cover its imports. `found` is what a sandbox says of the component. That the machine code is there,
/// the one who stores it checks.
pub fn app(
    release: &Release,
    wasm: &[u8],
    found: Result<Interface, Vec<InterfaceError>>,
) -> Result<(), Vec<AppError>> {
    let mut errors: Vec<AppError> = release.manifest.check().into_iter().map(AppError::from).collect();
    if Artifact::of(wasm) != release.wasm {
        errors.push(AppError::Component);
    }
    if wasm.len() as u64 > ARTIFACT_BYTES_MAX {
        errors.push(AppError::Size(wasm.len() as u64));
    }
    if !(1..=RUNTIMES_MAX).contains(&release.machine.len()) {
        errors.push(AppError::Runtimes(release.machine.len()));
    }
    match found {
        Ok(interface) => errors.extend(fits(&interface, release)),
        Err(wrong) => errors.extend(wrong.into_iter().map(AppError::from)),
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn fits(interface: &Interface, release: &Release) -> Vec<AppError> {
    let other = (*interface != release.interface).then_some(AppError::OtherInterface);
    let ungranted = check(interface, &release.manifest.grants, &[]).err().unwrap_or_default();
    let own = own_run(interface, release).err().map(AppError::OwnRun);
    other.into_iter().chain(ungranted.into_iter().map(AppError::Grants)).chain(own).collect()
}

/// Whether the app can be called as it declares for itself.
fn own_run(interface: &Interface, release: &Release) -> Result<(), String> {
    let Some(own) = &release.manifest.run else { return Ok(()) };
    let name = &own.operation;
    let operation = interface.operation(name).ok_or_else(|| format!("the app has no operation {name}"))?;
    let (takes, given) = (operation.params.len(), own.args.len());
    if takes != given {
        return Err(format!("{name} takes {takes} arguments, not {given}"));
    }
    let mut args = operation.params.iter().zip(&own.args);
    args.try_for_each(|((param, ty), arg)| ty.check(arg).map_err(|error| format!("{name}: {param}: {error}")))
}

/// A file of a script: what diagnostics call it, and its bytes.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The files of a script.
#[derive(Debug, Clone)]
pub struct ScriptFiles<'a> {
    /// The definition, which was found right by itself.
    pub definition: &'a Definition,
    /// The script, XML.
    pub text: File<'a>,
    /// Its event lists.
    pub events: BTreeMap<EventsId, File<'a>>,
    /// The equipment to prove it on, if its apps need any.
    pub equipment: Option<File<'a>>,
}

/// One thing that is wrong with a script.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScriptError {
    /// At a place in one of its files.
    #[error("{0}")]
    Text(Diagnostic),
    /// None, or too many.
    #[error("it has {0} event lists, not 1 to {EVENT_LISTS_MAX}")]
    EventLists(usize),
    /// A list that says that it is another.
    #[error("event list {named} says that it is {found}")]
    OtherList {
        /// As the release names it.
        named: EventsId,
        /// As it names itself.
        found: EventsId,
    },
    /// A list names an app that nobody published.
    #[error("event list {events} names the app {app}, which is not published")]
    Unpublished {
        /// The list.
        events: EventsId,
        /// The app.
        app: AppId,
    },
}

/// Proves the files of a script: the script by its definition, each event list by both, and that the apps that each
/// list names are published. `apps` has their newest releases; more do no harm. Returns the apps that each list names.
pub fn script(
    files: &ScriptFiles<'_>,
    apps: &BTreeMap<AppId, Release>,
) -> Result<BTreeMap<EventsId, BTreeSet<AppId>>, Vec<ScriptError>> {
    let mut inspection = Inspection { apps, errors: Vec::new(), named: BTreeMap::new() };
    if !(1..=EVENT_LISTS_MAX).contains(&files.events.len()) {
        inspection.errors.push(ScriptError::EventLists(files.events.len()));
    }
    let script = inspection.told(Script::parse(files.text.name, files.text.bytes, files.definition));
    for (events, file) in &files.events {
        inspection.list(events, *file, files.definition, script.as_ref());
    }
    if inspection.errors.is_empty() { Ok(inspection.named) } else { Err(inspection.errors) }
}

/// What was found of a script so far.
struct Inspection<'a> {
    apps: &'a BTreeMap<AppId, Release>,
    errors: Vec<ScriptError>,
    named: BTreeMap<EventsId, BTreeSet<AppId>>,
}

impl Inspection<'_> {
    fn told<T>(&mut self, result: Result<T, Diagnostics>) -> Option<T> {
        let tell = |Diagnostics(all): Diagnostics| self.errors.extend(all.into_iter().map(ScriptError::Text));
        result.map_err(tell).ok()
    }

    fn list(&mut self, events: &EventsId, file: File<'_>, definition: &Definition, script: Option<&Script>) {
        let Some(list) = self.told(EventList::parse(file.name, file.bytes)) else { return };
        if list.events != *events {
            self.errors.push(ScriptError::OtherList { named: events.clone(), found: list.events.clone() });
        }
        let fits = self.told(list.check(definition)).is_some();
        // A list that does not fit the definition would say the same again of the script.
        if let Some(script) = script.filter(|_| fits) {
            let plan = script.plan(&list).map_err(|(PlanError::Unmapped(all) | PlanError::Invalid(all))| all);
            self.told(plan);
        }
        self.published(events, &list);
        self.named.insert(events.clone(), list.apps());
    }

    fn published(&mut self, events: &EventsId, list: &EventList) {
        for app in list.apps().into_iter().filter(|app| !self.apps.contains_key(app)) {
            self.errors.push(ScriptError::Unpublished { events: events.clone(), app });
        }
    }
}

/// The apps that take part in the proof of lists that name these: they, and their published alternates.
pub fn taking_part<'a>(
    named: impl Iterator<Item = &'a AppId>,
    published: &'a BTreeMap<AppId, Release>,
) -> BTreeMap<&'a AppId, &'a Release> {
    let named: Vec<_> = named.filter_map(|app| published.get_key_value(app)).collect();
    let alternates = named.iter().flat_map(|(_, release)| &release.manifest.alternates);
    let alternates = alternates.filter_map(|app| published.get_key_value(app));
    named.iter().copied().chain(alternates).collect()
}
