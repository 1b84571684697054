//! `flotilla script`: check, generate, publish, list and show scripts.

mod check;
mod definition;
mod generate;
mod inputs;
mod proving;
mod publish;
mod report;

pub use proving::ProvingError;

use center_agent::api::types::{ScriptDetail, ScriptRow};
use clap::{Args, Subcommand};
use flotilla_schemas::ScriptId;
use flotilla_schemas::proof::Proof;
use serde::Serialize;

use crate::client::{Api, AskError, ClientError, List};
use crate::output::{self, BOLD, Cell, Table, joined, styled, word};

/// What is done with scripts.
#[derive(Debug, Subcommand)]
pub enum ScriptCommand {
    /// Check a script by its definition, with its event list and apps, before anybody sees it
    Check(check::Check),
    /// Make scripts from a definition, for people: all that it allows, or some by chance
    Generate(generate::Generate),
    /// Prove, sign and publish the script in a folder
    Publish(publish::Publish),
    /// List the published scripts
    #[command(after_help = "Example:\n  flotilla script list --json")]
    List(List),
    /// Show a script: its event lists, their apps, the services that run it
    #[command(after_help = "Example:\n  flotilla script show air-conditioner")]
    Show(Show),
}

/// A script with all that is known of it, and what was proven of it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    detail: &'a ScriptDetail,
    covered_percent: f64,
    proof: &'a Proof,
}

/// One script.
#[derive(Debug, Args)]
pub struct Show {
    /// The script
    pub name: ScriptId,
    /// Which script of the proof took each item
    #[arg(long)]
    pub items: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Carries out a command.
pub fn run(command: ScriptCommand) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        ScriptCommand::Check(check) => Ok(check::run(&check)?),
        ScriptCommand::Generate(generate) => Ok(generate::run(&generate)?),
        ScriptCommand::Publish(publish) => Ok(publish::run(&publish)?),
        ScriptCommand::List(list) => Ok(run_list(&list)?),
        ScriptCommand::Show(show) => Ok(run_show(&show)?),
    }
}

fn run_list(list: &List) -> Result<(), AskError> {
    let scripts: Vec<ScriptRow> = list.api.client()?.get("scripts")?;
    if list.json {
        return Ok(scripts.iter().try_for_each(output::json)?);
    }
    let mut table = Table::new(["SCRIPT", "VERSION", "COVERED", "EVENT LISTS", "APPS", "PUBLISHER"]);
    for ScriptRow { summary: script, covered_percent } in &scripts {
        let mut apps: Vec<_> = script.events.values().flatten().collect();
        apps.sort();
        apps.dedup();
        let cells = [joined(script.events.keys()), joined(apps), script.publisher.to_string()];
        let [lists, apps, publisher] = cells.map(Cell::text);
        let name = Cell::new(&script.script, BOLD);
        let covered = covered_percent.map_or_else(|| Cell::number("-"), report::covered);
        table.row([name, Cell::text(script.version), covered, lists, apps, publisher]);
    }
    Ok(table.print("no script is published; `flotilla script publish` publishes one")?)
}

fn run_show(show: &Show) -> Result<(), AskError> {
    let client = show.api.client()?;
    let script: ScriptDetail = client.get(&format!("scripts/{}", show.name))?;
    let proof = client.blob(&script.document.proof)?;
    let wrong = |cause: serde_json::Error| ClientError::Answer {
        what: "get the proof".into(),
        cause: cause.to_string(),
    };
    let proof: Proof = serde_json::from_slice(&proof).map_err(wrong)?;
    if show.json {
        return Ok(output::json(&Shown {
            detail: &script,
            covered_percent: proof.covered_percent(),
            proof: &proof,
        })?);
    }
    let row = &script.summary;
    let name = styled(BOLD, &row.script);
    output::line(format!("{name} {}\nrelease {}, signed by {}", row.version, row.release, row.publisher))?;
    output::line(format!("services {}\n", joined(&script.services)))?;
    let mut table = Table::new(["EVENT LIST", "APPS"]);
    for (events, apps) in &row.events {
        table.row([Cell::new(events, BOLD), Cell::text(joined(apps))]);
    }
    table.print("no event list")?;
    output::line("")?;
    let mut edges = Table::new(["EDGE", "STATE", "INSTALLED", "WAITS"]);
    for (edge, row) in &script.edges {
        let or_none = |text: &str| Cell::text(if text.is_empty() { "-" } else { text });
        let state = Cell::text(word(&row.state));
        edges.row([Cell::new(edge, BOLD), state, or_none(&row.installed), or_none(&row.waits)]);
    }
    edges.print("on no edge")?;
    output::line(format!("\n{}", styled(BOLD, "proven")))?;
    Ok(report::print(&proof, show.items)?)
}
