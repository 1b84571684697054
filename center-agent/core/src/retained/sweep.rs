//! Hearing what the broker retains before anything is issued.
//!
//! MQTT does not say where retained messages end. So the sweep ends when none has come for [`QUIET_MS`], and at the
//! latest after [`SWEEP_MS_MAX`].

/// How long no retained message must come, in milliseconds.
pub const QUIET_MS: u64 = 1000;

/// How long a sweep may last, in milliseconds.
pub const SWEEP_MS_MAX: u64 = 60_000;

/// Where the sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sweep {
    /// There is no connection.
    #[default]
    Idle,
    /// Retained messages are coming in.
    Listening {
        /// When it has been quiet for long enough.
        quiet_at: u64,
        /// When it ends whatever comes.
        latest_at: u64,
    },
    /// What the broker retains was heard.
    Done,
}

impl Sweep {
    /// A connection has begun.
    pub fn begin(mono_ms: u64) -> Self {
        Sweep::Listening { quiet_at: mono_ms + QUIET_MS, latest_at: mono_ms + SWEEP_MS_MAX }
    }

    /// A retained message came.
    pub fn heard(&mut self, mono_ms: u64) {
        if let Sweep::Listening { quiet_at, .. } = self {
            *quiet_at = mono_ms + QUIET_MS;
        }
    }

    /// When it ends, if nothing more comes.
    pub fn ends_at(&self) -> Option<u64> {
        match self {
            Sweep::Listening { quiet_at, latest_at } => Some(*quiet_at.min(latest_at)),
            Sweep::Idle | Sweep::Done => None,
        }
    }

    /// Ends it if it is time. True at that moment alone.
    pub fn end(&mut self, mono_ms: u64) -> bool {
        let over = self.ends_at().is_some_and(|at| at <= mono_ms);
        if over {
            *self = Sweep::Done;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_ends_after_a_quiet_second_and_once() {
        let mut sweep = Sweep::begin(0);
        sweep.heard(900);
        assert!(!sweep.end(1000) && sweep.end(1900) && !sweep.end(1900));
        assert_eq!(sweep, Sweep::Done);
    }

    #[test]
    fn a_broker_that_never_stops_does_not_hold_it_up() {
        let mut sweep = Sweep::begin(0);
        for at in (0..SWEEP_MS_MAX).step_by(100) {
            sweep.heard(at);
            assert!(!sweep.end(at));
        }
        assert!(sweep.end(SWEEP_MS_MAX));
    }
}
