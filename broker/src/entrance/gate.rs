//! How many may come, how fast, and from where; asked before a byte is read.
//!
//! What one address may have is refused beyond its limit at once. What all may have is waited for: the accept loop
//! stops, and the next ones wait in the system's queue, as they do while a whole fleet comes back.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::limits::Limits;
use crate::lock::lock;
use crate::places::{Place, Places};

/// How far ahead of the pace a burst may run, in seconds.
const BURST: Duration = Duration::from_secs(1);

/// Counts all that come in by any listener of a broker.
pub(crate) struct Gate {
    open: Arc<Places>,
    half_open_from: Arc<Places>,
    half_open: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

/// So many in a second: when the next one may come.
struct Pace {
    next: Instant,
    spacing: Duration,
}

/// The address has as many connections, or half-open ones, as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

/// A connection whose client has not been let in yet.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    _place: Place,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            open: Places::new(limits.connections_per_address),
            half_open_from: Places::new(limits.half_open_per_address),
            half_open: Arc::new(Semaphore::new(limits.half_open)),
            pace: Mutex::new(Pace::new(Instant::now(), limits.connects_per_second)),
        }
    }

    /// Lets one in as soon as it may come: a place until it is gone, and one until it is let in.
    pub(crate) async fn enter(&self, address: IpAddr) -> Result<(Place, HalfOpen), Crowded> {
        let open = self.open.take(address).ok_or(Crowded)?;
        let place = self.half_open_from.take(address).ok_or(Crowded)?;
        let now = Instant::now();
        let turn = lock(&self.pace).turn(now);
        // A timer takes a millisecond even when its time has come.
        if turn > now {
            sleep_until(turn).await;
        }
        let permit = Arc::clone(&self.half_open).acquire_owned().await.map_err(|_| Crowded)?;
        Ok((open, HalfOpen { _place: place, _permit: permit }))
    }
}

impl Pace {
    fn new(now: Instant, per_second: u32) -> Self {
        Self { next: now, spacing: Duration::from_secs(1) / per_second.max(1) }
    }

    /// When this one may come: at once while the pace of the last second is kept.
    fn turn(&mut self, now: Instant) -> Instant {
        let turn = self.next.max(now.checked_sub(BURST).unwrap_or(now));
        self.next = turn + self.spacing;
        turn.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn there(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn beyond_its_connections_an_address_is_refused_and_others_are_not() {
        let gate = Gate::new(&Limits { connections_per_address: 1, ..Limits::default() });
        let (open, half_open) = gate.enter(HERE).await.unwrap();
        assert!(gate.enter(there("192.0.2.1")).await.is_ok());
        drop(half_open);
        assert_eq!(gate.enter(HERE).await.err(), Some(Crowded), "let in is still open");
        drop(open);
        assert!(gate.enter(HERE).await.is_ok());
    }

    #[tokio::test]
    async fn beyond_its_half_open_connections_an_address_is_refused_until_one_is_let_in() {
        let gate = Gate::new(&Limits { half_open_per_address: 1, ..Limits::default() });
        let (_open, half_open) = gate.enter(HERE).await.unwrap();
        assert_eq!(gate.enter(HERE).await.err(), Some(Crowded));
        assert!(gate.enter(there("192.0.2.1")).await.is_ok());
        drop(half_open);
        assert!(gate.enter(HERE).await.is_ok());
    }

    #[tokio::test]
    async fn beyond_all_half_open_connections_the_next_one_waits() {
        let gate = Arc::new(Gate::new(&Limits { half_open: 1, ..Limits::default() }));
        let (_open, half_open) = gate.enter(HERE).await.unwrap();
        let next = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(there("192.0.2.1")).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        drop(half_open);
        assert!(next.await.unwrap());
    }

    #[test]
    fn whoever_keeps_the_pace_waits_for_no_timer() {
        let gate = Gate::new(&Limits { connects_per_second: u32::MAX, ..Limits::default() });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..100 {
            assert!(std::pin::pin!(gate.enter(HERE)).poll(&mut context).is_ready());
        }
    }

    #[test]
    fn beyond_the_pace_the_next_ones_wait() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin, 10);
        let later = begin + Duration::from_secs(60);
        let waits: Vec<u128> = (0..31).map(|_| (pace.turn(later) - later).as_millis()).collect();
        // Ten at once, for the second before, and ten in each second after.
        assert_eq!(waits[..11], [0; 11]);
        assert_eq!((waits[11], waits[20], waits[30]), (100, 1000, 2000));
        assert_eq!(pace.turn(later + Duration::from_secs(9)), later + Duration::from_secs(9));
    }
}
