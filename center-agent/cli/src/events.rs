//! `flotilla events`: what an edge let be known, as the center has it on its disk.

use center_agent::api::types::{RecordsPage, StoredRecord, WAIT_MS_MAX};
use clap::Args;
use flotilla_schemas::EdgeId;
use flotilla_schemas::journal::Lane;

use crate::client::{Api, AskError};
use crate::output::{self, DIM, styled};
use crate::record;

/// Which records.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flotilla events e1 --follow\n  flotilla events e2 --lane 0 --json")]
pub struct Events {
    /// The edge
    pub edge: EdgeId,
    /// Only this lane: 0 faults and what was done about them, 1 events, 2 readings
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..Lane::ALL.len() as i64))]
    pub lane: Option<u8>,
    /// Go on, and print each record as it arrives
    #[arg(long)]
    pub follow: bool,
    /// Print one record a line as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Shows the records, the oldest first.
pub fn run(events: &Events) -> Result<(), AskError> {
    let client = events.api.client()?;
    let lane = events.lane.map(|lane| format!("&lane={lane}")).unwrap_or_default();
    let mut after = 0;
    loop {
        // Only who waits for more waits at all.
        let wait_ms = if events.follow { WAIT_MS_MAX } else { 0 };
        let path = format!("records?edge={}{lane}&after={after}&wait_ms={wait_ms}", events.edge);
        let page: RecordsPage = client.get(&path)?;
        page.records.iter().try_for_each(|stored| print(stored, events.json))?;
        if !page.more && !events.follow {
            return Ok(());
        }
        after = page.next;
    }
}

fn print(stored: &StoredRecord, json: bool) -> std::io::Result<()> {
    if json {
        return output::json(stored);
    }
    match stored.record.read() {
        Ok(record) => output::line(record::sentence(&record)),
        Err(_) => output::line(styled(DIM, "a record that needs a newer flotilla; --json shows it")),
    }
}
