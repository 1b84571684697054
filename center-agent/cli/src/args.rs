//! The commands, and which module carries each out.

use std::error::Error;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use crate::access::{self, AccessCommand};
use crate::agent;
use crate::app::{self, AppCommand};
use crate::countermeasures::{self, CountermeasuresCommand};
use crate::demo::{self, Demo};
use crate::edges::{self, Edges};
use crate::events::{self, Events};
use crate::faults::{self, Faults};
use crate::fleet::{self, FleetCommand};
use crate::journal::{self, Journal};
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
    /// Run an MQTT broker
    Broker(Box<flotilla_broker::cli::Args>),
    /// Say who may use the broker
    #[command(subcommand)]
    Access(AccessCommand),
    /// Run a center
    Center(center_agent::cli::Args),
    /// Publish, list and show apps
    #[command(subcommand)]
    App(AppCommand),
    /// Check, generate, publish, list and show scripts
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
    /// Run an edge, show one, speak to one, replace or retire one
    Edge(Edge),
    /// Read a dead edge's journal from its folder
    Journal(Journal),
}

/// An edge: to run here, or to speak to through the center.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Edge {
    #[command(subcommand)]
    command: Option<EdgeCommand>,
    #[command(flatten)]
    agent: Option<edge_agent::cli::Args>,
}

#[derive(Debug, Subcommand)]
enum EdgeCommand {
    /// Show all that is known of an edge
    Show(edges::Show),
    /// Start an app anew, with fresh memory
    RestartApp(edges::RestartApp),
    /// Let a new gateway take over the id of an old one
    Replace(edges::Replace),
    /// Take an edge out of the fleet
    Retire(edges::Retire),
}

impl Flotilla {
    /// Carries the command out.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        match self.command {
            Command::Demo(demo) => demo::run(&demo)?,
            Command::Broker(args) => agent::run("broker", flotilla_broker::cli::run(*args))?,
            Command::Access(command) => access::run(command)?,
            Command::Center(args) => agent::run("center", center_agent::cli::run(args))?,
            Command::App(command) => app::run(command)?,
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
                Some(EdgeCommand::Replace(replace)) => edges::replace(&replace)?,
                Some(EdgeCommand::Retire(retire)) => edges::retire(&retire)?,
                // clap has refused an edge without arguments.
                None => agent::run(
                    "edge",
                    edge_agent::cli::run(edge.agent.ok_or("an edge needs --id and --fleet")?),
                )?,
            },
            Command::Journal(journal) => journal::run(&journal)?,
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
    fn an_edge_that_is_to_run_is_no_other_command() {
        let line = "flotilla edge --id e1 --fleet f --broker mqtt://127.0.0.1:1883 --data d";
        let Command::Edge(edge) = Flotilla::try_parse_from(line.split(' ')).unwrap().command else {
            panic!()
        };
        assert!(edge.command.is_none() && edge.agent.is_some(), "{edge:?}");
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

    #[test]
    fn every_promised_command_is_understood() {
        let commands = [
            "demo --once --edges 3 --broker mqtt://127.0.0.1:1883",
            "fleet init dir",
            "fleet publisher add dir north --maker north --maker west",
            "broker --tcp 127.0.0.1:1883 --data dir --open",
            "broker --data dir --access a.toml --tls 0.0.0.0:8883 --tls [::]:8884 --cert c --key k --ca a --ca b \
             --crl r --client-cert required --ws 127.0.0.1:80 --wss 0.0.0.0:443",
            "access add edge e1 e2 --access a.toml --json",
            "access add operator anna --password-file /dev/stdin --replace",
            "access add edge e1 --certificate gw.example",
            "access remove maker acme",
            "access list",
            "edge --id e1 --fleet f --data d --broker mqtts://h --broker-ca c --broker-cert c --broker-key k",
            "center --id c1 --fleet f --key k --data d --broker-token-file t --broker-user center-c1 --token-file u",
            "center --id c1 --fleet f.json --key k --broker mqtt://h --data dir --api 127.0.0.1:8080",
            "edge --id e1 --fleet f.json --broker mqtt://h --data dir --equipment e.toml",
            "script check --definition d.dtd --events e.json --app a.wasm --app meter=m.wasm script.xml",
            "script generate --definition d.dtd --cover --out dir --root r --seed 7 --within 2m --include ent",
            "script generate --definition d.dtd --random 10 --out dir --force --json",
            "app publish dir --key k",
            "app publish dir --key k --force",
            "app publish dir --key k --target aarch64-linux --target x86_64-linux",
            "app list",
            "app show aircon",
            "script publish dir --key k",
            "script publish dir --key k --seed 7 --budget 5s --scripts 4096 --shrink false",
            "script check --definition d.dtd --events e.json --app a.wasm script.xml --prove --seed 7 --shrink",
            "script list",
            "script show cooling",
            "service start cooling --on e1,e2 --events large --every 60s",
            "service start cooling --on e1 --once",
            "service start metering --app meter --on e1 --every 2s",
            "edge --id e4 --fleet f.json --broker mqtt://h --data dir --without scripts,disk --memory-mib 4",
            "service stop cooling --on e1",
            "countermeasures set f.toml",
            "countermeasures show",
            "faults --follow",
            "events e1 --follow",
            "edges --watch",
            "edge show e1",
            "edge restart-app e1 aircon",
            "edge replace e1 --json",
            "edge retire e1",
            "journal dir",
        ];
        for command in commands {
            let parsed = Flotilla::try_parse_from(format!("flotilla {command}").split_whitespace());
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        let commands = [
            "demo --edges 1",
            "fleet publisher add dir north",
            "edge",
            "edge show",
            "edge show e1 --id e1",
            "script check script.xml --definition d.dtd --app a.wasm",
            "script check script.xml --definition d.dtd --seed 7",
            "script check script.xml --definition d.dtd --budget 5s",
            "script check script.xml --definition d.dtd --scripts 7",
            "script check script.xml --definition d.dtd --shrink",
            "script publish dir --key k --scripts 0",
            "script publish dir --key k --scripts 4097",
            "script generate --definition d.dtd --out dir",
            "script generate --definition d.dtd --cover --random 10 --out dir",
            "app publish dir --key k --target arm",
            "service start cooling",
            "service start cooling --on e1,E2",
            "service start cooling --on e1 --every 60s --once",
            "service start cooling --on e1 --every 1ms",
            "service start metering --app meter --script s --on e1",
            "edge --id e4 --fleet f.json --data dir --without brakes",
            "edge --id e4 --fleet f.json --data dir --memory-mib 0",
            "events e1 --lane 3",
            "demo --broker http://h",
            "broker --data dir",
            "broker --data dir --open --access a.toml",
            "broker --data dir --open --tls 127.0.0.1:8883",
            "broker --data dir --open --cert c",
            "broker --data dir --open --connects-per-second 0",
            "access add guest anna",
            "access add edge",
            "access add operator anna --password-file f --certificate c",
            "edge --id e1 --fleet f --data d --broker-cert c",
            "edge --id e1 --fleet f --data d --broker-user u",
        ];
        for command in commands {
            let parsed = Flotilla::try_parse_from(format!("flotilla {command}").split(' '));
            assert_eq!(parsed.unwrap_err().exit_code(), 2, "{command}");
        }
    }
}
