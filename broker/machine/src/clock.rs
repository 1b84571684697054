//! The clocks of a machine, as the cores are told them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flotilla_schemas::time::Now;

/// The clocks of one run: running time counts from its start.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A run begins.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The present.
    pub fn now(&self) -> Now {
        Now::new(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX), wall_ms())
    }

    /// When so many milliseconds of running time will have passed.
    pub fn at(&self, mono_ms: u64) -> Instant {
        self.0 + Duration::from_millis(mono_ms)
    }
}

/// What the wall clock shows, in Unix milliseconds: negative before 1970, and whatever somebody set it to.
pub fn wall_ms() -> i64 {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => ms(since),
        Err(before) => -ms(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_time_counts_from_the_start_and_never_runs_back() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.mono_ms <= second.mono_ms);
        assert!(clock.at(first.mono_ms) <= Instant::now(), "what has passed is not to come");
        assert!(first.clock_ok, "this machine's wall clock is set");
    }
}
