//! `flotilla script check`: everything that can be said of a script before it runs, without a center.
//!
//! Each file is read as far as it can be, so that one run names what is wrong in all of them. Diagnostics go to
//! standard error as `FILE:LINE:COL: what`, which editors understand; what is right goes to standard output.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use center_agent::prove::range::Offered;
use center_agent::prove::{File, ScriptFiles};
use clap::Args;
use flotilla_sandbox::{FILE_BYTES_MAX, Sandbox, SandboxError, SandboxLimits, Wanted};
use flotilla_schemas::app::{Grants, Interface, Manifest};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;
use flotilla_schemas::proof::Proof;
use flotilla_schemas::{AppId, EventsId, IdError};
use flotilla_script::limit::{DEFINITION_BYTES_MAX, EVENT_LIST_BYTES_MAX, SCRIPT_BYTES_MAX};
use flotilla_script::{Definition, Diagnostic, Diagnostics, EventList, PlanError, Script, Step};
use serde_json::json;

use super::proving::{Proving, ProvingError};
use super::report;
use crate::output;
use crate::toml_file::{self, TomlError, read_bounded};

/// What is checked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flotilla script check --definition definition.dtd script.xml\n  \
    flotilla script check --definition definition.dtd --events events-large.json --app ./aircon/app.wasm script.xml\n  \
    flotilla script check --definition definition.dtd --events events-large.json --app ./aircon/app.wasm \
    --equipment equipment.toml --prove script.xml")]
pub struct Check {
    /// The script, XML
    pub script: PathBuf,
    /// Its definition, a DTD
    #[arg(long, value_name = "FILE")]
    pub definition: PathBuf,
    /// An event list, JSON: also checks what each step would call, and with which values
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// An app of the event list: also checks that it exports what is called. Its name is read from the app.toml
    /// beside it; write APP=FILE where there is none. May be given more than once
    #[arg(long, value_name = "[APP=]FILE", requires = "events")]
    pub app: Vec<NamedApp>,
    /// Run everything that the definition allows, with the apps as their app.toml grants and limits them
    #[arg(long, requires = "events", requires = "app")]
    pub prove: bool,
    /// The devices that it is proven on, an equipment.toml
    #[arg(long, value_name = "FILE", requires = "prove")]
    pub equipment: Option<PathBuf>,
    /// What is done about faults [default: the standard list]
    #[arg(long, value_name = "FILE", requires = "prove")]
    pub countermeasures: Option<PathBuf>,
    #[command(flatten)]
    pub proving: Proving,
    /// Also print which script took each item
    #[arg(long, requires = "prove")]
    pub items: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// A component, and the app that it is if that was said.
#[derive(Debug, Clone)]
pub struct NamedApp {
    name: Option<AppId>,
    file: PathBuf,
}

impl FromStr for NamedApp {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once('=') {
            Some((name, file)) => Ok(Self { name: Some(name.parse()?), file: file.into() }),
            None => Ok(Self { name: None, file: text.into() }),
        }
    }
}

