//! The story: published, downloaded, driven by scripts, failing, answered, restored. Each step is checked.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use center_agent::api::types::{AppDetail, FaultView, StoredRecord};
use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::How;
use flotilla_schemas::report::ReleaseState;
use flotilla_schemas::{AppId, Digest, EdgeId};

use super::error::DemoError;
use super::facts::{Facts, FaultFacts};
use super::names::{CENTER, FLEET, is_small};
use super::play::{Play, Step};
use super::stage::Stage;

/// The edge whose equipment misbehaves, as its equipment file schedules it.
const PATIENT: &str = "e2";

/// The app that does not bear it, and the one that does.
const NORTH: &str = "aircon-north";
const SOUTH: &str = "aircon-south";

/// The app that leaves nothing behind.
const METER: &str = "meter";

/// How long a center may take to bring what it was sent to disk, in seconds: with `--once` the story's end comes first.
const ACCOUNT_TIMEOUT_S: u64 = 60;

/// What came of it all.
#[derive(Debug)]
pub struct Summary {
    /// How long the edge waited for each countermeasure, in milliseconds.
    pub answers_ms: Vec<(Measure, i64)>,
    /// How long the fault was open, in milliseconds.
    pub open_ms: u64,
    /// How often the transient app was fetched, over all edges.
    pub fetched: u64,
    /// Records on the center's disk.
    pub records: u64,
    /// How many of them are about the patient's fault.
    pub fault_records: usize,
}

/// Plays the story; the first step that fails ends it.
pub async fn play(play: &mut Play<'_>, own_broker: bool) -> Result<Summary, DemoError> {
    gather(play, own_broker).await?;
    publish(play).await?;
    start_services(play).await?;
    let fault = recover(play).await?;
    leave_nothing(play).await?;
    account(play, fault).await
}

async fn gather(play: &mut Play<'_>, own_broker: bool) -> Result<(), DemoError> {
    play.timeline.chapter("A fleet")?;
    play.operate(&format!("fleet init fleet --name {FLEET} --centers {CENTER}")).await?;
    if own_broker {
        play.stage.start_broker()?;
        let answers = Step::new("the broker listens", 10, "broker");
        play.until(answers, |_, stage| is_listening(stage).then_some(())).await?;
    }
    play.listen();
    play.stage.start_center()?;
    for edge in play.stage.edges.clone() {
        play.stage.start_edge(&edge)?;
    }
    let ready = Step::new("the center answers", 20, "center");
    play.until(ready, |_, stage| Play::center_status(stage).filter(|s| s.connected && s.swept)).await?;
    let online = Step::new("all edges are online", 20, "e1");
    play.until(online, |facts, stage| all(stage, |edge| facts.online.contains(edge))).await
}

fn is_listening(stage: &Stage) -> bool {
    let url = stage.broker.url();
    std::net::TcpStream::connect((url.host.as_str(), url.port)).is_ok()
}

/// Whether it is so for all edges.
fn all(stage: &Stage, mut so: impl FnMut(&EdgeId) -> bool) -> Option<()> {
    stage.edges.iter().all(&mut so).then_some(())
}

async fn publish(play: &mut Play<'_>) -> Result<(), DemoError> {
    play.timeline.chapter("Apps of three makers, their scripts, and what is to be done about faults")?;
    for app in [SOUTH, NORTH, METER] {
        play.operate(&format!("app publish apps/{app} --key fleet/publisher.key")).await?;
    }
    for script in ["air-conditioner", METER] {
        play.operate(&format!("script publish scripts/{script} --key fleet/publisher.key")).await?;
    }
    play.operate("countermeasures set countermeasures.toml").await
}

async fn start_services(play: &mut Play<'_>) -> Result<(), DemoError> {
    play.timeline.chapter("Services")?;
    let (without_scripts, with): (Vec<EdgeId>, Vec<EdgeId>) =
        play.stage.edges.iter().cloned().partition(is_small);
    // On the third edge the same script has another list of events, and so another maker's app.
    let (other, first): (Vec<EdgeId>, Vec<EdgeId>) =
        with.iter().cloned().partition(|edge| edge.as_str() == "e3");
    let names = |edges: &[EdgeId]| edges.iter().map(EdgeId::as_str).collect::<Vec<_>>().join(",");
    let start = "service start air-conditioner --every 2s";
    play.operate(&format!("{start} --events aircon-large --on {}", names(&first))).await?;
    if !other.is_empty() {
        play.operate(&format!("{start} --events aircon-small --on {}", names(&other))).await?;
    }
    play.operate(&format!("service start {METER} --every 5s --on {}", names(&with))).await?;
    if !without_scripts.is_empty() {
        // Its apps run by themselves, each in turn: there is memory for one.
        let on = names(&without_scripts);
        play.operate(&format!("service start room --app {SOUTH} --on {on}")).await?;
        play.operate(&format!("service start energy --app {METER} --on {on}")).await?;
    }
    let rooms =
        Step::new("every edge downloaded its air conditioner's app, runs it and reads its room", 20, "e1");
    play.until(rooms, |facts, stage| all(stage, |edge| facts.count(edge, "room") > 0)).await?;
    let meters = Step::new("every edge read its meter", 20, "e1");
    play.until(meters, |facts, stage| all(stage, |edge| facts.count(edge, "energy") > 0)).await
}

