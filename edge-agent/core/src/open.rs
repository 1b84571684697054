//! Effects under way: who waits for each, and for how long.
//!
//! An effect is here from the moment it is asked for until its answer comes, which the driver promises. Who waits may
//! give up before, once; what the effect is about stays taken all the same, because somebody is still at it.

use std::collections::BTreeMap;

use flotilla_schemas::journal::Lane;
use flotilla_schemas::{AppId, Digest, PointId, ServiceId};

use crate::effect::EffectId;
use crate::input::Failure;

/// How long work on files may take before who waits for it gives up, in milliseconds.
pub(crate) const FILES_MS: u64 = 300_000;

/// How long loading an app may take, in milliseconds; a small gateway compiles for minutes.
pub(crate) const LOAD_MS: u64 = 600_000;

/// How much longer than its own deadline a call may take, in milliseconds.
pub(crate) const CALL_MARGIN_MS: u64 = 10_000;

/// How long a device may take, in milliseconds: more than any equipment file allows.
pub(crate) const DEVICE_MS: u64 = 120_000;

/// What is said of who did not answer in time.
pub(crate) fn overdue(kind: &str, who: &str) -> Failure {
    Failure::new(kind, format!("{who} has not answered for too long"))
}

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Waiter {
    /// What is to be fetched, for which chunks are missing.
    Download(Digest),
    /// A run of this service, for its script.
    Script(ServiceId),
    /// This app, to be in memory.
    Load(AppId),
    /// This app, for what it was called for.
    Call(AppId),
    /// The point that is being set.
    Write,
    /// This point, to be well.
    Probe(PointId),
    /// This lane, for the broker's acknowledgement.
    Lane(Lane),
    /// Nobody.
    Nobody,
}

/// The effects whose answers are awaited.
#[derive(Debug, Default)]
pub(crate) struct Open {
    last: u64,
    under_way: BTreeMap<EffectId, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    waiter: Waiter,
    /// None once the waiter has given up, or if it never does.
    give_up_at: Option<u64>,
}

impl Open {
    /// A number for an effect.
    pub fn next(&mut self) -> EffectId {
        self.last += 1;
        EffectId(self.last)
    }

    /// This effect's answer is awaited, until then if a time is given.
    pub fn await_answer(&mut self, id: EffectId, waiter: Waiter, give_up_at: Option<u64>) {
        self.under_way.insert(id, UnderWay { waiter, give_up_at });
    }

    /// The answer came; who waits for it, or none if it is nobody's.
    pub fn answered(&mut self, id: EffectId) -> Option<Waiter> {
        self.under_way.remove(&id).map(|under_way| under_way.waiter)
    }

    /// Who gives up now; each is told once.
    pub fn overdue(&mut self, now_ms: u64) -> Vec<(EffectId, Waiter)> {
        let is_over = |under_way: &UnderWay| under_way.give_up_at.is_some_and(|at| at <= now_ms);
        let over = self.under_way.iter_mut().filter(|(_, under_way)| is_over(under_way));
        over.map(|(id, under_way)| {
            under_way.give_up_at = None;
            (*id, under_way.waiter.clone())
        })
        .collect()
    }

    /// When somebody gives up next.
    pub fn wake_at(&self) -> Option<u64> {
        self.under_way.values().filter_map(|under_way| under_way.give_up_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_once_and_one_of_another_run_never() {
        let mut open = Open::default();
        let id = open.next();
        open.await_answer(id, Waiter::Write, None);
        assert_eq!(open.answered(EffectId(id.0 + 1)), None);
        assert_eq!((open.answered(id), open.answered(id)), (Some(Waiter::Write), None));
    }

    #[test]
    fn who_gives_up_is_told_once_and_the_answer_is_still_awaited() {
        let mut open = Open::default();
        let id = open.next();
        open.await_answer(id, Waiter::Write, Some(100));
        assert_eq!((open.overdue(99), open.wake_at()), (Vec::new(), Some(100)));
        assert_eq!(open.overdue(100), [(id, Waiter::Write)]);
        assert_eq!((open.overdue(1_000), open.wake_at()), (Vec::new(), None));
        assert_eq!(open.answered(id), Some(Waiter::Write));
    }
}