/// Why a script was not found right.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Files could not be read.
    #[error("read {}", .0.join("; "))]
    Read(Vec<String>),
    /// There is something wrong; it was printed.
    #[error("check {file}: {count} {}", output::plural(*.count, "error"))]
    Found {
        /// The script.
        file: PathBuf,
        /// How many errors there are.
        count: usize,
    },
    /// The list of countermeasures is not right.
    #[error(transparent)]
    Countermeasures(#[from] TomlError),
    /// It does not hold over its whole range.
    #[error(transparent)]
    Proving(#[from] ProvingError),
    /// The sandbox could not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

/// Checks, and prints what was found.
pub fn run(check: &Check) -> Result<(), CheckError> {
    let mut report = Report::default();
    let steps = report.check(check)?;
    let inputs = check.prove.then(|| Inputs::read(check, &mut report)).flatten();
    if !report.unreadable.is_empty() {
        return Err(CheckError::Read(report.unreadable));
    }
    let proof = inputs.filter(|_| report.is_provable).map(|inputs| inputs.prove(check)).transpose()?;
    print(check, &report.found, steps.as_deref(), proof.as_ref())?;
    match report.found.len() {
        0 => Ok(()),
        count => Err(CheckError::Found { file: check.script.clone(), count }),
    }
}

/// What was found so far.
#[derive(Default)]
struct Report {
    found: Vec<Diagnostic>,
    unreadable: Vec<String>,
    /// Whether every file is right by itself: how they fit, the proof says better.
    is_provable: bool,
    /// Apps that may stand in for those that the list names.
    alternates: BTreeSet<AppId>,
}

/// What a proof is made of.
struct Inputs {
    definition: Vec<u8>,
    text: Vec<u8>,
    events: (EventsId, Vec<u8>),
    equipment: Option<Vec<u8>>,
    apps: Vec<Offered>,
}

impl Inputs {
    /// Reads the files again that were checked, and those that only a proof needs.
    fn read(check: &Check, report: &mut Report) -> Option<Self> {
        let apps = check.app.iter().map(|app| {
            let manifest = toml_file::read(&app.file.with_file_name("app.toml"));
            let manifest = manifest.map_err(|error| report.unreadable.push(output::chain(&error))).ok()?;
            Some(Offered { manifest, wasm: report.read(&app.file, ARTIFACT_BYTES_MAX)? })
        });
        let apps = apps.collect::<Option<Vec<_>>>()?;
        let equipment = match &check.equipment {
            Some(file) => Some(report.read(file, FILE_BYTES_MAX as u64)?),
            None => None,
        };
        let path = check.events.as_ref()?;
        let events = report.read(path, EVENT_LIST_BYTES_MAX as u64)?;
        let list = EventList::parse(&path.display().to_string(), &events).ok()?;
        Some(Self {
            definition: report.read(&check.definition, DEFINITION_BYTES_MAX as u64)?,
            text: report.read(&check.script, SCRIPT_BYTES_MAX as u64)?,
            events: (list.events, events),
            equipment,
            apps,
        })
    }

    fn prove(self, check: &Check) -> Result<Proof, CheckError> {
        let countermeasures = match &check.countermeasures {
            Some(file) => toml_file::read(file)?,
            None => Countermeasures::standard(),
        };
        let name = |path: &Path| path.display().to_string();
        let names = [&check.definition, &check.script].map(|path| name(path));
        let [definition, text] = &names;
        let events = check.events.as_deref().map(name).unwrap_or_default();
        let equipment = check.equipment.as_deref().map(name).unwrap_or_default();
        let (id, bytes) = &self.events;
        let files = ScriptFiles {
            definition: File { name: definition, bytes: &self.definition },
            text: File { name: text, bytes: &self.text },
            events: [(id.clone(), File { name: &events, bytes })].into(),
            equipment: self.equipment.as_ref().map(|bytes| File { name: &equipment, bytes }),
        };
        let stem = check.script.file_stem().unwrap_or_default().to_string_lossy();
        Ok(check.proving.prove(&stem, &files, &self.apps, &countermeasures)?)
    }
}

impl Report {
    /// Checks everything; the steps, where it came that far.
    fn check(&mut self, check: &Check) -> Result<Option<Vec<Step>>, CheckError> {
        let definition = self.parse(&check.definition, DEFINITION_BYTES_MAX, Definition::parse);
        let script = self.parse(&check.script, SCRIPT_BYTES_MAX, |file, text| match &definition {
            Some(definition) => Script::parse(file, text, definition).map(Some),
            None => Ok(None),
        });
        let Some(events) = &check.events else { return Ok(None) };
        let Some(list) = self.parse(events, EVENT_LIST_BYTES_MAX, EventList::parse) else { return Ok(None) };
        self.is_provable = definition.is_some() && script.is_some();
        if let Some(definition) = &definition {
            self.take(list.check(definition));
        }
        self.check_apps(check, events, &list)?;
        let plan = script.flatten().map(|script| script.plan(&list));
        Ok(plan.and_then(|plan| {
            self.take(plan.map_err(|(PlanError::Unmapped(found) | PlanError::Invalid(found))| found))
        }))
    }

    fn parse<T>(
        &mut self,
        path: &Path,
        bytes_max: usize,
        parse: impl FnOnce(&str, &[u8]) -> Result<T, Diagnostics>,
    ) -> Option<T> {
        let bytes = self.read(path, bytes_max as u64)?;
        self.take(parse(&path.display().to_string(), &bytes))
    }

    fn read(&mut self, path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
        let bytes = read_bounded(path, bytes_max);
        bytes.map_err(|error| self.unreadable.push(format!("{}: {error}", path.display()))).ok()
    }

    fn take<T>(&mut self, result: Result<T, Diagnostics>) -> Option<T> {
        result.map_err(|Diagnostics(found)| self.found.extend(found)).ok()
    }

    /// What an app or a list as a whole is accused of stands at the file's beginning.
    fn accuse(&mut self, file: &Path, message: String) {
        self.found.push(Diagnostic { file: file.display().to_string(), line: 1, col: 1, message });
    }

    fn check_apps(&mut self, check: &Check, events: &Path, list: &EventList) -> Result<(), CheckError> {
        if check.app.is_empty() {
            return Ok(());
        }
        let sandbox = Sandbox::new(SandboxLimits { instances: 1 })?;
        let manifests = check.app.iter().map(|app| app.file.with_file_name("app.toml"));
        let manifests = manifests.filter_map(|file| toml_file::read::<Manifest>(&file).ok());
        self.alternates = manifests.flat_map(|manifest| manifest.alternates).collect();
        for app in &check.app {
            let Some(wasm) = self.read(&app.file, ARTIFACT_BYTES_MAX) else { continue };
            let interface = match sandbox.inspect(&wasm) {
                Ok(interface) => interface,
                Err(errors) => {
                    errors.iter().for_each(|error| self.accuse(&app.file, error.to_string()));
                    continue;
                }
            };
            let manifest = toml_file::read(&app.file.with_file_name("app.toml")).ok();
            match name(app, manifest.as_ref(), list) {
                Some(name) => self.check_app(events, list, &name, interface, manifest),
                None => self
                    .accuse(&app.file, "no app.toml beside it says which app it is; write APP=FILE".into()),
            }
        }
        Ok(())
    }

    fn check_app(
        &mut self,
        events: &Path,
        list: &EventList,
        name: &AppId,
        mut interface: Interface,
        manifest: Option<Manifest>,
    ) {
        if !list.apps().contains(name) && !self.alternates.contains(name) {
            return self.accuse(events, format!("the list does not name the app {name}"));
        }
        let wanted: Vec<Wanted> = list
            .operations()
            .filter(|mapping| mapping.app == *name)
            .map(|mapping| Wanted {
                operation: mapping.operation.clone(),
                args: mapping.args.iter().map(|arg| arg.ty.clone()).collect(),
            })
            .collect();
        // Without a manifest nothing is known of grants, so none is missed.
        let grants = manifest.map(|manifest| manifest.grants).unwrap_or_else(|| {
            interface.imports.clear();
            Grants::default()
        });
        for error in flotilla_sandbox::check(&interface, &grants, &wanted).err().unwrap_or_default() {
            self.accuse(events, format!("{name}: {error}"));
        }
    }
}

/// Which app the component is: as was said, as its manifest says, or the only one that the list names.
fn name(app: &NamedApp, manifest: Option<&Manifest>, list: &EventList) -> Option<AppId> {
    let only = || (list.apps().len() == 1).then(|| list.apps().into_iter().next()).flatten();
    app.name.clone().or_else(|| Some(manifest?.app.clone())).or_else(only)
}

fn print(
    check: &Check,
    found: &[Diagnostic],
    steps: Option<&[Step]>,
    proof: Option<&Proof>,
) -> io::Result<()> {
    if check.json {
        let diagnostic =
            |d: &Diagnostic| json!({"file": d.file, "line": d.line, "col": d.col, "message": d.message});
        let diagnostics: Vec<_> = found.iter().map(diagnostic).collect();
        let steps = steps.map(<[Step]>::len);
        let mut report = json!({"ok": found.is_empty(), "diagnostics": diagnostics, "steps": steps});
        if let (Some(fields), Some(proof)) = (report.as_object_mut(), proof) {
            let limits = proof.apps.keys().filter_map(|app| Some((app, proof.limits(app)?)));
            fields.insert("limits".to_owned(), json!(limits.collect::<BTreeMap<_, _>>()));
            fields.insert("proof".to_owned(), serde_json::to_value(proof)?);
        }
        return output::json(&report);
    }
    found.iter().for_each(output::note);
    if !found.is_empty() {
        return Ok(());
    }
    let script = check.script.display();
    match steps {
        None => output::line(format!("{script}: right by its definition")),
        Some(steps) => {
            let calls = steps.iter().filter(|step| step.call.is_some()).count();
            output::line(format!(
                "{script}: right; {} step events, {calls} of them call an operation",
                steps.len()
            ))
        }
    }?;
    proof.map_or(Ok(()), |proof| report::print(proof, check.items))
}
