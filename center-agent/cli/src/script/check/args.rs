//! What is checked: the command line of a check.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use flotilla_schemas::{AppId, IdError};

use crate::script::proving::Proving;

/// What is checked.
#[derive(Debug, Args)]
#[command(mut_group("Proving", |group| group.requires("prove")))]
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
    /// A folder that the definition may read external parameter entities from, besides its own. May be given more
    /// than once
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
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
    pub name: Option<AppId>,
    pub file: PathBuf,
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
