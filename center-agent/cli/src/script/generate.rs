//! `flotilla script generate`: scripts for people, made from a definition.
//!
//! Each script is written as soon as it is there, so what a long run has made is there when it is ended. What was
//! not covered is said.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use flotilla_script::{
    Budget, Coverage, Definition, Generated, Generator, ItemId, Items, ItemsError, Values,
};
use serde_json::json;

use super::definition::{self, DefinitionError};
use crate::output::{self, BOLD, DIM, WARN, plural, styled};

/// How many things that were not covered are listed for a person; with `--json` all are.
const LISTED_MAX: usize = 20;

/// How often it is said how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What is generated.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flotilla script generate --definition definition.dtd --cover --out scripts\n  \
    flotilla script generate --definition definition.dtd --random 100 --seed 7 --out scripts",
    group = clap::ArgGroup::new("what").required(true).args(["cover", "random"])
)]
pub struct Generate {
    /// The definition, a DTD
    #[arg(long, value_name = "FILE")]
    pub definition: PathBuf,
    /// A folder that the definition may read external parameter entities from, besides its own. May be given more
    /// than once
    #[arg(long, value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// The root element; needed where the definition has several that nothing else contains
    #[arg(long, value_name = "NAME")]
    pub root: Option<String>,
    /// Make scripts until each element, alternative, repetition, attribute and listed value was there at least once
    #[arg(long)]
    pub cover: bool,
    /// Make so many scripts by chance
    #[arg(long, value_name = "N")]
    pub random: Option<usize>,
    /// The folder for the scripts, which is made if need be; it must be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write into the folder even if something is in it, over what has the same name
    #[arg(long)]
    pub force: bool,
    /// The same seed makes the same scripts
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Stop after so long
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub within: humantime::Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Why scripts could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is no definition.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// It was not said which element scripts begin with.
    #[error("choose the root: {} could be; name one with --root", .0.join(", "))]
    Roots(Vec<String>),
    /// There is nothing that could be generated.
    #[error("generate scripts: {0}")]
    Items(#[from] ItemsError),
    /// The folder holds something already.
    #[error("write into {0}: it is not empty; name another, or write into it with --force")]
    NotEmpty(PathBuf),
    /// A file could not be written.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

/// Generates, writes and says what came of it.
pub fn run(generate: &Generate) -> Result<(), GenerateError> {
    let definition = definition::read(&generate.definition, &generate.include)?;
    let root = root(&definition, generate.root.as_deref())?;
    let items = Items::of(&definition, &root, &Values::new())?;
    prepare(&generate.out, generate.force)?;
    let mut run = Run { generate, began: Instant::now(), said: Instant::now(), files: Vec::new() };
    let mut generator = Generator::new(Arc::clone(&items), generate.seed, Budget::default());
    let end = run.write_all(&mut generator)?;
    Ok(run.print(&root, generator.coverage(), &end)?)
}

/// The root that was named, or the only one that there is.
fn root(definition: &Definition, named: Option<&str>) -> Result<String, GenerateError> {
    let roots = definition.roots();
    match (named, roots.first()) {
        (Some(named), _) => Ok(named.to_owned()),
        (None, Some(root)) if roots.len() == 1 => Ok((*root).to_owned()),
        _ => Err(GenerateError::Roots(roots.into_iter().map(|root| format!("<{root}>")).collect())),
    }
}

fn prepare(dir: &Path, force: bool) -> Result<(), GenerateError> {
    let failed = |cause| GenerateError::Write { path: dir.to_owned(), cause };
    fs::create_dir_all(dir).map_err(failed)?;
    let is_empty = fs::read_dir(dir).map_err(failed)?.next().is_none();
    if is_empty || force { Ok(()) } else { Err(GenerateError::NotEmpty(dir.to_owned())) }
}

/// A run and what it has written.
struct Run<'g> {
    generate: &'g Generate,
    began: Instant,
    /// When something was last said of it.
    said: Instant,
    files: Vec<Written>,
}

/// A script that was written.
struct Written {
    file: PathBuf,
    bytes: usize,
    covers: Vec<ItemId>,
}

impl Run<'_> {
    /// Writes script after script; why there are no more.
    fn write_all(&mut self, generator: &mut Generator) -> Result<String, GenerateError> {
        loop {
            if self.generate.random.is_some_and(|count| self.files.len() >= count) {
                return Ok("as many scripts as were asked for".to_owned());
            }
            if self.began.elapsed() >= *self.generate.within {
                return Ok(format!("{} are over; --within gives more", self.generate.within));
            }
            let script = if self.generate.cover { generator.next() } else { generator.random() };
            let Some(script) = script else {
                let end = generator.end().map(|end| end.to_string());
                return Ok(end.unwrap_or_else(|| "no valid script was found by chance".to_owned()));
            };
            self.write(script)?;
            if self.said.elapsed() >= PROGRESS_EVERY {
                self.said = Instant::now();
                output::note(styled(DIM, format!("{}, {}", self.count(), shown(generator.coverage()))));
            }
        }
    }

    fn write(&mut self, script: Generated) -> Result<(), GenerateError> {
        let path = self.generate.out.join(format!("script-{:04}.xml", self.files.len() + 1));
        fs::write(&path, &script.text).map_err(|cause| GenerateError::Write { path: path.clone(), cause })?;
        self.files.push(Written { file: path, bytes: script.text.len(), covers: script.covers });
        Ok(())
    }

    fn count(&self) -> String {
        let count = self.files.len();
        format!("{count} {}", plural(count, "script"))
    }

    fn print(&self, root: &str, coverage: &Coverage, end: &str) -> io::Result<()> {
        let items = coverage.items();
        let missing: Vec<&str> = coverage.missing().map(|id| items.name(id)).collect();
        if self.generate.json {
            let script = |Written { file, bytes, covers }: &Written| {
                let covers: Vec<&str> = covers.iter().map(|id| items.name(*id)).collect();
                json!({"file": file, "bytes": bytes, "covers": covers})
            };
            let scripts: Vec<_> = self.files.iter().map(script).collect();
            let (total, covered) = (coverage.total(), coverage.covered());
            return output::json(&json!({
                "root": root, "seed": self.generate.seed, "scripts": scripts, "total": total, "covered": covered,
                "missing": missing, "stopped": end,
            }));
        }
        let bytes: usize = self.files.iter().map(|written| written.bytes).sum();
        let count = styled(BOLD, self.count());
        output::line(format!("{count} in {}, {bytes} bytes", self.generate.out.display()))?;
        output::line(format!("{}; stopped: {end}", shown(coverage)))?;
        if !missing.is_empty() {
            output::line(styled(WARN, "not covered:"))?;
        }
        missing.iter().take(LISTED_MAX).try_for_each(|name| output::line(format!("  {name}")))?;
        match missing.len().saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => output::line(format!("  and {more} more; --json lists all")),
        }
    }
}

/// How much has been shown.
fn shown(coverage: &Coverage) -> String {
    let (covered, total) = (coverage.covered(), coverage.total());
    // Rounded down, so that 100 % is said of everything alone.
    format!("{covered} of {total} covered ({} %)", covered * 100 / total.max(1))
}
