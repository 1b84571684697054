//! The story as it happens: a line for each thing, with the time since the beginning and who it concerns.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::output::{self, BOLD, DIM, GOOD, NAME, styled};

/// How often the same thing of the same edge is told; after that it is only counted.
const TOLD_MAX: u32 = 2;

/// Where the story is told.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    told: BTreeMap<String, u32>,
}

impl Timeline {
    /// A story that begins now.
    pub fn begin() -> Self {
        Self { start: Instant::now(), told: BTreeMap::new() }
    }

    /// A new chapter.
    pub fn chapter(&self, title: &str) -> std::io::Result<()> {
        output::line(format!("\n{}", styled(BOLD, title)))
    }

    /// Something happened to somebody.
    pub fn tell(&self, who: &str, what: &str) -> std::io::Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        let time = styled(DIM, format!("{seconds:>7.3} s"));
        output::line(format!("{time}  {}  {what}", styled(NAME, format!("{who:<6}"))))
    }

    /// Something happens again and again: it is told the first times.
    pub fn tell_some(&mut self, key: &str, who: &str, what: &str) -> std::io::Result<()> {
        let told = self.told.entry(format!("{who} {key}")).or_default();
        *told += 1;
        if *told <= TOLD_MAX { self.tell(who, what) } else { Ok(()) }
    }

    /// A step of the story is through.
    pub fn check(&self, what: &str) -> std::io::Result<()> {
        self.tell("", &format!("{} {what}", styled(GOOD, "✓")))
    }

    /// How long the story has gone on, in seconds.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
