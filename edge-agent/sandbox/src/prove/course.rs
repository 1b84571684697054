//! The course of a proof: script after script until there is nothing left to take, the budget is used up, or one
//! breaks the release.
//!
//! What a script adds to the report is added when all of it has been run: one that the time runs out in never was.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::Value;
use flotilla_schemas::proof::{End, ItemProof, ListProof};
use flotilla_script::{End as Stop, Generator, ItemId, Items, Place};
use tokio::time::{Instant, timeout_at};

use super::cast::Cast;
use super::outcome::{Progress, Refusal};
use super::prover::{Prover, stack_bytes};
use super::settings::{Settings, Subject};
use super::trial::{Found, Trial};
use super::{bounds, shortest};

/// Why a proof ended early.
enum Stopped {
    Found(Box<Found>),
    Reason(String),
}

pub(super) async fn run(
    prover: &Prover,
    subject: &Subject<'_>,
    settings: &Settings,
    watch: &mut dyn FnMut(Progress),
) -> Result<ListProof, Refusal> {
    let mut refusal = Refusal { reasons: prover.look(subject), broken: None };
    let values = bounds::inside(subject.list, subject.definition);
    let items = match Items::of(subject.definition, &subject.list.root, &values) {
        Ok(items) => items,
        Err(error) => {
            refusal.reasons.push(error.to_string());
            return Err(refusal);
        }
    };
    let mut simulator = subject.simulator.clone();
    simulator.heal();
    let trial = Trial { prover, subject, settings, items, simulator };
    let mut casts = Cast::all(prover, subject.list);
    match trial.scripts(&mut casts, watch).await {
        Ok(proof) if refusal.reasons.is_empty() => return Ok(proof),
        Ok(_) => {}
        Err(Stopped::Reason(reason)) => refusal.reasons.push(reason),
        Err(Stopped::Found(found)) => {
            let broken = shortest::find(&trial, &casts, *found, watch).await;
            if refusal.reasons.is_empty() {
                refusal.reasons.push(broken.reason.clone());
            }
            refusal.broken = Some(broken);
        }
    }
    Err(refusal)
}

impl Trial<'_> {
    async fn scripts(
        &self,
        casts: &mut [Cast<'_>],
        watch: &mut dyn FnMut(Progress),
    ) -> Result<ListProof, Stopped> {
        let began = Instant::now();
        let Settings { seed, budget, as_before, .. } = self.settings;
        let until = began + budget.time;
        let mut generator = Generator::new(Arc::clone(&self.items), *seed, budget.size);
        let (outside, unsaid) = self.outside(&generator)?;
        let mut taken: BTreeMap<ItemId, u32> = BTreeMap::new();
        let (mut scripts, mut end) = (0, as_before.map_or(End::Time, |(_, end)| end));
        while as_before.is_none_or(|(most, _)| scripts < most) {
            let Some(generated) = generator.next() else {
                end = ended(generator.end());
                break;
            };
            // A script that never waits would run through however late it is.
            if Instant::now() >= until {
                end = End::Time;
                break;
            }
            let mut next = casts.to_vec();
            match timeout_at(until, self.script(&generated.text, &mut next)).await {
                Ok(Ok(())) => casts.clone_from_slice(&next),
                Ok(Err(found)) => return Err(Stopped::Found(Box::new(found))),
                Err(_) => {
                    end = End::Time;
                    break;
                }
            }
            scripts += 1;
            taken.extend(generated.covers.into_iter().map(|id| (id, scripts)));
            watch(Progress { scripts, covered: taken.len(), items: self.items.len(), shrinking: None });
        }
        if scripts == 0 {
            let reason = format!("not one script ran through within {:?}; give it more time", budget.time);
            return Err(Stopped::Reason(reason));
        }
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let item = |id| ItemProof { item: self.items.name(id).to_owned(), script: taken.get(&id).copied() };
        let cast = |cast: &Cast<'_>| {
            let mut proof = cast.proof.clone();
            (proof.measured.stack_bytes, proof.measured.elapsed_ms) =
                (stack_bytes(cast.stack) as u64, elapsed_ms);
            proof
        };
        let (items, casts) = (self.items.ids().map(item).collect(), casts.iter().map(cast).collect());
        let left_out =
            [Cast::left_out(self.prover, self.subject.list), unsaid, self.endless(&generator)].concat();
        let events = self.subject.list.events.clone();
        Ok(ListProof { events, items, scripts, end, outside, left_out, casts })
    }

    /// How many values just outside their range are refused, and those that no script says; one that is taken stops
    /// the proof.
    fn outside(&self, generator: &Generator) -> Result<(u32, Vec<String>), Stopped> {
        let (mut refused, mut unsaid) = (0, Vec::new());
        for (place, value) in bounds::outside(self.subject.list, self.subject.definition) {
            let shown = Value::from(value.as_str()).shortened();
            match generator.with(&place, &value).map(|text| self.plan(&text)) {
                None => {
                    unsaid.push(format!("{place}: {shown}, just outside its range: no script has it there"))
                }
                Some(Err(_)) => refused += 1,
                Some(Ok(_)) => {
                    return Err(Stopped::Reason(format!(
                        "{place}: {shown} is outside its range, and is taken"
                    )));
                }
            }
        }
        Ok((refused, unsaid))
    }

    /// Where scripts can have a longer text than any that is tried.
    fn endless(&self, generator: &Generator) -> Vec<String> {
        let endless = bounds::endless(self.subject.list, self.subject.definition).into_iter();
        let can_be = |(place, longest): &(Place, String)| {
            generator.with(place, longest).is_some_and(|text| self.plan(&text).is_ok())
        };
        let words = |(place, _)| format!("{place}: text of more than {} bytes", bounds::LONG_TEXT_BYTES);
        endless.filter(can_be).map(words).collect()
    }
}

fn ended(stop: Option<Stop>) -> End {
    match stop {
        Some(Stop::Complete) => End::Complete,
        Some(Stop::Stalled) => End::Stalled,
        Some(Stop::Scripts | Stop::Bytes | Stop::Elements) | None => End::Size,
    }
}
