//! `flotilla journal`: the journal of an edge that is dead, from its folder, without any agent, broker or center.

use std::io;
use std::path::PathBuf;

use clap::Args;
use edge_agent::journal::{self, StoreError};
use flotilla_schemas::journal::Lane;
use serde_json::json;

use crate::output::{self, DIM, styled};
use crate::record;

/// Whose journal.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flotilla journal /var/lib/flotilla/e1\n  flotilla journal ./e1 --lane 0 --json"
)]
pub struct Journal {
    /// The edge's data folder: what `flotilla edge --data` names
    pub dir: PathBuf,
    /// Only this lane: 0 faults and what was done about them, 1 events, 2 readings
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..Lane::ALL.len() as i64))]
    pub lane: Option<u8>,
    /// Print one record a line as JSON
    #[arg(long)]
    pub json: bool,
}

/// Why a journal was not shown.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It could not be read.
    #[error("read the journal in {dir}")]
    Read {
        /// The folder.
        dir: PathBuf,
        /// Why.
        #[source]
        cause: StoreError,
    },
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

/// Shows the journal in the order of its records' times.
pub fn run(args: &Journal) -> Result<(), JournalError> {
    let failed = |cause| JournalError::Read { dir: args.dir.clone(), cause };
    let mut journal = journal::read(&args.dir).map_err(failed)?;
    journal.records.retain(|(lane, _)| args.lane.is_none_or(|wanted| wanted == lane.number()));
    // Of one lane the numbers say the order, whatever the clock did.
    if args.lane.is_none() {
        journal.records.sort_by_key(|(lane, record)| (record.ts, *lane, record.seq));
    }
    if args.json {
        let lines = journal.records.iter();
        let line =
            |(lane, record): &(Lane, _)| json!({"epoch": journal.epoch, "lane": lane, "record": record});
        return Ok(lines.map(line).try_for_each(|line| output::json(&line))?);
    }
    for (lane, record) in &journal.records {
        let position = styled(DIM, format!("{}/{:<6}", lane.number(), record.seq));
        output::line(format!("{position}  {}", record::sentence(record)))?;
    }
    let heads = journal.heads.map(|head| head.to_string()).join("/");
    let count = journal.records.len();
    let (records, epoch) = (output::plural(count, "record"), &journal.epoch);
    let unread = match journal.unread {
        0 => String::new(),
        unread => format!("; {unread} more need a newer flotilla"),
    };
    Ok(output::line(styled(
        DIM,
        format!("{count} {records}{unread}; journal {epoch}, last numbers {heads}"),
    ))?)
}
