//! The operator's command line, and the binary that can be every part of Flotilla.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Whoever closes standard output has seen enough, and that
//! is no failure.

mod access;
mod agent;
mod app;
mod args;
mod client;
mod countermeasures;
mod demo;
mod edges;
mod events;
mod faults;
mod fleet;
mod journal;
mod output;
mod publish;
mod record;
mod script;
mod service;
mod toml_file;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match args::Flotilla::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}
