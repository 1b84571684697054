//! What the broker counts: atomics that the data plane moves and that metrics and `$SYS` read.
//!
//! Nothing here has names or formats; those belong to whoever exports. A [`Count`] only grows, a [`Level`] goes up
//! and down. Each may be read at any time; two that are read one after the other need not agree.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything that one broker counts.
#[derive(Debug, Default)]
pub struct Meters {
    /// Clients that are connected.
    pub connections: Level,
    /// Clients that were let in since the start.
    pub connects: Count,
    /// Sessions that are kept, connected or not.
    pub sessions: Level,
    /// Application messages from clients, wills among them.
    pub messages_in: Count,
    /// Application messages to clients, one for each that gets it.
    pub messages_out: Count,
    /// Bytes read from clients, whatever they mean.
    pub bytes_in: Count,
    /// Bytes written to clients.
    pub bytes_out: Count,
    /// Subscriptions that hold.
    pub subscriptions: Level,
    /// Retained messages.
    pub retained_count: Level,
    /// Their bytes, topics and properties included.
    pub retained_bytes: Level,
    /// Messages that wait for a client, in all sessions.
    pub queued_messages: Level,
    /// Bytes of what waits or is not acknowledged: each message once, and a place for each client that it waits for.
    pub queued_bytes: Level,
    /// Times that the router had died and was replaced.
    pub router_deaths: Count,
    /// Times that the router was replaced because it had carried as much as one may.
    pub router_renewals: Count,
    /// From reading a publish to writing it for a subscriber that was connected when it came.
    pub latency: Histogram,
    dropped: [Count; Dropped::ALL.len()],
    refused: [Count; Refused::ALL.len()],
}

impl Meters {
    /// Messages that a subscriber should have got and did not.
    pub fn dropped(&self, why: Dropped) -> &Count {
        at(&self.dropped, why as usize)
    }

    /// Requests of clients that were refused.
    pub fn refused(&self, what: Refused) -> &Count {
        at(&self.refused, what as usize)
    }
}

/// The enumerations are dense, so an index is always inside.
fn at(counts: &[Count], index: usize) -> &Count {
    static NONE: Count = Count(AtomicU64::new(0));
    counts.get(index).unwrap_or(&NONE)
}

/// Why a message did not reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// The session's queue was full; the oldest of QoS 0 go first.
    QueueFullQos0,
    /// The session's queue was full and held nothing of QoS 0.
    QueueFullQos1,
    /// It expired before the client took it.
    Expired,
    /// It is longer than the client takes.
    TooLong,
    /// Nobody in a shared subscription could take it.
    NoMember,
    /// Its session ended while its client was away: expired, evicted, barred or begun anew.
    SessionEnded,
}

impl Dropped {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::QueueFullQos0,
        Self::QueueFullQos1,
        Self::Expired,
        Self::TooLong,
        Self::NoMember,
        Self::SessionEnded,
    ];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFullQos0 => "queue_full_qos0",
            Self::QueueFullQos1 => "queue_full_qos1",
            Self::Expired => "expired",
            Self::TooLong => "too_long",
            Self::NoMember => "no_member",
            Self::SessionEnded => "session_ended",
        }
    }
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A connection, before anything was read: too many wait already.
    Handshake,
    /// A CONNECT that was not sane.
    ConnectInvalid,
    /// A CONNECT of someone who may not.
    ConnectNotAuthorized,
    /// A CONNECT for which there was no room.
    ConnectBusy,
    /// A PUBLISH or will to a topic that is not the client's to write.
    PublishNotAuthorized,
    /// A PUBLISH for which there was no room.
    PublishQuota,
    /// A subscription that is not the client's to make.
    SubscribeNotAuthorized,
    /// A subscription that is not sane or for which there was no room.
    SubscribeInvalid,
    /// A session that was ended because its client broke the protocol.
    Protocol,
    /// A session that was ended because its client was too slow.
    Slow,
}

impl Refused {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Handshake,
        Self::ConnectInvalid,
        Self::ConnectNotAuthorized,
        Self::ConnectBusy,
        Self::PublishNotAuthorized,
        Self::PublishQuota,
        Self::SubscribeNotAuthorized,
        Self::SubscribeInvalid,
        Self::Protocol,
        Self::Slow,
    ];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::ConnectInvalid => "connect_invalid",
            Self::ConnectNotAuthorized => "connect_not_authorized",
            Self::ConnectBusy => "connect_busy",
            Self::PublishNotAuthorized => "publish_not_authorized",
            Self::PublishQuota => "publish_quota",
            Self::SubscribeNotAuthorized => "subscribe_not_authorized",
            Self::SubscribeInvalid => "subscribe_invalid",
            Self::Protocol => "protocol",
            Self::Slow => "slow",
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The sum since the start.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down, never below 0 once all who move it are done.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// Raises it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Lowers it.
    pub fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Puts it somewhere.
    pub fn set(&self, level: u64) {
        self.0.store(level, Ordering::Relaxed);
    }

    /// Where it is; 0 while it is out of step.
    pub fn get(&self) -> u64 {
        let level = self.0.load(Ordering::Relaxed);
        if level > u64::MAX / 2 { 0 } else { level }
    }
}

/// How long something took, by classes.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Count; Self::BOUNDS_US.len()],
    beyond: Count,
    sum_us: Count,
}

impl Histogram {
    /// Upper bounds of the classes in microseconds, inclusive; longer ones are in the count alone.
    pub const BOUNDS_US: [u64; 12] =
        [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 200_000, 1_000_000, 5_000_000];

    /// Notes one.
    pub fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = Self::BOUNDS_US.iter().position(|bound| us <= *bound);
        class.and_then(|class| self.counts.get(class)).unwrap_or(&self.beyond).add(1);
        self.sum_us.add(us);
    }

    /// How many took at most as long as each bound.
    pub fn up_to(&self) -> [u64; Self::BOUNDS_US.len()] {
        let mut sum = 0;
        self.counts.each_ref().map(|count| {
            sum += count.get();
            sum
        })
    }

    /// How many in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().chain([&self.beyond]).map(Count::get).sum()
    }

    /// The sum of all, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_count_and_a_name_of_its_own() {
        let meters = Meters::default();
        for (i, why) in Dropped::ALL.into_iter().enumerate() {
            meters.dropped(why).add(i as u64 + 1);
        }
        for (i, what) in Refused::ALL.into_iter().enumerate() {
            meters.refused(what).add(i as u64 + 1);
        }
        assert_eq!(Dropped::ALL.map(|why| meters.dropped(why).get()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(Refused::ALL.map(|what| meters.refused(what).get()), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let names: std::collections::BTreeSet<_> = Refused::ALL.iter().map(|what| what.name()).collect();
        assert_eq!(names.len(), Refused::ALL.len());
    }

    #[test]
    fn a_histogram_counts_each_once_and_cumulates() {
        let histogram = Histogram::default();
        for us in [0, 50, 51, 900, 10_000_000] {
            histogram.note(Duration::from_micros(us));
        }
        assert_eq!(histogram.up_to()[..5], [2, 3, 3, 3, 4]);
        assert_eq!((histogram.up_to()[11], histogram.count(), histogram.sum_us()), (4, 5, 10_001_001));
    }

    #[test]
    fn a_level_that_is_out_of_step_reads_as_nothing() {
        let level = Level::default();
        level.sub(1);
        assert_eq!(level.get(), 0);
        level.add(3);
        assert_eq!(level.get(), 2);
    }
}
