//! `flotilla edges` and `flotilla edge show | restart-app | replace | retire`: the gateways, one, and a word to one.

use std::time::{Duration, SystemTime};

use center_agent::api::types::{EdgeDetail, EdgeDocument, EdgeSummary};
use clap::Args;
use flotilla_schemas::command::{Order, Reply};
use flotilla_schemas::report::Mode;
use flotilla_schemas::time::rfc3339;
use flotilla_schemas::{AppId, EdgeId};

use crate::client::{Api, ClientError};
use crate::faults;
use crate::output::{self, BAD, BOLD, Cell, DIM, GOOD, Table, WARN, styled};

/// How often the center is asked while watching.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// Clears the terminal and goes to its first line; removed where there is no terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// All edges.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flotilla edges --watch\n  flotilla edges --json")]
pub struct Edges {
    /// Go on, and show the table anew each second
    #[arg(long)]
    pub watch: bool,
    /// Print one edge a line as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// One edge.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  flotilla edge show e1")]
pub struct Show {
    /// The edge
    pub id: EdgeId,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// An app to start anew.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  flotilla edge restart-app e2 aircon-north")]
pub struct RestartApp {
    /// The edge
    pub id: EdgeId,
    /// The app; it also leaves quarantine, and takes its place back from its alternate
    pub app: AppId,
    /// Print the edge's reply as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// An edge whose gateway is another from now on.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  flotilla edge replace e1    # then start the new gateway's agent with --id e1"
)]
pub struct Replace {
    /// The edge; the next gateway that shows itself by this id takes over its services
    pub id: EdgeId,
    /// Print what was decided as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// An edge that leaves the fleet.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  flotilla edge retire e1    # `flotilla edge replace e1` takes the id into use again"
)]
pub struct Retire {
    /// The edge; its gateway is heard no more, and what it has left at the broker is emptied
    pub id: EdgeId,
    /// Print what was decided as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum EdgesError {
    /// The center did not do it.
    #[error(transparent)]
    Center(#[from] ClientError),
    /// The edge said no.
    #[error("restart {app} on {edge}: {message}")]
    Refused {
        /// The app.
        app: AppId,
        /// The edge.
        edge: EdgeId,
        /// Its reason.
        message: String,
    },
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] std::io::Error),
}

/// Shows all edges.
pub fn list(edges: &Edges) -> Result<(), EdgesError> {
    let client = edges.api.client()?;
    loop {
        let list: Vec<EdgeSummary> = client.get("edges")?;
        if edges.watch && !edges.json {
            output::line(format!("{CLEAR}{}\n", styled(DIM, client.api())))?;
        }
        if edges.json {
            list.iter().try_for_each(output::json)?;
        } else {
            table(&list)
                .print("no edge has shown itself yet; `flotilla edge --help` says how to start one")?;
        }
        if !edges.watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_PERIOD);
    }
}

fn table(list: &[EdgeSummary]) -> Table {
    let mut table = Table::new([
        "EDGE",
        "ONLINE",
        "MODE",
        "PROFILE",
        "HEARD",
        "SERVICES",
        "LOADED",
        "FAULTS",
        "UNACKED",
        "MEMORY",
        "DISK FREE",
        "AGENT",
    ]);
    for edge in list {
        let (online, style) = if edge.online { ("yes", GOOD) } else { ("no", BAD) };
        let faults = if edge.faults_open > 0 { BAD } else { anstyle::Style::new() };
        table.row([
            Cell::new(&edge.edge, BOLD),
            Cell::new(online, style),
            // Of an edge that is away this is the last that was heard.
            if edge.online { mode(edge.mode) } else { mode(edge.mode).styled(DIM) },
            Cell::text(edge.profile.map_or("-".to_owned(), |profile| profile.to_string())),
            Cell::number(ago(edge.heard_ts)),
            Cell::number(edge.services),
            Cell::number(edge.apps_loaded),
            Cell::number(edge.faults_open).styled(faults),
            Cell::number(edge.journal_unacked),
            Cell::number(bytes(edge.memory_bytes)),
            Cell::number(bytes(edge.disk_free_bytes)),
            Cell::text(&edge.agent),
        ]);
    }
    table
}

fn mode(mode: Mode) -> Cell {
    match mode {
        Mode::Operating => Cell::new("operating", GOOD),
        Mode::Degraded => Cell::new("degraded", WARN),
        Mode::Stopped => Cell::new("stopped", DIM),
        Mode::Unknown => Cell::new("unknown", WARN),
    }
}

