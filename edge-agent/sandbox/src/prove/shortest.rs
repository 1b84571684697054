//! The shortest script that still breaks a release in the same way: what a person is shown.

use std::sync::Arc;

use flotilla_script::{Diagnostic, Shrink};
use tokio::time::{Instant, timeout_at};

use super::cast::Cast;
use super::outcome::{Broken, Progress};
use super::trial::{Breaks, Found, Trial, wrong};

/// The most scripts that are tried in place of one that breaks a release.
const TRIES_MAX: usize = 10_000;

/// Makes the script as short as the settings ask for and its time allows.
pub(super) async fn find(
    trial: &Trial<'_>,
    casts: &[Cast<'_>],
    found: Found,
    watch: &mut dyn FnMut(Progress),
) -> Broken {
    let Found { script, mut breaks } = found;
    let tries = if trial.settings.shrink { TRIES_MAX } else { 0 };
    let Ok(mut shrink) = Shrink::new(Arc::clone(&trial.items), &script, tries) else {
        return Broken { script, reason: reason(&breaks, trial, casts), shortest: false };
    };
    let until = Instant::now() + trial.settings.budget.time;
    while let Some(candidate) = shrink.candidate() {
        let Ok(again) = timeout_at(until, trial.again(&candidate, casts, &breaks)).await else { break };
        shrink.answer(again.is_some());
        if let Some(again) = again {
            breaks = again;
            let size = Some(shrink.shortest().len());
            watch(Progress { scripts: 0, covered: 0, items: trial.items.len(), shrinking: size });
        }
    }
    let reason = reason(&breaks, trial, casts);
    Broken { script: shrink.shortest().to_owned(), reason, shortest: shrink.is_minimal() }
}

fn reason(breaks: &Breaks, trial: &Trial<'_>, casts: &[Cast<'_>]) -> String {
    let events = &trial.subject.list.events;
    match breaks {
        Breaks::Plan(error) => {
            let line = |one: &Diagnostic| format!("{}:{}: {}", one.line, one.col, one.message);
            let lines: Vec<String> = wrong(error).iter().map(line).collect();
            format!("{} (event list {events})", lines.join("; "))
        }
        Breaks::Run(number, failing, defect) => {
            let with = casts.get(*number).map(Cast::words).unwrap_or_default();
            let when = failing.as_ref().map(|failing| format!(", when at {failing}")).unwrap_or_default();
            format!("{defect} (event list {events}{with}{when})")
        }
    }
}
