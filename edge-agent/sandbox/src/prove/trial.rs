//! One script on trial: planned, then run with every cast; with equipment that is well, and failing in each way that
//! no script before it met at that step event.

use std::sync::Arc;

use flotilla_schemas::proof::SeenFault;
use flotilla_script::{Diagnostic, Items, PlanError, Script, Step};

use super::cast::Cast;
use super::play::{Played, play};
use super::prover::{OWN_STACK, Prover};
use super::settings::{Settings, Subject};
use super::stage::{Failing, Way};
use super::verdict::{Defect, judge};
use crate::equipment::Simulator;

/// What all scripts of a proof are tried with.
pub(super) struct Trial<'p> {
    pub prover: &'p Prover,
    pub subject: &'p Subject<'p>,
    pub settings: &'p Settings,
    pub items: Arc<Items>,
    pub simulator: Simulator,
}

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

impl Trial<'_> {
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
        while cast.stack < OWN_STACK {
            let played = play(steps, cast.shallow(self.prover), &self.simulator, None).await;
            if played.failed.is_none() {
                return;
            }
            cast.deepen();
        }
    }
}

/// Why a script cannot be planned.
pub(super) fn wrong(error: &PlanError) -> &[Diagnostic] {
    let (PlanError::Unmapped(found) | PlanError::Invalid(found)) = error;
    &found.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flotilla_schemas::countermeasure::Countermeasures;
    use flotilla_script::{Definition, EventList};

    use super::*;
    use crate::Simulator;

    /// A script with one call of an operation with this body: the stack that did, as an index.
    async fn stack(body: &str) -> usize {
        let wasm = format!(
            r#"(component (core module $m (func $run (export "run") {body})) (core instance $i (instantiate $m))
               (func (export "run") (canon lift (core func $i "run"))))"#
        );
        let manifest = r#"{"app": "any", "maker": "any", "version": "1.0.0", "residence": "resident"}"#;
        let mut prover = Prover::new().unwrap();
        prover.add(serde_json::from_str(manifest).unwrap(), &wat::parse_str(wasm).unwrap()).unwrap();
        let list = r#"{"events": "e", "definition": "d", "root": "r",
            "steps": {"start r": {"app": "any", "operation": "run"}, "end r": "none"}}"#;
        let definition = Definition::parse("d", b"<!ELEMENT r EMPTY>").unwrap();
        let subject = Subject {
            definition: &definition,
            list: &EventList::parse("e", list.as_bytes()).unwrap(),
            simulator: &Simulator::parse("equipment.toml", "").unwrap(),
            countermeasures: &Countermeasures::standard(),
        };
        let items = Items::of(&definition, "r", &BTreeMap::new()).unwrap();
        let (settings, simulator) = (Settings::default(), subject.simulator.clone());
        let trial = Trial { prover: &prover, subject: &subject, settings: &settings, items, simulator };
        let mut cast = Cast::all(&prover, subject.list).remove(0);
        trial.measure_stack(&trial.plan("<r/>").unwrap(), &mut cast).await;
        cast.stack
    }

    #[tokio::test]
    async fn a_stack_does_if_the_script_came_through_in_it_and_not_if_it_failed_in_whatever_way() {
        assert_eq!(stack("").await, 0);
        assert_eq!(stack("(unreachable)").await, OWN_STACK);
    }
}
