//! Every limit of the broker, in one place and by name.
//!
//! What happens at a limit is said at the limit. No client can make the broker hold more than these allow.

use std::time::Duration;

/// What a broker bears before it refuses. [`Limits::default`] suits a fleet of some thousand edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at a time; the next CONNECT is refused as "server busy".
    pub connections: usize,
    /// Sockets at a time that have not yet been admitted; the next one is closed at once.
    pub handshakes: usize,
    /// How long a socket may take to send its CONNECT before it is closed.
    pub connect_wait: Duration,
    /// How long a client may take nothing of what waits for it, neither reading nor acknowledging, before it is
    /// closed as a slow reader.
    pub stall_wait: Duration,
    /// Length of a packet, its fixed header excepted; a client that announces more is closed.
    pub packet_bytes: usize,
    /// Length of a client id; a longer one is refused.
    pub client_id_bytes: usize,
    /// Length of a topic or filter; a longer one is refused.
    pub topic_bytes: usize,
    /// Levels of a topic or filter; a deeper one is refused.
    pub topic_levels: usize,
    /// Subscriptions of one session; the next one is refused with "quota exceeded".
    pub filters_per_session: usize,
    /// QoS 1 messages on their way to one client at a time, and from it: beyond it the broker waits for
    /// acknowledgements, or stops reading.
    pub inflight: u16,
    /// Retained messages in all; a publish that would add one is refused with "quota exceeded".
    pub retained_count: usize,
    /// Bytes of all retained messages, topics and properties included; as for their count.
    pub retained_bytes: usize,
    /// Distinct topics since the start: the router forgets none. A publish to a new one is refused with "quota
    /// exceeded".
    pub topics: usize,
    /// Distinct filters since the start: the router keeps a log for each. A new one is refused with "quota exceeded".
    pub filters: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshakes: 256,
            connect_wait: Duration::from_secs(10),
            stall_wait: Duration::from_secs(30),
            packet_bytes: 1 << 20,
            client_id_bytes: 128,
            topic_bytes: 512,
            topic_levels: 16,
            filters_per_session: 100,
            inflight: 100,
            retained_count: 200_000,
            retained_bytes: 512 << 20,
            topics: 400_000,
            filters: 40_000,
        }
    }
}
