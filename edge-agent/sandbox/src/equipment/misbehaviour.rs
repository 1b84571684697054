//! One thing that goes wrong with a simulated device: from when, for how long, and how.

use flotilla_schemas::{Type, Value};

use super::keys::Keys;
use crate::host::HostError;

/// What a worn-out sensor reports: the greatest reading of sixteen bits, in tenths.
const NONSENSE_NUMBER: f64 = 6553.5;

/// The same where whole numbers are reported.
const NONSENSE_INTEGER: i64 = 65_535;

/// What a broken device says in place of anything but a number.
const NONSENSE_TEXT: &str = "---";

/// How a device misbehaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// It answers what cannot be true.
    Nonsense,
    /// It answers what lies beyond the point's range, or type if that has none.
    Beyond,
    /// It does not answer.
    Silent,
    /// It answers with a refusal.
    Refuse,
    /// It does what it is asked, and answers so many milliseconds late.
    Slow(u64),
    /// It answers this, whatever it measures.
    Says(Value),
}

/// A scheduled misbehaviour of a device or of one of its points.
#[derive(Debug, Clone)]
pub(super) struct Misbehaviour {
    /// None means all points of the device.
    pub(super) point: Option<String>,
    pub(super) behaviour: Behaviour,
    after: After,
    /// How long; none means for ever.
    for_ms: Option<u64>,
    /// How often its points have been read.
    reads: u64,
    /// When it was first felt.
    began_ms: Option<u64>,
}

/// What has to pass before it begins.
#[derive(Debug, Clone, Copy)]
enum After {
    /// Milliseconds since the equipment was switched on.
    Time(u64),
    /// Reads of its points that are still answered well.
    Reads(u64),
}

impl Misbehaviour {
    /// From now on and for ever.
    pub(super) fn now(point: Option<&str>, behaviour: Behaviour) -> Self {
        let (point, after) = (point.map(str::to_owned), After::Time(0));
        Self { point, behaviour, after, for_ms: None, reads: 0, began_ms: None }
    }

    /// As a file says it.
    pub(super) fn read(keys: &mut Keys) -> Option<Self> {
        let point = keys.take("point");
        let after = match (keys.duration("after"), keys.take("after_reads")) {
            (Some(_), Some(_)) => keys.problem("after_reads", "stands beside after: one of them says when"),
            (Some(ms), None) => Some(After::Time(ms)),
            (None, Some(reads)) => Some(After::Reads(reads)),
            (None, None) => Some(After::Time(0)),
        };
        let for_ms = keys.duration("for");
        let behaviour = behaviour(keys);
        Some(Self { point, behaviour: behaviour?, after: after?, for_ms, reads: 0, began_ms: None })
    }

    pub(super) fn concerns(&self, point: &str) -> bool {
        self.point.as_deref().is_none_or(|mine| mine == point)
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
}

fn behaviour(keys: &mut Keys) -> Option<Behaviour> {
    const KINDS: &str = "nonsense, beyond, silent or refuse";
    let named: Option<String> = keys.take("behaviour");
    let (slow, value) = (keys.duration("slow").map(Behaviour::Slow), keys.take("value").map(Behaviour::Says));
    let named = match named.as_deref() {
        None => None,
        Some("nonsense") => Some(Behaviour::Nonsense),
        Some("beyond") => Some(Behaviour::Beyond),
        Some("silent") => Some(Behaviour::Silent),
        Some("refuse") => Some(Behaviour::Refuse),
        Some(other) => return keys.problem("behaviour", format!("{other:?} is not {KINDS}")),
    };
    let mut said = [named, slow, value].into_iter().flatten();
    match (said.next(), said.next()) {
        (Some(behaviour), None) => Some(behaviour),
        (Some(_), Some(_)) => keys.problem("behaviour", "one of behaviour, slow and value says how"),
        (None, _) => keys.problem("behaviour", format!("is missing: {KINDS}, or slow, or a value")),
    }
}

impl Behaviour {
    /// Fails if the device is silent or refuses.
    pub(super) fn obey(&self, device: &str, point: &str) -> Result<(), HostError> {
        match self {
            Self::Silent => Err(HostError::Unreachable(format!("{device}/{point} does not answer"))),
            Self::Refuse => Err(HostError::Rejected(format!("{device} refuses {point}"))),
            Self::Nonsense | Self::Beyond | Self::Slow(_) | Self::Says(_) => Ok(()),
        }
    }

    /// How late the device answers, in milliseconds.
    pub(super) fn delay_ms(&self) -> u64 {
        if let Self::Slow(ms) = self { *ms } else { 0 }
    }

    /// What is answered in place of the truth, by a point of this type.
    pub(super) fn distort(&self, ty: &Type, truth: Value) -> Value {
        match (self, truth) {
            (Self::Says(value), _) => value.clone(),
            (Self::Beyond, _) => beyond(ty),
            (Self::Nonsense, Value::Number(_)) => Value::Number(NONSENSE_NUMBER),
            (Self::Nonsense, Value::Integer(_)) => Value::Integer(NONSENSE_INTEGER),
            (Self::Nonsense, _) => Value::Text(NONSENSE_TEXT.to_owned()),
            (Self::Silent | Self::Refuse | Self::Slow(_), truth) => truth,
        }
    }
}

/// A value just beyond the range of a type, or of another type where it has no end.
fn beyond(ty: &Type) -> Value {
    match *ty {
        Type::Integer { max, .. } if max < i64::MAX => Value::Integer(max + 1),
        Type::Integer { min, .. } if min > i64::MIN => Value::Integer(min - 1),
        Type::Number { max: Some(end), .. } => Value::Number(end + end.abs().max(1.0)),
        Type::Number { min: Some(end), .. } => Value::Number(end - end.abs().max(1.0)),
        Type::Bool | Type::Text { .. } | Type::List { .. } | Type::Record { .. } => Value::Integer(2),
        _ => Value::Text(NONSENSE_TEXT.to_owned()),
    }
}
