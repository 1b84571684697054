//! The commands, and which module carries each out.

use std::error::Error;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use crate::countermeasures::{self, CountermeasuresCommand};
use crate::demo::{self, Demo};
use crate::edges::{self, Edges};
use crate::events::{self, Events};
use crate::faults::{self, Faults};
use crate::fleet::{self, FleetCommand};
use crate::script::{self, ScriptCommand};
use crate::service::{self, ServiceCommand};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Manage software on fleets of field gateways over MQTT
#[derive(Debug, Parser)]
#[command(name = "flotilla", version, styles = STYLES, arg_required_else_help = true)]
#[command(
    after_help = "Examples:\n  flotilla demo                    see it all work, on this machine alone\n  \
                        flotilla fleet init ./fleet      begin a fleet of your own\n  \
                        flotilla service start --help    every command has an example"
)]
pub struct Flotilla {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the whole story on this machine: publish, run, fail, recover
    Demo(Demo),
    /// Make a new fleet: its keys and the file that says whom to trust
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Check, publish and list scripts
    #[command(subcommand)]
    Script(ScriptCommand),
    /// Start, stop and list services
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Replace or show what is done about faults
    #[command(subcommand)]
    Countermeasures(CountermeasuresCommand),
    /// Show what went wrong, and what was done about it
    Faults(Faults),
    /// Show what an edge let be known
    Events(Events),
    /// Show the edges
    Edges(Edges),
    /// Run an edge, show one, or have one start an app anew
    Edge(Edge),
}

/// An edge: to run here, or to speak to through the center.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Edge {
    #[command(subcommand)]
    command: Option<EdgeCommand>,
}

#[derive(Debug, Subcommand)]
enum EdgeCommand {
    /// Show all that is known of an edge
    Show(edges::Show),
    /// Start an app anew, with fresh memory
    RestartApp(edges::RestartApp),
}

impl Flotilla {
    /// Carries the command out.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        match self.command {
            Command::Demo(demo) => demo::run(&demo)?,
            Command::Fleet(command) => fleet::run(command)?,
            Command::Script(command) => script::run(command)?,
            Command::Service(command) => service::run(command)?,
            Command::Countermeasures(command) => countermeasures::run(command)?,
            Command::Faults(faults) => faults::run(&faults)?,
            Command::Events(events) => events::run(&events)?,
            Command::Edges(edges) => edges::list(&edges)?,
            Command::Edge(edge) => match edge.command {
                Some(EdgeCommand::Show(show)) => edges::show(&show)?,
                Some(EdgeCommand::RestartApp(restart)) => edges::restart_app(&restart)?,
                None => (),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_hold_together() {
        Flotilla::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn without_example(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_group = command.has_subcommands();
            if !is_group && !help.contains("Example") {
                found.push(path.clone());
            }
            command.get_subcommands().for_each(|sub| without_example(sub, &path, found));
        }
        let mut found = Vec::new();
        without_example(&Flotilla::command(), "", &mut found);
        assert_eq!(found, [""; 0]);
    }
}
