//! What is proven, and how.

use std::time::Duration;

use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::End;
use flotilla_script::{Budget as Size, Definition, EventList};

use crate::equipment::Simulator;

/// What is proven.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What scripts can say.
    pub definition: &'a Definition,
    /// What that makes apps do.
    pub list: &'a EventList,
    /// The equipment behind the apps. What its file says of misbehaviour is left out: a proof makes its own.
    pub simulator: &'a Simulator,
    /// What is done about faults.
    pub countermeasures: &'a Countermeasures,
}

/// How it is proven.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What chance begins with.
    pub seed: u64,
    /// How much is done at most.
    pub budget: Budget,
    /// End after so many scripts and for that reason, as another proof did whose budget was used up.
    pub as_before: Option<(u32, End)>,
    /// Whether a script that breaks the release is made as short as can be.
    pub shrink: bool,
}

/// How much is done at most.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// How long scripts are run; the search for the shortest one may take as long again.
    pub time: Duration,
    /// How many and how large.
    pub size: Size,
}

impl Default for Settings {
    /// Seed 1, a minute, and as much as a generator makes by itself.
    fn default() -> Self {
        let budget = Budget { time: Duration::from_secs(60), size: Size::default() };
        Self { seed: 1, budget, as_before: None, shrink: true }
    }
}
