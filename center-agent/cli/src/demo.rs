//! `flotilla demo`: the whole loop on one machine, with real processes of this very program, over real MQTT.
//!
//! Everything lies in a folder of its own and listens on the loopback interface alone. What is started is ended,
//! whatever happens; when a step fails, the folder with the logs stays.

mod error;
mod facts;
mod names;
mod play;
mod process;
mod samples;
mod stage;
mod story;
mod sweep;
mod timeline;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flotilla_link::{BrokerUrl, Entry};
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{API_ENV, TOKEN_FILE_ENV};
use crate::output::{self, BOLD, DIM, GOOD, styled};
pub use error::DemoError;
use names::FLEET;
use play::Play;
use stage::Stage;
use story::Summary;

/// How long the story may take with `--once`; ending it all takes a moment more.
const ONCE_TIMEOUT: Duration = Duration::from_secs(50);

/// How the demo is played.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flotilla demo\n  flotilla demo --once\n  flotilla demo --edges 5 --broker mqtt://127.0.0.1:1883"
)]
pub struct Demo {
    /// End after the story; exit with 0 only if all of it happened
    #[arg(long)]
    pub once: bool,
    /// How many edges there are; the story needs two
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=9))]
    pub edges: u8,
    /// An MQTT 5 broker to use instead of an own one; other fleets may use it, too
    #[arg(long, value_name = "URL")]
    pub broker: Option<BrokerUrl>,
    /// Whom to trust with mqtts://: the authority of the broker's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub broker_ca: Option<PathBuf>,
    /// Leave the folder with the samples, data and logs where it is
    #[arg(long)]
    pub keep: bool,
}

/// Plays the demo.
pub fn run(demo: &Demo) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let entry = demo.broker.clone().map(|url| Entry { ca: demo.broker_ca.clone(), ..Entry::from(url) });
        let mut stage = Stage::set(demo.edges, entry)?;
        let played = tokio::select! {
            played = play_on(demo, &mut stage) => played,
            signal = stop_signal() => signal.map_err(DemoError::System).and(Ok(End::Interrupted)),
        };
        stage.end().await;
        if demo.broker.is_some() {
            // The next demo sweeps too.
            let _ = sweep::sweep(&stage.broker, &stage.fleet).await;
        }
        let has_failed = matches!(played, Err(DemoError::Step { .. }));
        if let Some(dir) = stage.close(demo.keep || has_failed) {
            output::note(styled(DIM, format!("everything is kept in {}", dir.display())));
        }
        match played? {
            End::Interrupted if demo.once => Err(DemoError::Interrupted),
            End::Played | End::Interrupted => Ok(()),
        }
    })
}

/// How the demo ended, if nothing failed.
enum End {
    Played,
    Interrupted,
}

async fn stop_signal() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    Ok(())
}

async fn play_on(demo: &Demo, stage: &mut Stage) -> Result<End, DemoError> {
    if demo.broker.is_some() {
        sweep::sweep(&stage.broker, &stage.fleet).await?;
    }
    output::line(styled(DIM, format!("everything is in {}", stage.dir.display())))?;
    let mut play = Play::new(stage, demo.once.then_some(ONCE_TIMEOUT));
    let summary = story::play(&mut play, demo.broker.is_none()).await?;
    tell(&summary, &play)?;
    if !demo.once {
        invite(play.stage)?;
        play.go_on().await?;
    }
    Ok(End::Played)
}

fn tell(summary: &Summary, play: &Play<'_>) -> io::Result<()> {
    let Summary { answers_ms, open_ms, fetched, records, fault_records } = summary;
    let answers: Vec<String> = answers_ms.iter().map(|(measure, ms)| format!("{measure} {ms} ms")).collect();
    output::line(format!(
        "\n{}",
        styled(GOOD.bold(), format!("All of it happened, in {:.1} s.", play.timeline.seconds()))
    ))?;
    output::line(format!("  from fault to countermeasure  {}", answers.join(", ")))?;
    output::line(format!("  fault open                   {open_ms} ms"))?;
    output::line(format!("  transient app fetched        {fetched} times, and gone each time"))?;
    output::line(format!("  records at the center        {records}, {fault_records} of them on the fault"))
}

fn invite(stage: &Stage) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let (dir, program, token) = (stage.dir.display(), program.display(), stage.token_file());
    let (token, host, port) = (token.display(), &stage.broker.url().host, stage.broker.url().port);
    output::line(format!(
        "\n{}\n  \
         cd {dir}\n  \
         export {API_ENV}={} {TOKEN_FILE_ENV}={token}\n  \
         alias flotilla={program}\n  \
         flotilla edges --watch\n  \
         flotilla events e1 --follow\n  \
         flotilla faults --follow\n  \
         flotilla edge show e2\n  \
         flotilla edge restart-app e2 aircon-north    # it traps again: now a person is told\n  \
         flotilla service start air-conditioner --on e2 --every 2s --events aircon-small    # the same script, the other app\n  \
         flotilla countermeasures show\n  \
         mosquitto_sub -h {host} -p {port} -v -t '{FLEET}/v1/edge/+/fault/#'\n\
         Ctrl-C here ends everything.\n",
        styled(BOLD, "It keeps running. In another terminal:"),
        stage.api,
    ))
}
