//! `flotilla script check`: everything that can be said of a script before it runs, without a center.
//!
//! Each file is read as far as it can be, so that one run names what is wrong in all of them. Diagnostics go to
//! standard error as `FILE:LINE:COL: what`, which editors understand; what is right goes to standard output.

mod args;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use flotilla_sandbox::prove::wanted;
use flotilla_sandbox::{Sandbox, SandboxError, SandboxLimits, Wanted};
use flotilla_schemas::AppId;
use flotilla_schemas::app::{Grants, Interface, Manifest};
use flotilla_schemas::proof::Proof;
use flotilla_script::{Definition, Diagnostic, Diagnostics, EventList, PlanError, Script, Step};
use serde_json::json;

use super::inputs::{App, Inputs};
use super::proving::ProvingError;
use super::{definition, report};
use crate::output;
pub use args::Check;
use args::NamedApp;

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
    let inputs = Inputs::read(check).map_err(CheckError::Read)?;
    let mut report = Report::default();
    let Checked { provable, steps } = report.check(check, &inputs)?;
    let provable = provable.filter(|_| check.prove);
    let proof = provable.map(|(definition, list)| inputs.prove(&definition, &list));
    print(check, &report.found, steps.as_deref(), proof.as_ref())?;
    proof.transpose()?;
    match report.found.len() {
        0 => Ok(()),
        count => Err(CheckError::Found { file: check.script.clone(), count }),
    }
}

/// What could be read of a check's files.
#[derive(Default)]
struct Checked {
    /// There if every file is right by itself: how they fit, the proof says better.
    provable: Option<(Definition, EventList)>,
    steps: Option<Vec<Step>>,
}

/// What was found so far.
#[derive(Default)]
struct Report {
    found: Vec<Diagnostic>,
}

impl Report {
    /// Checks everything, as far as it comes.
    fn check(&mut self, check: &Check, inputs: &Inputs<'_>) -> Result<Checked, SandboxError> {
        let Inputs { definition, script, events, .. } = inputs;
        let definition = self.take(definition::parse(&check.definition, &definition.bytes, &check.include));
        let parse = |definition| self.take(Script::parse(&script.name, &script.bytes, definition));
        let script = definition.as_ref().and_then(parse);
        let list = events.as_ref().and_then(|file| self.take(EventList::parse(&file.name, &file.bytes)));
        let (Some(events), Some(list)) = (&check.events, list) else { return Ok(Checked::default()) };
        if let Some(definition) = &definition {
            self.take(list.check(definition));
        }
        self.check_apps(check, &inputs.apps, events, &list)?;
        let plan = script.as_ref().map(|script| script.plan(&list));
        let steps = plan.and_then(|plan| {
            self.take(plan.map_err(|(PlanError::Unmapped(found) | PlanError::Invalid(found))| found))
        });
        let definition = definition.filter(|_| script.is_some());
        Ok(Checked { provable: definition.map(|definition| (definition, list)), steps })
    }

    fn take<T>(&mut self, result: Result<T, Diagnostics>) -> Option<T> {
        result.map_err(|Diagnostics(found)| self.found.extend(found)).ok()
    }

    /// What an app or a list as a whole is accused of stands at the file's beginning.
    fn accuse(&mut self, file: &Path, message: String) {
        self.found.push(Diagnostic { file: file.display().to_string(), line: 1, col: 1, message });
    }

    fn check_apps(
        &mut self,
        check: &Check,
        apps: &[App],
        events: &Path,
        list: &EventList,
    ) -> Result<(), SandboxError> {
        if apps.is_empty() {
            return Ok(());
        }
        let sandbox = Sandbox::new(SandboxLimits { instances: 1 })?;
        for (named, App { wasm, manifest }) in check.app.iter().zip(apps) {
            let interface = match sandbox.inspect(wasm) {
                Ok(interface) => interface,
                Err(errors) => {
                    errors.iter().for_each(|error| self.accuse(&named.file, error.to_string()));
                    continue;
                }
            };
            match name(named, manifest.as_ref(), list) {
                Some(name) => {
                    let wanted = wanted_as_alternate(apps, list, &name).chain(wanted(list, &name)).collect();
                    self.check_app(events, &name, wanted, interface, manifest.as_ref())
                }
                None => self
                    .accuse(&named.file, "no app.toml beside it says which app it is; write APP=FILE".into()),
            }
        }
        Ok(())
    }

    fn check_app(
        &mut self,
        events: &Path,
        name: &AppId,
        wanted: Vec<Wanted>,
        mut interface: Interface,
        manifest: Option<&Manifest>,
    ) {
        if wanted.is_empty() {
            return self.accuse(events, format!("the list does not name the app {name}"));
        }
        // Without a manifest nothing is known of grants, so none is missed.
        let grants = manifest.map(|manifest| manifest.grants.clone()).unwrap_or_else(|| {
            interface.imports.clear();
            Grants::default()
        });
        for error in flotilla_sandbox::check(&interface, &grants, &wanted).err().unwrap_or_default() {
            self.accuse(events, format!("{name}: {error}"));
        }
    }
}

/// What the list wants of the apps that this one may stand in for.
fn wanted_as_alternate(apps: &[App], list: &EventList, name: &AppId) -> impl Iterator<Item = Wanted> {
    let manifests = apps.iter().filter_map(|app| app.manifest.as_ref());
    let names_it = manifests.filter(|manifest| manifest.alternates.contains(name));
    names_it.flat_map(|manifest| wanted(list, &manifest.app))
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
    proof: Option<&Result<Proof, ProvingError>>,
) -> io::Result<()> {
    let is_refused = proof.is_some_and(Result::is_err);
    if check.json {
        let diagnostic =
            |d: &Diagnostic| json!({"file": d.file, "line": d.line, "col": d.col, "message": d.message});
        let diagnostics: Vec<_> = found.iter().map(diagnostic).collect();
        let steps = steps.map(<[Step]>::len);
        let ok = found.is_empty() && !is_refused;
        let mut report =
            BTreeMap::from([("ok", json!(ok)), ("diagnostics", json!(diagnostics)), ("steps", json!(steps))]);
        match proof {
            Some(Ok(proof)) => {
                let limits = proof.apps.keys().filter_map(|app| Some((app, proof.limits(app)?)));
                report.insert("limits", json!(limits.collect::<BTreeMap<_, _>>()));
                report.insert("proof", json!(proof));
            }
            Some(Err(error)) => _ = report.insert("refusal", error.json()),
            None => {}
        }
        return output::json(&report);
    }
    found.iter().for_each(output::note);
    if !found.is_empty() || is_refused {
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
    proof.and_then(|proof| proof.as_ref().ok()).map_or(Ok(()), |proof| report::print(proof, check.items))
}
