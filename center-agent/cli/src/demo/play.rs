//! The means of the story: waiting for something to happen while telling what does, and acting as an operator.
//!
//! An operator's acts are commands of this very program, run as a person would run them in the demo's folder.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use center_agent::api::types::StatusView;
use flotilla_link::{Link, LinkConfig, LinkEvent};
use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::error::DemoError;
use super::facts::{self, Facts};
use super::process::tail;
use super::stage::Stage;
use super::timeline::Timeline;
use crate::client::{API_ENV, Api, TOKEN_FILE_ENV};
use crate::output::{BOLD, styled};

/// How often something that nobody reports is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// How long an operator's command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// In words, for the timeline: what is so when it is through.
    pub what: &'a str,
    /// How long it may take.
    pub timeout: Duration,
    /// Whose log tells more if it fails.
    pub concerns: &'a str,
}

impl<'a> Step<'a> {
    /// A step that may take so many seconds.
    pub fn new(what: &'a str, seconds: u64, concerns: &'a str) -> Self {
        Self { what, timeout: Duration::from_secs(seconds), concerns }
    }
}

/// The play under way.
pub struct Play<'a> {
    /// Its parts.
    pub stage: &'a mut Stage,
    /// What is known.
    pub facts: Facts,
    /// Where it is told.
    pub timeline: Timeline,
    deadline: Option<Instant>,
    link: Option<(Link, mpsc::Receiver<LinkEvent>)>,
}

impl<'a> Play<'a> {
    /// A play that has not begun. With a limit, whatever step it is at when the time is up fails.
    pub fn new(stage: &'a mut Stage, limit: Option<Duration>) -> Self {
        let deadline = limit.map(|limit| Instant::now() + limit);
        Self { stage, facts: Facts::default(), timeline: Timeline::begin(), deadline, link: None }
    }

    /// When something that may take so long must be over.
    fn deadline(&self, timeout: Duration) -> Instant {
        let own = Instant::now() + timeout;
        self.deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// Listens to the fleet as a dashboard would.
    pub fn listen(&mut self) {
        self.link = Some(Link::start(LinkConfig {
            broker: self.stage.broker.clone(),
            fleet: self.stage.fleet.clone(),
            client: format!("demo-{}", std::process::id()),
            will: None,
            filters: facts::filters(),
            foreign: Vec::new(),
            signer: None,
        }));
    }

    /// Waits until there is an answer. Ends early if a part of the demo dies.
    pub async fn until<T>(
        &mut self,
        step: Step<'_>,
        mut answer: impl FnMut(&Facts, &Stage) -> Option<T>,
    ) -> Result<T, DemoError> {
        let deadline = self.deadline(step.timeout);
        loop {
            if let Some(answer) = answer(&self.facts, self.stage) {
                self.timeline.check(step.what)?;
                return Ok(answer);
            }
            if let Some((name, status)) = self.stage.ended() {
                return Err(self.failed(step.what, &format!("{name} ended with {status}"), &name));
            }
            if Instant::now() >= deadline {
                return Err(self.failed(step.what, "it did not happen in time", step.concerns));
            }
            self.hear(LOOK_PERIOD).await?;
        }
    }

    /// Goes on telling what happens, until a part of the demo dies.
    pub async fn go_on(&mut self) -> Result<(), DemoError> {
        let forever = Step {
            what: "keep running",
            timeout: Duration::from_secs(u64::from(u32::MAX)),
            concerns: "center",
        };
        self.until(forever, |_, _| None::<()>).await
    }

    /// Takes what comes, for so long or until the next message.
    async fn hear(&mut self, period: Duration) -> io::Result<()> {
        let Some((_, events)) = &mut self.link else {
            tokio::time::sleep(period).await;
            return Ok(());
        };
        match tokio::time::timeout(period, events.recv()).await {
            Ok(Some(LinkEvent::Message(message))) => self.facts.take(&message, &mut self.timeline),
            Ok(Some(LinkEvent::Disconnected { error })) => {
                self.timeline.tell("demo", &format!("lost the broker: {error}"))
            }
            Ok(Some(_)) | Err(_) => Ok(()),
            Ok(None) => Err(io::Error::other("the link to the broker has ended")),
        }
    }

    /// Runs a command as an operator would; the first line of what it prints is told.
    pub async fn operate(&mut self, command: &str) -> Result<(), DemoError> {
        self.timeline.tell("you", &styled(BOLD, format!("flotilla {command}")))?;
        let printed = self.run(command).await?;
        Ok(printed.lines().next().map_or(Ok(()), |line| self.timeline.tell("", line))?)
    }

    /// Asks something as an operator would, in JSON: one value a line.
    pub async fn ask<T: DeserializeOwned>(&mut self, question: &str) -> Result<Vec<T>, DemoError> {
        let printed = self.run(&format!("{question} --json")).await?;
        let values: Result<Vec<T>, _> = printed.lines().map(serde_json::from_str).collect();
        values.map_err(|error| {
            self.failed(&format!("understand flotilla {question}"), &error.to_string(), "center")
        })
    }

    /// Runs a command to its end while the story goes on.
    async fn run(&mut self, command: &str) -> Result<String, DemoError> {
        let program = std::env::current_exe()?;
        let child = Command::new(program)
            .args(command.split(' '))
            .current_dir(&self.stage.dir)
            .env(API_ENV, &self.stage.api)
            .env(TOKEN_FILE_ENV, self.stage.token_file())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut output = std::pin::pin!(child.wait_with_output());
        let deadline = self.deadline(COMMAND_TIMEOUT);
        let output = loop {
            tokio::select! {
                output = &mut output => break output?,
                heard = self.hear(LOOK_PERIOD) => heard?,
            }
            if Instant::now() >= deadline {
                return Err(self.failed(
                    &format!("run flotilla {command}"),
                    "it did not end in time",
                    "center",
                ));
            }
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(self.failed(&format!("run flotilla {command}"), &why, "center"))
    }

    /// What the center says of itself; nothing while it does not answer.
    pub fn center_status(stage: &Stage) -> Option<StatusView> {
        Self::look(stage, "status")
    }

    /// What the center shows now; nothing while it does not answer.
    pub fn look<T: DeserializeOwned>(stage: &Stage, path: &str) -> Option<T> {
        let api = Api { api: Some(stage.api.clone()), token_file: Some(stage.token_file()) };
        tokio::task::block_in_place(|| api.client().ok()?.get(path).ok())
    }

    /// A step that failed, with the end of the log that tells more.
    pub fn failed(&self, step: &str, why: &str, concerns: &str) -> DemoError {
        let log: Option<PathBuf> = self.stage.log(concerns).map(Into::into);
        let log = log.map(|path| (tail(&path), path));
        DemoError::Step { step: step.to_owned(), why: why.to_owned(), log }
    }
}
