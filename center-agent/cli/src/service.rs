//! `flotilla service`: start, stop and list services.

use center_agent::api::types::{ServiceStart, ServiceStop, ServiceView, Work};
use clap::{Args, Subcommand};
use flotilla_schemas::desired::{EVERY_MS_MIN, Trigger};
use flotilla_schemas::{AppId, EdgeId, EventsId, ScriptId, ServiceId};

use crate::client::{Api, AskError, List};
use crate::output::{self, Cell, Table, styled};

/// What is done with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Start a service on edges, or start it anew there with other settings
    #[command(
        after_help = "Examples:\n  flotilla service start air-conditioner --on e1,e2 --events large --every 60s\n  \
                            flotilla service start read-meter --script meter --on e1 --once\n  \
                            flotilla service start meter --app meter --on e4    # by itself, as its app.toml says"
    )]
    Start(Start),
    /// Stop a service on edges
    #[command(after_help = "Example:\n  flotilla service stop air-conditioner --on e1,e2")]
    Stop(Stop),
    /// List the services and where they run
    #[command(after_help = "Example:\n  flotilla service list --json")]
    List(List),
}

/// A service to start.
#[derive(Debug, Args)]
pub struct Start {
    /// The service; edges that are not named keep what they have
    pub name: ServiceId,
    /// The edges, separated by commas
    #[arg(long, value_name = "EDGES", value_delimiter = ',', required = true)]
    pub on: Vec<EdgeId>,
    /// The script that it runs; for a new service the one of its name
    #[arg(long)]
    pub script: Option<ScriptId>,
    /// An app to run by itself in place of a script: the operation under [run] in its app.toml, as often as it says
    #[arg(long, conflicts_with_all = ["script", "events"])]
    pub app: Option<AppId>,
    /// The event list that it is run with; may be left out when the script has only one
    #[arg(long, value_name = "LIST")]
    pub events: Option<EventsId>,
    #[command(flatten)]
    pub trigger: TriggerArgs,
    /// Print the service as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// When a service runs; if nobody says, a script once and an app as it declares.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct TriggerArgs {
    /// Run at once, and again each time so much time has passed: 500ms, 60s, 5m
    #[arg(long, value_name = "TIME", value_parser = every_ms)]
    pub every: Option<u64>,
    /// Run once
    #[arg(long)]
    pub once: bool,
}

/// A service to stop.
#[derive(Debug, Args)]
pub struct Stop {
    /// The service
    pub name: ServiceId,
    /// The edges, separated by commas
    #[arg(long, value_name = "EDGES", value_delimiter = ',', required = true)]
    pub on: Vec<EdgeId>,
    /// Print the service as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

fn every_ms(text: &str) -> Result<u64, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("{error}; such as 500ms, 60s or 5m"))?;
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if ms < EVERY_MS_MIN {
        Err(format!("no service runs more often than every {EVERY_MS_MIN}ms"))
    } else {
        Ok(ms)
    }
}

/// Carries out a command.
pub fn run(command: ServiceCommand) -> Result<(), AskError> {
    match command {
        ServiceCommand::Start(start) => run_start(start),
        ServiceCommand::Stop(stop) => run_stop(&stop),
        ServiceCommand::List(list) => run_list(&list),
    }
}

fn run_start(start: Start) -> Result<(), AskError> {
    let on = names(&start.on);
    let once = start.trigger.once.then_some(Trigger::Once);
    let trigger = start.trigger.every.map(Trigger::EveryMs).or(once);
    let first = start.on.first().cloned();
    let Start { script, app, on: edges, events, .. } = start;
    let body = ServiceStart { script, app, edges, events, trigger };
    let view: ServiceView = start.api.client()?.put(&format!("services/{}", start.name), &body)?;
    if start.json {
        return Ok(output::json(&view)?);
    }
    let running = first.and_then(|edge| view.on.get(&edge)).map(|running| words(running.trigger));
    let when = running.unwrap_or_default();
    Ok(output::line(format!("{} started on {on} with {}, {when}", view.service, view.work))?)
}

fn run_stop(stop: &Stop) -> Result<(), AskError> {
    let body = ServiceStop { edges: stop.on.clone() };
    let view: ServiceView = stop.api.client()?.delete(&format!("services/{}", stop.name), &body)?;
    if stop.json {
        return Ok(output::json(&view)?);
    }
    Ok(output::line(format!("{} stopped on {}", view.service, names(&stop.on)))?)
}

fn run_list(list: &List) -> Result<(), AskError> {
    let services: Vec<ServiceView> = list.api.client()?.get("services")?;
    if list.json {
        return Ok(services.iter().try_for_each(output::json)?);
    }
    let mut table = Table::new(["SERVICE", "SCRIPT", "APP", "EDGE", "EVENTS", "RUNS"]);
    for view in &services {
        for (edge, running) in &view.on {
            let (script, app) = match &view.work {
                Work::Script(script) => (script.as_str(), "-"),
                Work::App(app) => ("-", app.as_str()),
            };
            let events = running.events.as_ref().map_or("-", EventsId::as_str);
            let cells = [view.service.as_str(), script, app, edge.as_str(), events];
            let [service, script, app, edge, events] = cells.map(Cell::text);
            table.row([service, script, app, edge, events, Cell::text(words(running.trigger))]);
        }
    }
    Ok(table.print("no service runs; `flotilla service start` starts one")?)
}

fn names(edges: &[EdgeId]) -> String {
    edges.iter().map(|edge| styled(output::NAME, edge)).collect::<Vec<_>>().join(", ")
}

/// When a service runs, in words.
pub fn words(trigger: Trigger) -> String {
    match trigger {
        Trigger::Once => "once".into(),
        Trigger::EveryMs(ms) => {
            format!("every {}", humantime::format_duration(std::time::Duration::from_millis(ms)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_a_unit_and_a_least_value() {
        assert_eq!(every_ms("60s"), Ok(60_000));
        assert_eq!(every_ms("100ms"), Ok(100));
        for bad in ["", "60", "99ms", "-1s", "soon"] {
            assert!(every_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(words(Trigger::EveryMs(every_ms("90s").unwrap())), "every 1m 30s");
    }
}
