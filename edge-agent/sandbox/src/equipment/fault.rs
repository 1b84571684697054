//! One thing that goes wrong with a device: from when, for how long, and how.

use flotilla_schemas::Value;
use serde::Deserialize;

use crate::host::HostError;

/// What a worn-out sensor reports: the greatest reading of sixteen bits, in tenths.
const NONSENSE_NUMBER: f64 = 6553.5;

/// The same where whole numbers are reported.
const NONSENSE_INTEGER: i64 = 65_535;

/// What a broken device says in place of anything but a number.
const NONSENSE_TEXT: &str = "---";

/// A scheduled fault of a device or of one of its points.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) device: String,
    /// None means all points of the device.
    pub(super) point: Option<String>,
    pub(super) after: After,
    /// How long; none means for ever.
    pub(super) for_ms: Option<u64>,
    pub(super) behaviour: Behaviour,
    /// How often its points have been read.
    pub(super) reads: u64,
    /// When it was first felt.
    pub(super) began_ms: Option<u64>,
}

/// What has to pass before it begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum After {
    /// Milliseconds since the equipment was switched on.
    Time(u64),
    /// Reads of its points that are still answered well.
    Reads(u64),
}

/// What the device does then.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Behaviour {
    /// It answers what cannot be true.
    Nonsense,
    /// It does not answer.
    Silent,
    /// It answers with a refusal.
    Refuse,
    /// It answers this, whatever it measures.
    #[serde(skip)]
    Says(Value),
}

impl Fault {
    pub(super) fn concerns(&self, device: &str, point: &str) -> bool {
        self.device == device && self.point.as_deref().is_none_or(|mine| mine == point)
    }

    pub(super) fn count_read(&mut self) {
        self.reads = self.reads.saturating_add(1);
    }

    pub(super) fn is_on(&mut self, now_ms: u64) -> bool {
        let due_ms = match self.after {
            After::Time(after_ms) => (now_ms >= after_ms).then_some(after_ms),
            After::Reads(well) => (self.reads > well).then_some(now_ms),
        };
        self.began_ms = self.began_ms.or(due_ms);
        let within = |began_ms| self.for_ms.is_none_or(|for_ms| now_ms.saturating_sub(began_ms) < for_ms);
        self.began_ms.is_some_and(within)
    }

    /// Fails if the device is silent or refuses.
    pub(super) fn obey(&self, device: &str, point: &str) -> Result<(), HostError> {
        match self.behaviour {
            Behaviour::Silent => Err(HostError::Unreachable(format!("{device}/{point}"))),
            Behaviour::Refuse => Err(HostError::Rejected(format!("{device} refuses {point}"))),
            Behaviour::Nonsense | Behaviour::Says(_) => Ok(()),
        }
    }

    /// What is answered in place of the truth.
    pub(super) fn distort(&self, truth: Value) -> Value {
        match (&self.behaviour, truth) {
            (Behaviour::Says(value), _) => value.clone(),
            (Behaviour::Nonsense, Value::Number(_)) => Value::Number(NONSENSE_NUMBER),
            (Behaviour::Nonsense, Value::Integer(_)) => Value::Integer(NONSENSE_INTEGER),
            (Behaviour::Nonsense, _) => Value::Text(NONSENSE_TEXT.to_owned()),
            (Behaviour::Silent | Behaviour::Refuse, truth) => truth,
        }
    }
}
