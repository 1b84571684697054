//! `flotilla app`: publish, list and show apps.
//!
//! Publishing checks, proves, compiles and signs on this machine, so that neither a gateway needs a compiler nor a
//! stolen center can make machine code. The center proves it all again.

mod limits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use center_agent::api::types::{AppDetail, AppSummary};
use clap::{Args, Subcommand};
use flotilla_sandbox::{Compiled, Sandbox, SandboxLimits, Target};
use flotilla_schemas::app::{Interface, Manifest};
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Artifact, Signed};

use crate::client::{Api, AskError, List};
use crate::edges::bytes;
use crate::output::{self, BOLD, Cell, DIM, Table, joined, styled, word};
use crate::publish::{self, PublishError, progress};
use crate::toml_file;

/// What is done with apps.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Check, prove, compile, sign and publish the app in a folder
    #[command(after_help = "Examples:\n  flotilla app publish ./aircon-north --key fleet/publisher.key\n  \
                            flotilla app publish ./meter --key fleet/publisher.key --target x86_64-linux --target aarch64-linux\n\n\
                            The folder holds app.toml, the manifest, and app.wasm, the component.")]
    Publish(Publish),
    /// List the published apps
    #[command(after_help = "Example:\n  flotilla app list --json")]
    List(List),
    /// Show an app: what it may touch, what it can do, where it is
    #[command(after_help = "Example:\n  flotilla app show aircon-north")]
    Show(Show),
}

/// An app to publish.
#[derive(Debug, Args)]
pub struct Publish {
    /// The folder with app.toml and app.wasm
    pub dir: PathBuf,
    /// The publisher's key, which the fleet file names
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What machine code is made for, such as aarch64-linux; may be said several times. Without it, for this machine
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<Target>,
    /// What `flotilla script check --prove --json` printed: limits that app.toml leaves out become twice the memory
    /// and ten times the time that were seen, at least a second. Without it they are 4 MiB and a second
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// Publish it even if published scripts call what it cannot do; what runs them fails until they are published anew
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// One app.
#[derive(Debug, Args)]
pub struct Show {
    /// The app
    pub name: AppId,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Carries out a command.
pub fn run(command: AppCommand) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        AppCommand::Publish(publish) => Ok(run_publish(&publish)?),
        AppCommand::List(list) => Ok(run_list(&list)?),
        AppCommand::Show(show) => Ok(run_show(&show)?),
    }
}

fn run_publish(publish: &Publish) -> Result<(), PublishError> {
    let key = publish::read_key(&publish.key)?;
    let client = publish.api.client()?;
    let mut manifest: Manifest = toml_file::read(&publish.dir.join("app.toml"))?;
    let wasm = publish::read(&publish.dir.join("app.wasm"), ARTIFACT_BYTES_MAX)?;
    if let Some(proof) = &publish.proof {
        limits::fill(&mut manifest, &publish.dir, &wasm, proof)?;
    }
    let what = format!("{} {}", manifest.app, manifest.version);
    let (release, machine) = make(&publish.dir, manifest, &wasm, &publish.targets)?;
    let signed = Signed::new(&release, &key)?;
    progress("signed", format!("with the key {}", key.id()));
    let files: Vec<&[u8]> = std::iter::once(&wasm).chain(machine.values()).map(Vec::as_slice).collect();
    publish::upload(&client, &files)?;
    let published = client.publish(if publish.force { "apps?force=true" } else { "apps" }, &signed)?;
    Ok(publish::published(&what, &published, publish.json)?)
}

/// Machine code by the runtime that it is for.
type Machine = BTreeMap<String, Vec<u8>>;

/// Checks and proves the app and makes its release and machine code.
fn make(
    dir: &Path,
    manifest: Manifest,
    wasm: &[u8],
    targets: &[Target],
) -> Result<(Release, Machine), PublishError> {
    let sandbox = Sandbox::new(SandboxLimits { instances: 1 })?;
    progress("compiling", format!("{} of app.wasm", bytes(wasm.len() as u64)));
    let begin = Instant::now();
    let Compiled { interface, machine } =
        sandbox.compile_app(wasm).map_err(|errors| PublishError::unfit(dir, &errors))?;
    let took = begin.elapsed();
    let (operations, imports) = (interface.operations.len(), interface.imports.len());
    progress(
        "checked",
        format!(
            "{operations} {}, {imports} {}",
            output::plural(operations, "operation"),
            output::plural(imports, "import")
        ),
    );
    let own = sandbox.runtime();
    let mut machines = Machine::new();
    if targets.is_empty() || targets.iter().any(|target| target.runtime() == own) {
        compiled(&own, &machine, took);
        machines.insert(own.clone(), machine);
    }
    for target in targets.iter().filter(|target| target.runtime() != own) {
        let begin = Instant::now();
        let machine = sandbox.compile_for(wasm, *target)?;
        compiled(&target.runtime(), &machine, begin.elapsed());
        machines.insert(target.runtime(), machine);
    }
    let artifacts = machines.iter().map(|(runtime, code)| (runtime.clone(), Artifact::of(code))).collect();
    let release = Release { manifest, interface, wasm: Artifact::of(wasm), machine: artifacts };
    let found = Ok(release.interface.clone());
    center_agent::prove::app(&release, wasm, found).map_err(|errors| PublishError::unfit(dir, &errors))?;
    progress("proved", "the manifest's bounds, its grants, what it exports");
    Ok((release, machines))
}

