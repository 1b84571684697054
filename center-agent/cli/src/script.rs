//! `flotilla script`: check, generate, publish, list and show scripts.

mod check;
mod definition;
mod generate;
mod publish;

use center_agent::api::types::{ScriptDetail, ScriptSummary};
use clap::{Args, Subcommand};
use flotilla_schemas::ScriptId;

use crate::app::joined;
use crate::client::{Api, AskError, List};
use crate::output::{self, BOLD, Cell, Table, styled};

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

/// One script.
#[derive(Debug, Args)]
pub struct Show {
    /// The script
    pub name: ScriptId,
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
    let scripts: Vec<ScriptSummary> = list.api.client()?.get("scripts")?;
    if list.json {
        return Ok(scripts.iter().try_for_each(output::json)?);
    }
    let mut table = Table::new(["SCRIPT", "VERSION", "EVENT LISTS", "APPS", "PUBLISHER"]);
    for script in &scripts {
        let mut apps: Vec<_> = script.events.values().flatten().collect();
        apps.sort();
        apps.dedup();
        let cells = [joined(script.events.keys()), joined(apps), script.publisher.to_string()];
        let [lists, apps, publisher] = cells.map(Cell::text);
        table.row([Cell::new(&script.script, BOLD), Cell::text(script.version), lists, apps, publisher]);
    }
    Ok(table.print("no script is published; `flotilla script publish` publishes one")?)
}

fn run_show(show: &Show) -> Result<(), AskError> {
    let script: ScriptDetail = show.api.client()?.get(&format!("scripts/{}", show.name))?;
    if show.json {
        return Ok(output::json(&script)?);
    }
    let row = &script.summary;
    let name = styled(BOLD, &row.script);
    output::line(format!("{name} {}\nrelease {}, signed by {}", row.version, row.release, row.publisher))?;
    output::line(format!("services {}\n", joined(&script.services)))?;
    let mut table = Table::new(["EVENT LIST", "APPS"]);
    for (events, apps) in &row.events {
        table.row([Cell::new(events, BOLD), Cell::text(joined(apps))]);
    }
    Ok(table.print("no event list")?)
}
