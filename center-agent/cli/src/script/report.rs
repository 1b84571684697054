//! A proof as a person reads it: how much was taken, what it cost, which faults were seen and what is done about them.

use std::io;

use anstyle::Style;
use flotilla_schemas::proof::{CastProof, DEADLINE_MULTIPLE, End, ListProof, MEMORY_MULTIPLE, Proof};

use crate::edges::bytes;
use crate::output::{self, BOLD, Cell, DIM, GOOD, Table, WARN, joined, styled};

/// The most items that are named of those that no script took.
const MISSING_MAX: usize = 20;

/// Prints a proof; with `items`, which script took each of them.
pub fn print(proof: &Proof, items: bool) -> io::Result<()> {
    for (at, list) in proof.lists.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        head(list, proof.seed)?;
        if items {
            print_items(list)?;
        }
        missing(list)?;
        casts(list)?;
        faults(list)?;
    }
    limits(proof)
}

/// What would hold for an app whose manifest says no limits, if it were published with this proof.
fn limits(proof: &Proof) -> io::Result<()> {
    let mut table = Table::new(["APP", "MEMORY_BYTES", "DEADLINE_MS"]);
    for (app, limits) in proof.apps.keys().filter_map(|app| Some((app, proof.limits(app)?))) {
        table.row([Cell::text(app), Cell::number(limits.memory_bytes), Cell::number(limits.deadline_ms)]);
    }
    output::line(styled(
        DIM,
        format!(
            "limits with {MEMORY_MULTIPLE} times the memory and {DEADLINE_MULTIPLE} times the time that were seen"
        ),
    ))?;
    table.print("no app was called")
}

fn head(list: &ListProof, seed: u64) -> io::Result<()> {
    let (covered, items, percent) = (list.covered(), list.items.len(), list.covered_percent());
    let end = match list.end {
        End::Complete => "",
        End::Stalled => "; no further script took anything new",
        End::Size => "; no more scripts were asked for",
        End::Time => "; then the time was out",
    };
    output::line(format!(
        "{}  {covered} of {items} items, {}, by {} {}{end}\n{}",
        styled(BOLD, &list.events),
        styled(style(percent), share(percent)),
        list.scripts,
        output::plural(list.scripts as usize, "script"),
        styled(
            DIM,
            format!(
                "seed {seed}; {} values just outside their range were refused; on equipment that is well each script \
                 was run twice in a row",
                list.outside
            )
        ),
    ))
}

/// How much a proof covers, as a cell of a table.
pub fn covered(percent: f64) -> Cell {
    Cell::number(share(percent)).styled(style(percent))
}

fn share(percent: f64) -> String {
    format!("{percent:.1} %")
}

fn style(percent: f64) -> Style {
    if percent < 100.0 { WARN } else { GOOD }
}

fn print_items(list: &ListProof) -> io::Result<()> {
    let mut table = Table::new(["SCRIPT", "ITEM"]);
    for item in &list.items {
        let script = item.script.map_or("-".to_owned(), |script| script.to_string());
        table.row([Cell::number(script), Cell::text(&item.item)]);
    }
    table.print("no item")
}

fn missing(list: &ListProof) -> io::Result<()> {
    let missing: Vec<&str> =
        list.items.iter().filter(|item| item.script.is_none()).map(|item| item.item.as_str()).collect();
    for item in missing.iter().take(MISSING_MAX) {
        output::line(format!("  not taken: {}", output::plain(item)))?;
    }
    match missing.len().saturating_sub(MISSING_MAX) {
        0 => Ok(()),
        more => output::line(format!("  and {more} more")),
    }?;
    list.left_out.iter().try_for_each(|left| output::line(format!("  not tried: {}", output::plain(left))))
}

fn casts(list: &ListProof) -> io::Result<()> {
    let mut table =
        Table::new(["APPS", "RUNS", "CALLS", "FAILURES", "SLOWEST", "WAITED", "MEMORY", "STACK", "TIME"]);
    for cast in &list.casts {
        let measured = &cast.measured;
        let slowest = measured.slowest_of_all();
        let waited = slowest.map_or(0, |(_, slowest)| slowest.waited_ms);
        let slowest = slowest.map_or("-".to_owned(), |(_, slowest)| {
            format!("{} {:.1} ms", slowest.operation, slowest.busy_us as f64 / 1000.0)
        });
        let memory = cast.memory_bytes.values().max().copied().unwrap_or_default();
        table.row([
            Cell::text(players(cast)),
            Cell::number(cast.runs),
            Cell::number(cast.calls),
            Cell::number(cast.failures),
            Cell::text(slowest),
            Cell::number(format!("{waited} ms")),
            Cell::number(bytes(memory)),
            Cell::number(format!("≤ {}", bytes(measured.stack_bytes))),
            Cell::number(format!("{:.1} s", measured.elapsed_ms as f64 / 1000.0)),
        ]);
    }
    table.print("no app was called")
}

fn faults(list: &ListProof) -> io::Result<()> {
    let mut table = Table::new(["FAULT", "APP", "RUNS", "FIRST AT", "ANSWERED BY"]);
    for cast in &list.casts {
        for fault in &cast.faults {
            let code = fault.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            table.row([
                Cell::text(format!("{}{code}", fault.kind)),
                Cell::text(&fault.app),
                Cell::number(fault.runs),
                Cell::text(&fault.first),
                Cell::text(joined(&fault.measures)),
            ]);
        }
    }
    table.print("no fault was seen")
}

/// The apps that played.
fn players(cast: &CastProof) -> String {
    let standing_in = |(app, other): (&_, &_)| format!("{other} for {app}");
    match cast.standing_in.len() {
        0 => joined(cast.memory_bytes.keys()),
        _ => joined(cast.standing_in.iter().map(standing_in)),
    }
}
