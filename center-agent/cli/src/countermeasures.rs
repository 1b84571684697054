//! `flotilla countermeasures`: replace the list of what is done about faults, or show it.
//!
//! The file is checked here as the center checks it, so a bad one is refused with all that is wrong with it before
//! anything is sent. The center numbers the lists; a number in the file is ignored.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use flotilla_schemas::countermeasure::{By, Countermeasures, Rule};

use crate::client::{Api, ClientError};
use crate::output::{self, Cell, Table};
use crate::toml_file::{self, TomlError};

/// What is done with the list.
#[derive(Debug, Subcommand)]
pub enum CountermeasuresCommand {
    /// Replace the list with a file's, on the center and on every edge
    #[command(after_help = "Example:\n  flotilla countermeasures set countermeasures.toml\n\n\
        A file of causes and rules; of each the first that fits holds:\n  \
        [[cause]]\n  cause = \"equipment.nonsense\"\n  kind = \"app.*\"\n  message = \"degrees Celsius\"\n\n  \
        [[rule]]\n  kind = \"app.trap.*\"\n  measures = [\"restart\", \"replace\", \"tell\"]")]
    Set(Set),
    /// Show the list
    #[command(after_help = "Example:\n  flotilla countermeasures show --json")]
    Show(Show),
}

/// A list to set.
#[derive(Debug, Args)]
pub struct Set {
    /// The list, as TOML
    pub file: PathBuf,
    /// Print the list as JSON, with its number
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// The list that holds.
#[derive(Debug, Args)]
pub struct Show {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CountermeasuresError {
    /// The file is not a list.
    #[error(transparent)]
    File(#[from] TomlError),
    /// The list cannot be used.
    #[error("use {file}:\n  {}", .errors.join("\n  "))]
    List {
        /// The file.
        file: PathBuf,
        /// All that is wrong with it.
        errors: Vec<String>,
    },
    /// The center did not do it.
    #[error(transparent)]
    Center(#[from] ClientError),
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] std::io::Error),
}

/// Carries out a command.
pub fn run(command: CountermeasuresCommand) -> Result<(), CountermeasuresError> {
    match command {
        CountermeasuresCommand::Set(set) => run_set(&set),
        CountermeasuresCommand::Show(show) => {
            let list: Countermeasures = show.api.client()?.get("countermeasures")?;
            let shown = if show.json { output::json(&list) } else { print(&list) };
            shown.map_err(CountermeasuresError::Print)
        }
    }
}

fn run_set(set: &Set) -> Result<(), CountermeasuresError> {
    let list: Countermeasures = toml_file::read(&set.file)?;
    list.check().map_err(|errors| CountermeasuresError::List {
        file: set.file.clone(),
        errors: errors.iter().map(ToString::to_string).collect(),
    })?;
    let list: Countermeasures = set.api.client()?.put("countermeasures", &list)?;
    if set.json {
        return Ok(output::json(&list)?);
    }
    let (version, rules) = (list.version, list.rules.len());
    Ok(output::line(format!(
        "list {version} of countermeasures holds, with {rules} {}",
        output::plural(rules, "rule")
    ))?)
}

fn print(list: &Countermeasures) -> std::io::Result<()> {
    let any = |text: Option<&str>| text.unwrap_or("any").to_owned();
    let mut causes = Table::new(["FAULT", "APP", "MESSAGE CONTAINS", "CAUSE"]);
    for rule in &list.causes {
        let app = any(rule.app.as_ref().map(|app| app.as_str()));
        let cells = [rule.kind.clone(), app, any(rule.message.as_deref()), rule.cause.to_string()];
        causes.row(cells.map(Cell::text));
    }
    let mut rules = Table::new(["FAULT", "APP", "CAUSE", "DECIDED BY", "WINDOW", "MEASURES"]);
    for rule in &list.rules {
        let app = any(rule.app.as_ref().map(|app| app.as_str()));
        let by = if rule.by == By::Edge { "edge" } else { "center" }.to_owned();
        let cells = [
            rule.kind.clone(),
            app,
            any(rule.cause.as_deref()),
            by,
            format!("{}s", rule.window_s),
            ladder(rule),
        ];
        rules.row(cells.map(Cell::text));
    }
    output::line(format!("list {}", list.version))?;
    if !list.causes.is_empty() {
        output::line(format!("\n{causes}"))?;
    }
    output::line("")?;
    rules.print("no rule: every fault is told to a person")
}

fn ladder(rule: &Rule) -> String {
    rule.measures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_can_be_used() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/samples/countermeasures.toml");
        let list: Countermeasures = toml_file::read(sample.as_ref()).unwrap();
        assert_eq!(list.check(), Ok(()));
        assert_eq!(list.rules.first().map(ladder), Some("restart → replace → tell".into()));
    }

    #[test]
    fn a_bad_list_is_refused_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("list.toml");
        std::fs::write(
            &file,
            "[[rule]]\nkind = 'a*'\nmeasures = ['tell']\n[[rule]]\nkind = '*'\nmeasures = []\n",
        )
        .unwrap();
        let set = Set { file, json: false, api: Api { api: None, token_file: None } };
        let error = run_set(&set).unwrap_err().to_string();
        assert!(error.contains("rule 1: kind") && error.contains("rule 2: 0 measures"), "{error}");
    }
}