/// How long ago that was, in whole seconds by this machine's clock: `12s ago`.
fn ago(ts: i64) -> String {
    let then = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ts).unwrap_or(0));
    let seconds = then.elapsed().unwrap_or_default().as_secs();
    format!("{} ago", humantime::format_duration(Duration::from_secs(seconds)))
}

/// A size in the unit that suits it; `-` when unknown.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = count as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 1024.0
        && let Some(next) = units.next()
    {
        size /= 1024.0;
        unit = Some(next);
    }
    match (count, unit) {
        (0, _) => "-".into(),
        (_, Some(&"B")) | (_, None) => format!("{count} B"),
        (_, Some(unit)) => format!("{size:.1} {unit}"),
    }
}

/// Shows one edge.
pub fn show(show: &Show) -> Result<(), EdgesError> {
    let detail: EdgeDetail = show.api.client()?.get(&format!("edges/{}", show.id))?;
    if show.json {
        return Ok(output::json(&detail)?);
    }
    output::line(table(std::slice::from_ref(&detail.summary)))?;
    let status = &detail.status;
    let (h0, h1, h2) = (status.journal_head_0, status.journal_head_1, status.journal_head_2);
    output::line(format!(
        "\nsession {}   journal {}, heads {h0}/{h1}/{h2}   runtime {}\nkey {}",
        status.meta.session,
        status.journal_epoch,
        status.runtime,
        String::from(detail.key.clone()),
    ))?;
    let mut releases =
        Table::new(["RELEASE", "STATE", "INSTALLED", "LATEST", "SINCE", "REPLACED BY", "WAITS"]);
    for row in &detail.releases {
        let state = serde_json::to_value(row.state).ok().and_then(|v| Some(v.as_str()?.to_owned()));
        let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let texts =
            [or_none(&row.installed), or_none(&row.latest), rfc3339(row.since), or_none(&row.replaced_by)];
        let [installed, latest, since, replaced] = texts.map(Cell::text);
        let state = Cell::text(state.unwrap_or_default());
        releases.row([
            Cell::new(&row.release, BOLD),
            state,
            installed,
            latest,
            since,
            replaced,
            Cell::text(or_none(&row.waits)),
        ]);
    }
    output::line("")?;
    releases.print("no app and no script")?;
    output::line("")?;
    Ok(faults::table(&detail.faults).print("no open fault")?)
}

/// Has an edge start an app anew.
pub fn restart_app(restart: &RestartApp) -> Result<(), EdgesError> {
    let order = Order::RestartApp(restart.app.clone());
    let reply: Reply = restart.api.client()?.post(&format!("edges/{}/commands", restart.id), &order)?;
    if restart.json {
        output::json(&reply)?;
    }
    if !reply.done {
        let (app, edge) = (restart.app.clone(), restart.id.clone());
        return Err(EdgesError::Refused { app, edge, message: output::plain(&reply.message) });
    }
    if restart.json {
        return Ok(());
    }
    Ok(output::line(format!("{}: {}", restart.id, output::plain(&reply.message)))?)
}

/// Lets a new gateway take over the id.
pub fn replace(replace: &Replace) -> Result<(), EdgesError> {
    let document = decide(&replace.api, &replace.id, "replace")?;
    if replace.json {
        return Ok(output::json(&document)?);
    }
    Ok(output::line(format!(
        "{} is taken over by the next gateway that shows itself by this id",
        replace.id
    ))?)
}

/// Takes an edge out of the fleet.
pub fn retire(retire: &Retire) -> Result<(), EdgesError> {
    let document = decide(&retire.api, &retire.id, "retire")?;
    if retire.json {
        return Ok(output::json(&document)?);
    }
    Ok(output::line(format!("{} has left the fleet", retire.id))?)
}

fn decide(api: &Api, edge: &EdgeId, what: &str) -> Result<EdgeDocument, EdgesError> {
    Ok(api.client()?.post(&format!("edges/{edge}/{what}"), &())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_suits_them() {
        let told = [0, 1023, 1024, 3 * 1024 * 1024 / 2, u64::MAX].map(bytes);
        assert_eq!(told, ["-", "1023 B", "1.0 KiB", "1.5 MiB", "16777216.0 TiB"]);
    }
}
