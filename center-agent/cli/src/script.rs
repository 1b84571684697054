//! `flotilla script`: check, publish and list scripts.

mod check;

use clap::Subcommand;

/// What is done with scripts.
#[derive(Debug, Subcommand)]
pub enum ScriptCommand {
    /// Check a script by its definition, with its event list and apps, before anybody sees it
    Check(check::Check),
}

/// Carries out a command.
pub fn run(command: ScriptCommand) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        ScriptCommand::Check(check) => Ok(check::run(&check)?),
    }
}
