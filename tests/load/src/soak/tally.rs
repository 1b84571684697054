//! What is counted, and what counts as lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::client::PATIENCE;

/// What happened so far, counted by all.
#[derive(Default)]
pub struct Tally {
    pub published: AtomicU64,
    pub collected: AtomicU64,
    pub answered: AtomicU64,
    pub reconnected: AtomicU64,
    /// Messages of edges that stay, and how many of them came to the center or are known not to have.
    pub staying_published: AtomicU64,
    pub staying_accounted: AtomicU64,
    /// Messages of edges that stay which did not come, in either direction.
    pub lost: AtomicU64,
    /// The time is over: nothing more is published.
    pub over: AtomicBool,
}

impl Tally {
    /// Notes the number that came after `last`; those between were lost. How many numbers that is.
    pub fn note(&self, last: &mut u64, number: u64) -> u64 {
        let since = number.saturating_sub(*last);
        self.lost.fetch_add(since.saturating_sub(1), Relaxed);
        *last += since;
        since
    }

    /// Waits for what is still on its way to the center; what does not come is lost.
    pub async fn settle(&self) {
        let missing =
            || self.staying_published.load(Relaxed).saturating_sub(self.staying_accounted.load(Relaxed));
        let began = Instant::now();
        while missing() > 0 && began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10)).await;
        }
        self.lost.fetch_add(missing(), Relaxed);
    }
}