/// The patient's equipment answers nonsense, and all that follows.
async fn recover(play: &mut Play<'_>) -> Result<FaultFacts, DemoError> {
    play.timeline.chapter(&format!("The air conditioner at {PATIENT} answers nonsense"))?;
    let (edge, north, south) = (EdgeId::new(PATIENT)?, AppId::new(NORTH)?, AppId::new(SOUTH)?);
    let decided = |facts: &Facts, measure: Measure| {
        let fault = facts.trap(&edge, &north)?;
        let restoration = fault.restorations.get(&fault.attempt_of(measure)?)?;
        restoration.center.as_ref().filter(|center| center.as_str() == CENTER).map(|_| ())
    };
    let trapped = Step::new("its app traps; the fault is classified, journaled and sent", 30, PATIENT);
    play.until(trapped, |facts, _| facts.trap(&edge, &north).map(|_| ())).await?;
    let restarted = Step::new("the center's countermeasure comes back: restart", 10, "center");
    play.until(restarted, |facts, _| decided(facts, Measure::Restart)).await?;
    let replaced = Step::new("it traps again, and the measures escalate: replace", 20, "center");
    play.until(replaced, |facts, _| decided(facts, Measure::Replace)).await?;
    let copes = Step::new("the other maker's app does the same operations, and copes", 20, PATIENT);
    play.until(copes, |facts, _| {
        let key = (edge.clone(), south.clone(), "fallback".to_owned());
        facts.events.get(&key).map(|_| ())
    })
    .await?;
    let closed = Step::new("the fault closes", 20, PATIENT);
    play.until(closed, |facts, _| {
        let fault = facts.trap(&edge, &north)?;
        fault.closed.as_ref().filter(|closed| closed.how == How::Cured)?;
        Some(fault.clone())
    })
    .await
}

/// The transient app is nowhere after its run. That files are looked for rightly shows in the resident app's.
async fn leave_nothing(play: &mut Play<'_>) -> Result<(), DemoError> {
    play.timeline.chapter("What stays, and what does not")?;
    let meter = AppId::new(METER)?;
    let transient = files_of(play, METER).await?;
    let resident: BTreeSet<Digest> =
        files_of(play, NORTH).await?.union(&files_of(play, SOUTH).await?).copied().collect();
    let stays = Step::new("resident apps are on the edges' disks, where there are any", 10, "e1");
    play.until(stays, |_, stage| all(stage, |edge| is_small(edge) || holds(stage, edge, &resident))).await?;
    let gone = Step::new(
        "the transient app is fetched for each run, and gone from memory and disk after it",
        20,
        "e1",
    );
    let mut clean: BTreeSet<EdgeId> = BTreeSet::new();
    play.until(gone, |facts, stage| {
        for edge in &stage.edges {
            let row = facts.apps.get(&(edge.clone(), meter.clone()));
            let is_out = row.is_some_and(|row| row.state == ReleaseState::Absent && row.downloads > 1);
            // Between two looks it may be fetched for its next run: each edge has to be found clean once.
            if is_out && !clean.contains(edge) && !holds(stage, edge, &transient) {
                clean.insert(edge.clone());
            }
        }
        all(stage, |edge| clean.contains(edge))
    })
    .await
}

/// The digests of an app's component and machine code.
async fn files_of(play: &mut Play<'_>, app: &str) -> Result<BTreeSet<Digest>, DemoError> {
    let detail: Vec<AppDetail> = play.ask(&format!("app show {app}")).await?;
    let documents = detail.iter().map(|detail| &detail.document);
    Ok(documents.flat_map(|d| d.machine.values().chain([&d.wasm]).map(|artifact| artifact.digest)).collect())
}

/// Whether any file below the edge's folder has one of these digests.
fn holds(stage: &Stage, edge: &EdgeId, digests: &BTreeSet<Digest>) -> bool {
    // A file that vanishes while it is looked at is gone, which is what is asked.
    fn found(path: &Path, digests: &BTreeSet<Digest>) -> io::Result<bool> {
        if !path.is_dir() {
            return Ok(digests.contains(&Digest::of(&fs::read(path)?)));
        }
        Ok(fs::read_dir(path)?.flatten().any(|entry| found(&entry.path(), digests).unwrap_or(false)))
    }
    found(&stage.dir.join(edge.as_str()), digests).unwrap_or(false)
}

/// The center has it all on disk.
async fn account(play: &mut Play<'_>, fault: FaultFacts) -> Result<Summary, DemoError> {
    // A dashboard hears of a record when the center does, and the center shows it once it is on its disk.
    let closed = Step::new("the center shows the fault closed by replacement", ACCOUNT_TIMEOUT_S, "center");
    let path = format!("faults?edge={PATIENT}");
    let is_it = |view: &FaultView| {
        view.fault == fault.fault.fault && !view.open && view.measure == Some(Measure::Replace)
    };
    play.until(closed, |_, stage| {
        Play::look::<Vec<FaultView>>(stage, &path)?.iter().any(is_it).then_some(())
    })
    .await?;
    let records: Vec<StoredRecord> = play.ask(&format!("events {PATIENT} --lane 0")).await?;
    play.timeline.check(&format!(
        "the center has the fault and all that was done on disk: {} records",
        records.len()
    ))?;
    let status = Step::new("the center counts its records", 5, "center");
    let status = play.until(status, |_, stage| Play::center_status(stage)).await?;
    let meter = AppId::new(METER)?;
    let fetched =
        play.facts.apps.iter().filter(|((_, app), _)| *app == meter).map(|(_, row)| row.downloads).sum();
    let answers = fault.restorations.iter().filter_map(|(n, r)| Some((r.measure, fault.answer_ms(*n)?)));
    Ok(Summary {
        answers_ms: answers.collect(),
        open_ms: fault.closed.as_ref().map_or(0, |closed| closed.open_ms),
        fetched,
        records: status.status.records,
        fault_records: records.len(),
    })
}
