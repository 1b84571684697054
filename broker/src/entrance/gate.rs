//! How many may come, how fast, and from where; asked before a byte is read.
//!
//! What one address may have is refused beyond its limit at once. At the limit of all that are half-open the oldest of
//! the address that has most gives way to one of an address that has fewer: so who says nothing from a few addresses
//! keeps nobody out. While all have alike, as when a whole fleet comes back, the accept loop waits, and the next ones do
//! in the system's queue.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::limits::Limits;
use crate::lock::lock;
use crate::meters::{Meters, Refused};
use crate::places::{Place, Places, block};

/// How far ahead of the pace a burst may run, in seconds.
const BURST: Duration = Duration::from_secs(1);

/// Counts all that come in by any listener of a broker.
pub(crate) struct Gate {
    open: Arc<Places<IpAddr>>,
    half_open: Arc<Semaphore>,
    door: Arc<Door>,
    half_open_per_address_max: usize,
    pace: Mutex<Pace>,
    meters: Arc<Meters>,
}

/// Who is half-open, by address and age. Who must give way is told, and is no longer here.
type Door = Mutex<HashMap<IpAddr, VecDeque<Arc<Notify>>>>;

/// So many in a second: when the next one may come.
struct Pace {
    next: Instant,
    spacing: Duration,
}

/// The address has as many connections, or half-open ones, as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

/// A connection whose client has not been let in yet.
pub(crate) struct HalfOpen {
    door: Arc<Door>,
    address: IpAddr,
    gives_way: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, meters: Arc<Meters>) -> Self {
        Self {
            open: Places::new(limits.connections_per_address),
            half_open: Arc::new(Semaphore::new(limits.half_open)),
            door: Arc::default(),
            half_open_per_address_max: limits.half_open_per_address,
            meters,
            pace: Mutex::new(Pace::new(Instant::now(), limits.connects_per_second)),
        }
    }

    /// Lets one in as soon as it may come: a place until it is gone, and one until it is let in.
    pub(crate) async fn enter(&self, address: IpAddr) -> Result<(Place<IpAddr>, HalfOpen), Crowded> {
        let address = block(address);
        let open = self.open.take(address).ok_or(Crowded)?;
        if self.half_open_from(address) >= self.half_open_per_address_max {
            return Err(Crowded);
        }
        let now = Instant::now();
        let turn = lock(&self.pace).turn(now);
        // A timer takes a millisecond even when its time has come.
        if turn > now {
            sleep_until(turn).await;
        }
        if self.half_open.available_permits() == 0 {
            self.make_room(address);
        }
        let permit = Arc::clone(&self.half_open).acquire_owned().await.map_err(|_| Crowded)?;
        let gives_way = Arc::<Notify>::default();
        lock(&self.door).entry(address).or_default().push_back(Arc::clone(&gives_way));
        Ok((open, HalfOpen { door: Arc::clone(&self.door), address, gives_way, _permit: permit }))
    }

    fn half_open_from(&self, address: IpAddr) -> usize {
        lock(&self.door).get(&address).map_or(0, VecDeque::len)
    }

    /// Has the oldest of the address with most give way, if that has more left than the one who comes will have.
    fn make_room(&self, coming: IpAddr) {
        let will_have = self.half_open_from(coming) + 1;
        let mut door = lock(&self.door);
        let most = door.values_mut().max_by_key(|of_one| of_one.len());
        if let Some(oldest) = most.filter(|of_one| of_one.len() > will_have).and_then(VecDeque::pop_front) {
            oldest.notify_one();
            self.meters.refused(Refused::Handshake).add(1);
        }
    }
}

impl HalfOpen {
    /// Ready when it must give way.
    pub(crate) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut door = lock(&self.door);
        if let Some(of_one) = door.get_mut(&self.address) {
            of_one.retain(|other| !Arc::ptr_eq(other, &self.gives_way));
            if of_one.is_empty() {
                door.remove(&self.address);
            }
        }
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

    fn gate_of(limits: Limits) -> Gate {
        Gate::new(&limits, Arc::default())
    }

    #[tokio::test]
    async fn beyond_its_connections_an_address_is_refused_and_others_are_not() {
        let gate = gate_of(Limits { connections_per_address: 1, ..Limits::default() });
        let (open, half_open) = gate.enter(HERE).await.unwrap();
        assert!(gate.enter(there("192.0.2.1")).await.is_ok());
        drop(half_open);
        assert_eq!(gate.enter(HERE).await.err(), Some(Crowded), "let in is still open");
        drop(open);
        assert!(gate.enter(HERE).await.is_ok());
    }

    #[tokio::test]
    async fn beyond_its_half_open_connections_an_address_is_refused_until_one_is_let_in() {
        let gate = gate_of(Limits { half_open_per_address: 1, ..Limits::default() });
        let (_open, half_open) = gate.enter(HERE).await.unwrap();
        assert_eq!(gate.enter(HERE).await.err(), Some(Crowded));
        assert!(gate.enter(there("192.0.2.1")).await.is_ok());
        drop(half_open);
        assert!(gate.enter(HERE).await.is_ok());
    }

    #[tokio::test]
    async fn at_the_limit_of_all_the_oldest_of_the_address_with_most_gives_way_to_one_with_fewer() {
        let gate = gate_of(Limits { half_open: 4, ..Limits::default() });
        let (first, second) = (gate.enter(HERE).await.unwrap(), gate.enter(HERE).await.unwrap());
        let others = [there("192.0.2.1"), there("192.0.2.2")].map(async |address| gate.enter(address).await);
        let others = futures_util::future::join_all(others).await;
        let mut coming = Box::pin(gate.enter(there("192.0.2.3")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(coming.as_mut().poll(&mut context).is_pending());
        first.1.gives_way().await;
        drop(first);
        let third = coming.await.unwrap();
        assert_eq!(gate.meters.refused(Refused::Handshake).get(), 1);
        // Now each has one: nobody gives way, and who comes waits until one is let in.
        let mut coming = Box::pin(gate.enter(there("192.0.2.4")));
        assert!(coming.as_mut().poll(&mut context).is_pending());
        assert_eq!(gate.meters.refused(Refused::Handshake).get(), 1);
        drop(second);
        assert!(coming.await.is_ok());
        drop((others, third));
        assert!(lock(&gate.door).is_empty());
    }

    #[test]
    fn whoever_keeps_the_pace_waits_for_no_timer() {
        let gate = gate_of(Limits { connects_per_second: u32::MAX, ..Limits::default() });
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
