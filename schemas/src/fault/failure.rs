//! Failures: what went wrong where something was done, before anybody makes a fault of it.
//!
//! Whoever does a thing (a sandbox, a shelf, a device's driver) says how it failed in this one form; nothing here knows
//! what is done about it. What is said comes from apps and devices, so it is cut to a length.

use super::Kind;
use crate::point::PointId;

/// The longest message of a failure, in bytes; what is beyond is cut off.
pub const MESSAGE_BYTES_MAX: usize = 2048;

/// The most frames of a backtrace.
pub const BACKTRACE_FRAMES_MAX: usize = 32;

/// Why something has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// What was seen; as a rule one of [`kind`](super::kind).
    pub kind: Kind,
    /// What happened, for people: what the app said last, or else what was seen from outside. At most
    /// [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
    /// The code of the fault that an operation returned, if it returned one.
    pub code: Option<String>,
    /// The app's functions from the innermost outwards, demangled, at most [`BACKTRACE_FRAMES_MAX`].
    pub backtrace: Vec<String>,
    /// Whether the app's instance can do no more: start another.
    pub spent: bool,
}

impl Failure {
    /// A failure after which there is no instance.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        let (kind, message) = (Kind::of(kind), cut(message.into()));
        Self { kind, message, code: None, backtrace: Vec::new(), spent: true }
    }

    /// A failure that leaves the app's instance as it was.
    pub fn mild(kind: &str, message: impl Into<String>) -> Self {
        Self { spent: false, ..Self::new(kind, message) }
    }

    /// The same in a call in which a device let the app down, if one did: the device in front, so that a list can
    /// tell the cause.
    ///
    /// ```
    /// use flotilla_schemas::PointId;
    /// use flotilla_schemas::fault::{Failure, Kind, kind};
    /// let by = Some((PointId::new("aircon", "room"), Kind::of(kind::EQUIPMENT_SLOW)));
    /// let failure = Failure::mild(kind::ERROR, "the room cannot be read").let_down(by);
    /// assert_eq!(failure.message, "aircon/room: equipment.slow; the room cannot be read");
    /// ```
    #[must_use]
    pub fn let_down(self, by: Option<(PointId, Kind)>) -> Self {
        let Some((point, kind)) = by else { return self };
        Self { message: cut(format!("{point}: {kind}; {}", self.message)), ..self }
    }
}

/// The text, or as many whole characters of it as [`MESSAGE_BYTES_MAX`] bytes hold.
pub fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::kind;

    #[test]
    fn a_message_is_cut_between_two_characters() {
        let failure = Failure::new(kind::ERROR, format!("a{}", "ä".repeat(MESSAGE_BYTES_MAX)));
        assert_eq!(failure.message.len(), MESSAGE_BYTES_MAX - 1);
        let by = Some((PointId::new("aircon", "room"), Kind::of(kind::EQUIPMENT_SLOW)));
        let failure = failure.let_down(by);
        assert!(failure.message.starts_with("aircon/room: equipment.slow; aä"));
        assert!(failure.message.len() <= MESSAGE_BYTES_MAX);
    }
}
