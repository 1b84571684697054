//! `flotilla faults`: what went wrong in the fleet, and what was done about it.

use std::collections::BTreeMap;
use std::time::Duration;

use center_agent::api::types::FaultView;
use clap::Args;
use flotilla_schemas::fault::How;
use flotilla_schemas::time::rfc3339;
use flotilla_schemas::{EdgeId, FaultId};

use crate::client::{Api, AskError, Client};
use crate::output::{self, BAD, Cell, DIM, GOOD, NAME, Table, plain, styled};

/// How often the center is asked while following.
const FOLLOW_PERIOD: Duration = Duration::from_millis(500);

/// Which faults.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flotilla faults --open\n  flotilla faults --edge e2 --follow --json")]
pub struct Faults {
    /// Of this edge only
    #[arg(long)]
    pub edge: Option<EdgeId>,
    /// Only those that are open
    #[arg(long)]
    pub open: bool,
    /// Go on, and print each change as it comes
    #[arg(long)]
    pub follow: bool,
    /// Print one fault a line as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Shows the faults.
pub fn run(faults: &Faults) -> Result<(), AskError> {
    let client = faults.api.client()?;
    let mut query = Vec::new();
    query.extend(faults.edge.as_ref().map(|edge| format!("edge={edge}")));
    // Who follows the open ones wants to see them close.
    query.extend((faults.open && !faults.follow).then(|| "open=true".to_owned()));
    let path = format!("faults?{}", query.join("&"));
    if faults.follow {
        return follow(faults, &client, &path);
    }
    let list: Vec<FaultView> = client.get(&path)?;
    if faults.json {
        return Ok(list.iter().try_for_each(output::json)?);
    }
    Ok(table(&list).print("no fault")?)
}

/// The faults as a table.
pub fn table(list: &[FaultView]) -> Table {
    let mut table =
        Table::new(["SEEN", "EDGE", "FAULT", "KIND", "APP", "STATE", "TRIES", "MEASURE", "CAUSE", "MESSAGE"]);
    for fault in list {
        let (state, style) = state(fault);
        table.row([
            Cell::text(rfc3339(fault.opened_ts)),
            Cell::text(&fault.edge),
            Cell::text(&fault.fault),
            Cell::text(&fault.kind),
            Cell::text(&fault.app),
            Cell::new(state, style),
            Cell::number(fault.attempt),
            Cell::text(fault.measure.map_or("-".to_owned(), |measure| measure.to_string())),
            Cell::text(fault.cause.as_deref().unwrap_or("pending")),
            Cell::text(&fault.message),
        ]);
    }
    table
}

fn state(fault: &FaultView) -> (&'static str, anstyle::Style) {
    match fault.how {
        _ if fault.open => ("open", BAD),
        Some(How::Moot) => ("moot", DIM),
        Some(How::Unknown) => ("over", DIM),
        Some(How::Cured) | None => ("cured", GOOD),
    }
}

fn follow(faults: &Faults, client: &Client, path: &str) -> Result<(), AskError> {
    let mut known: BTreeMap<(EdgeId, FaultId), FaultView> = BTreeMap::new();
    let mut first = true;
    loop {
        let mut list: Vec<FaultView> = client.get(path)?;
        list.sort_by_key(|fault| fault.ts);
        for fault in list {
            let key = (fault.edge.clone(), fault.fault.clone());
            let is_old_news = first && faults.open && !fault.open;
            if !is_old_news && known.get(&key) != Some(&fault) {
                if faults.json { output::json(&fault)? } else { output::line(sentence(&fault))? }
            }
            known.insert(key, fault);
        }
        first = false;
        std::thread::sleep(FOLLOW_PERIOD);
    }
}

/// A fault as one line of a log.
fn sentence(fault: &FaultView) -> String {
    let (state, style) = state(fault);
    let measure = fault.measure.map(|measure| format!(" → {measure}")).unwrap_or_default();
    format!(
        "{}  {}  {}  {} in {}, attempt {}{measure}: {}  {}",
        rfc3339(fault.ts),
        styled(NAME, &fault.edge),
        styled(style, state),
        fault.kind,
        fault.app,
        fault.attempt,
        plain(&fault.message),
        styled(DIM, &fault.fault),
    )
}