fn compiled(runtime: &str, machine: &[u8], took: Duration) {
    let (size, seconds) = (bytes(machine.len() as u64), took.as_secs_f64());
    progress("compiled", format!("{size} for {runtime} in {seconds:.1} s"));
}

fn run_list(list: &List) -> Result<(), AskError> {
    let apps: Vec<AppSummary> = list.api.client()?.get("apps")?;
    if list.json {
        return Ok(apps.iter().try_for_each(output::json)?);
    }
    let mut table =
        Table::new(["APP", "VERSION", "MAKER", "RESIDENCE", "ALTERNATES", "SIZE", "EDGES", "PUBLISHER"]);
    for app in &apps {
        table.row([
            Cell::new(&app.app, BOLD),
            Cell::text(app.version),
            Cell::text(&app.maker),
            Cell::text(word(&app.residence)),
            Cell::text(joined(&app.alternates)),
            Cell::number(bytes(app.wasm_bytes)),
            Cell::number(app.edges_installed),
            Cell::text(&app.publisher),
        ]);
    }
    Ok(table.print("no app is published; `flotilla app publish` publishes one")?)
}

fn run_show(show: &Show) -> Result<(), AskError> {
    let app: AppDetail = show.api.client()?.get(&format!("apps/{}", show.name))?;
    if show.json {
        return Ok(output::json(&app)?);
    }
    let (row, manifest) = (&app.summary, &app.document.manifest);
    output::line(format!(
        "{} {} by {}, {}\nrelease {}, signed by {}\nalternates {}\nruntimes {}\n",
        styled(BOLD, &row.app),
        row.version,
        row.maker,
        word(&row.residence),
        row.release,
        row.publisher,
        joined(&row.alternates),
        joined(&row.runtimes),
    ))?;
    output::line(format!("{}\n{}", styled(BOLD, "may touch"), grants(manifest)))?;
    output::line(format!("{}\n{}\n", styled(BOLD, "can do"), operations(&app.document.interface)))?;
    let mut table = Table::new(["EDGE", "STATE", "INSTALLED", "REPLACED BY", "WAITS"]);
    for (edge, row) in &app.edges {
        let texts = [row.installed.clone(), row.replaced_by.clone(), row.waits.clone()];
        let [installed, replaced, waits] = texts.map(|text| if text.is_empty() { "-".into() } else { text });
        let [installed, replaced, waits] = [installed, replaced, waits].map(Cell::text);
        table.row([Cell::new(edge, BOLD), Cell::text(word(&row.state)), installed, replaced, waits]);
    }
    Ok(table.print("on no edge")?)
}

fn grants(manifest: &Manifest) -> String {
    let grants = &manifest.grants;
    let mut lines = Vec::new();
    for (verb, devices) in [("read", &grants.device_read), ("write", &grants.device_write)] {
        lines.extend(devices.iter().map(|d| format!("  {verb} {}: {}", d.device, joined(&d.points))));
    }
    lines.extend((!grants.events.is_empty()).then(|| format!("  events: {}", joined(&grants.events))));
    lines.extend(grants.kv.then(|| "  its own keys and values".to_owned()));
    let limits = &manifest.limits;
    let memory = bytes(limits.memory_bytes.into());
    lines.push(styled(DIM, format!("  at most {memory} and {} ms for an operation", limits.deadline_ms)));
    lines.join("\n")
}

fn operations(interface: &Interface) -> String {
    let operation = |operation: &flotilla_schemas::app::Operation| {
        let params: Vec<String> = operation.params.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        let result = operation.result.as_ref().map(|ty| format!(" → {ty}")).unwrap_or_default();
        format!("  {}({}){result}", operation.name, params.join(", "))
    };
    interface.operations.iter().map(operation).collect::<Vec<_>>().join("\n")
}
