//! Proving a script on this machine: how it is asked for, how far it is, what came of it.
//!
//! Progress goes to standard error: one line that changes on a terminal, a line now and then elsewhere. A script that
//! breaks a release is written to a file, and the file is named. Only a file that was written so is written over.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use center_agent::prove::ScriptFiles;
use center_agent::prove::range::{self, Offered, RangeError};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use flotilla_sandbox::prove::{Broken, Budget, Progress, Settings};
use flotilla_schemas::EventsId;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::{ListProof, Proof};
use flotilla_script::limit::SCRIPT_BYTES_MAX;
use serde_json::json;

use crate::output::{self, DIM, styled};
use crate::toml_file::read_bounded;

/// How often it is said how far a proof is: on a terminal, and elsewhere.
const TOLD_EVERY: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// What a script ends with that was written to show what breaks.
const MARK: &str = "<!-- made by flotilla to show what breaks -->\n";

/// How a script is proven.
#[derive(Debug, Clone, Args)]
pub struct Proving {
    /// What chance begins with: the same seed makes the same scripts
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    pub seed: u64,
    /// How long the proof may take, all event lists together; what it did not come to is said
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub budget: Duration,
    /// The most scripts that are made for an event list
    #[arg(long, value_name = "N", default_value_t = Settings::default().budget.size.scripts, value_parser = scripts())]
    pub scripts: usize,
    /// Make a script that breaks the release as short as it can be
    #[arg(long, value_name = "true|false", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
        action = clap::ArgAction::Set)]
    pub shrink: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; such as 500ms, 60s or 5m"))
}

/// More than a center makes by itself it cannot repeat.
fn scripts() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=Settings::default().budget.size.scripts as u64)
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProvingError {
    /// Something breaks; all reasons, and where the script is that shows it.
    #[error("prove event list {events}:\n  {}", .reasons.join("\n  "))]
    Refused {
        /// The event list.
        events: EventsId,
        /// All that is known.
        reasons: Vec<String>,
        /// The file with the script that breaks it.
        script: Option<PathBuf>,
    },
    /// The proof could not be made.
    #[error("prove it: {0}")]
    Range(RangeError),
}

impl ProvingError {
    /// What a machine reads of it.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Refused { events, reasons, script } => {
                json!({"events": events, "reasons": reasons, "script": script})
            }
            Self::Range(error) => json!({"reasons": [error.to_string()]}),
        }
    }
}

impl Proving {
    fn settings(&self) -> Settings {
        let mut settings = Settings { seed: self.seed, shrink: self.shrink, ..Settings::default() };
        settings.budget = Budget { time: self.budget, ..settings.budget };
        settings.budget.size.scripts = self.scripts;
        settings
    }

    /// Proves a script; `name` is what the file is called that shows how it breaks.
    pub fn prove(
        &self,
        name: &str,
        files: &ScriptFiles<'_>,
        apps: &[Offered],
        countermeasures: &Countermeasures,
    ) -> Result<Proof, ProvingError> {
        let mut teller = Teller::new();
        let mut watch = |events: &EventsId, progress| teller.tell(events, progress);
        let proven = range::prove(files, apps, countermeasures, &self.settings(), None, &mut watch);
        teller.end();
        proven.map_err(|error| match error {
            RangeError::Refused { events, refusal } => {
                let mut reasons = refusal.reasons;
                let script = refusal.broken.and_then(|broken| shown(name, &broken, &mut reasons));
                ProvingError::Refused { events, reasons, script }
            }
            other => ProvingError::Range(other),
        })
    }
}

/// Writes the script that breaks a release to a file of the current folder, and says so; or shows it, if it cannot be
/// written.
fn shown(name: &str, broken: &Broken, reasons: &mut Vec<String>) -> Option<PathBuf> {
    if !reasons.contains(&broken.reason) {
        reasons.push(format!("which shows at {}", broken.reason));
    }
    let which = if broken.shortest { "the shortest script" } else { "a script" };
    let path = PathBuf::from(format!("{name}.broken.xml"));
    match write(&path, &broken.script) {
        Ok(()) => {
            reasons.push(format!("{which} that breaks it is in {}", path.display()));
            Some(path)
        }
        Err(error) => {
            let (path, script) = (path.display(), &broken.script);
            reasons.push(format!("{which} that breaks it, which is not in {path} ({error}):\n{script}"));
            None
        }
    }
}

/// Writes a script with the mark, over nothing but what has it.
fn write(path: &Path, script: &str) -> io::Result<()> {
    match read_bounded(path, (SCRIPT_BYTES_MAX + MARK.len()) as u64) {
        Ok(there) if !there.ends_with(MARK.as_bytes()) => {
            return Err(io::Error::other("the file that is there is not of this program's making"));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::write(path, format!("{script}{MARK}"))
}

/// Says how far a proof is.
struct Teller {
    is_terminal: bool,
    began: Instant,
    told: Instant,
    open: bool,
}

impl Teller {
    fn new() -> Self {
        let now = Instant::now();
        Self { is_terminal: io::stderr().is_terminal(), began: now, told: now, open: false }
    }

    fn tell(&mut self, events: &EventsId, progress: Progress) {
        let [terminal, elsewhere] = TOLD_EVERY;
        if self.told.elapsed() < if self.is_terminal { terminal } else { elsewhere } {
            return;
        }
        self.told = Instant::now();
        let Progress { scripts, covered, items, shrinking } = progress;
        let how = match shrinking {
            Some(bytes) => format!("it breaks; the shortest script so far has {bytes} bytes"),
            None => format!(
                "{covered} of {items} items, {scripts} {}",
                output::plural(scripts as usize, "script")
            ),
        };
        let text = format!("   proving {events}: {how}, {} s", self.began.elapsed().as_secs());
        if self.is_terminal {
            self.open = true;
            // Nobody is left to be told when standard error is gone.
            let _ = write!(anstream::stderr().lock(), "\r\x1b[K{}", styled(DIM, text));
        } else {
            output::note(text);
        }
    }

    fn end(&mut self) {
        if self.open {
            let _ = write!(anstream::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// The proof in a few words.
pub fn summary(proof: &Proof) -> String {
    let list = |list: &ListProof| {
        let (covered, items) = (list.covered(), list.items.len());
        format!("{covered} of {items} items of {} by {} scripts", list.events, list.scripts)
    };
    proof.lists.iter().map(list).collect::<Vec<_>>().join(", ")
}
