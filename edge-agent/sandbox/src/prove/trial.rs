//! One script on trial: planned, then run with every cast; with equipment that is well, and failing in each way that
//! no script before it met at that step event.

use flotilla_schemas::proof::SeenFault;
use flotilla_script::{Diagnostic, PlanError, Script, Step};

use super::STACKS;
use super::cast::Cast;
use super::course::Course;
use super::play::{Played, play};
use super::stage::{Failing, Way};
use super::verdict::{Defect, judge};
use crate::failure::kind;

/// A script that breaks the release, and how.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub script: String,
    pub breaks: Breaks,
}

/// How a script breaks a release.
#[derive(Debug, Clone)]
pub(super) enum Breaks {
    /// It cannot be planned.
    Plan(PlanError),
    /// It goes wrong with the cast of this number, and with this failure of equipment.
    Run(usize, Option<Failing>, Defect),
}

impl Course<'_> {
    /// Runs a script and adds what is seen to the casts' reports.
    pub async fn script(&self, text: &str, casts: &mut [Cast<'_>]) -> Result<(), Found> {
        let found = |breaks| Found { script: text.to_owned(), breaks };
        let steps = self.plan(text).map_err(|error| found(Breaks::Plan(error)))?;
        for (number, cast) in casts.iter_mut().enumerate() {
            let broken =
                |failing: Option<&Failing>, defect| found(Breaks::Run(number, failing.cloned(), defect));
            let well = play(&steps, &cast.actors, &self.simulator, None).await;
            cast.add(&well, self.judge(&well, cast, None).map_err(|defect| broken(None, defect))?);
            self.measure_stack(&steps, cast).await;
            let ways = well.accesses.iter().flat_map(|access| {
                Way::of(access).iter().map(|way| Failing { access: access.clone(), way: *way })
            });
            for failing in ways {
                if !cast.tried.insert(failing.clone()) {
                    continue;
                }
                let failing = Some(&failing);
                let played = play(&steps, &cast.actors, &self.simulator, failing).await;
                let faults = self.judge(&played, cast, failing).map_err(|defect| broken(failing, defect))?;
                cast.add(&played, faults);
                cast.proof.failures += 1;
            }
        }
        Ok(())
    }

    /// Whether a script breaks the release in the same way, and how.
    pub async fn again(&self, text: &str, casts: &[Cast<'_>], before: &Breaks) -> Option<Breaks> {
        match (self.plan(text), before) {
            // Nothing may be wrong with it that was not before.
            (Err(error), Breaks::Plan(before)) => {
                let known: Vec<&String> = wrong(before).iter().map(|one| &one.message).collect();
                let same = wrong(&error).iter().all(|one| known.contains(&&one.message));
                same.then_some(Breaks::Plan(error))
            }
            (Ok(steps), Breaks::Run(number, failing, before)) => {
                let cast = casts.get(*number)?;
                let played = play(&steps, &cast.actors, &self.simulator, failing.as_ref()).await;
                let defect = self.judge(&played, cast, failing.as_ref()).err()?;
                defect.is_like(before).then(|| Breaks::Run(*number, failing.clone(), defect))
            }
            _ => None,
        }
    }

    /// The steps of a script that the definition allows.
    pub fn plan(&self, text: &str) -> Result<Vec<Step>, PlanError> {
        let script = Script::parse("script.xml", text.as_bytes(), self.subject.definition);
        script.map_err(PlanError::Invalid)?.plan(self.subject.list)
    }

    fn judge(
        &self,
        played: &Played,
        cast: &Cast<'_>,
        failing: Option<&Failing>,
    ) -> Result<Vec<SeenFault>, Defect> {
        judge(played, cast, self.subject.countermeasures, failing)
    }

    /// Widens the stack that is known to do until the script runs in it.
    async fn measure_stack(&self, steps: &[Step], cast: &mut Cast<'_>) {
        while cast.stack < STACKS.len() {
            let Some(sandbox) = self.prover.with_stack(cast.stack) else { return };
            let actors = cast.in_sandbox(sandbox);
            let played = play(steps, &actors, &self.simulator, None).await;
            if played.failed.is_none_or(|failed| failed.kind.as_str() != kind::STACK) {
                return;
            }
            cast.stack += 1;
        }
    }
}

/// Why a script cannot be planned.
pub(super) fn wrong(error: &PlanError) -> &[Diagnostic] {
    let (PlanError::Unmapped(found) | PlanError::Invalid(found)) = error;
    &found.0
}
