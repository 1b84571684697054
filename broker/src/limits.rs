//! Every limit of the broker, in one place and by name.
//!
//! What happens at a limit is said at the limit. No client can make the broker hold more than these allow.

use std::time::Duration;

/// What a broker bears before it refuses. [`Limits::default`] suits a fleet of some thousand edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Clients connected at a time; the next CONNECT is refused as "server busy".
    pub connections: usize,
    /// Sessions kept at a time, those of clients that are away among them; beyond it the one whose client left first
    /// is ended.
    pub sessions: usize,
    /// The same of one user: beyond it the one of its own whose client left first is ended; if none is away, the next
    /// CONNECT is refused as "server busy". On an open broker each client is a user of its own.
    pub sessions_per_user: usize,
    /// Sockets at a time that one address has open (an IPv6 address counts with its /64); the next one is closed at
    /// once. As many as in all, unless somebody sets it: a fleet may be behind one address.
    pub connections_per_address: usize,
    /// Sockets at a time that have not yet been admitted; beyond it the oldest of the address that has most is closed
    /// for one of an address that has fewer, or, if none has, the next one waits in the system's queue.
    pub half_open: usize,
    /// The same for one address; the next one is closed at once.
    pub half_open_per_address: usize,
    /// Sockets accepted in a second; beyond it the next ones wait in the system's queue.
    pub connects_per_second: u32,
    /// How long a socket may take from being accepted to the end of its CONNECT, TLS and WebSocket handshakes
    /// included, before it is closed.
    pub connect_wait: Duration,
    /// Passwords that are checked at a time; each takes tens of milliseconds of a processor.
    pub password_checks: usize,
    /// Passwords that may wait to be checked; the CONNECT of the next one is refused as "server busy".
    pub password_waits: usize,
    /// Passwords from one address that are checked or wait for it; as for those of all, so that nobody takes all places.
    pub passwords_per_address: usize,
    /// The longest keep-alive, in seconds. An MQTT 5 client that asks for more, or for none, is given this one.
    pub keep_alive_max_s: u16,
    /// How often the broker tells its figures below `$SYS`.
    pub sys_period: Duration,
    /// Connections at a time to the metrics; the next ones wait in the system's queue.
    pub metrics_connections: usize,
    /// How long one of them may take, from being accepted to having its answer, before it is closed.
    pub metrics_wait: Duration,
    /// How long a client may take nothing of what waits for it, neither reading nor acknowledging, before it is
    /// closed as a slow reader.
    pub stall_wait: Duration,
    /// Length of a CONNECT; whoever announces more is closed. It may be anyone's, and its will is kept.
    pub connect_bytes: usize,
    /// Length of a packet, its fixed header excepted; a client that announces more is closed.
    pub packet_bytes: usize,
    /// Length of a client id; a longer one is refused.
    pub client_id_bytes: usize,
    /// Length of a topic or filter; a longer one is refused.
    pub topic_bytes: usize,
    /// Levels of a topic or filter; a deeper one is refused.
    pub topic_levels: usize,
    /// Subscriptions of one session; the next one is refused with "quota exceeded", and a packet that names more of them
    /// ends the session. An edge that lacks a large artifact listens to all 256 topics of chunks besides its own.
    pub filters_per_session: usize,
    /// Topic aliases that an MQTT 5 client may use; one with a higher number ends the session.
    pub topic_aliases: u16,
    /// QoS 1 messages from one client that are not acknowledged; beyond it nothing more is read from it.
    pub inflight: u16,
    /// QoS 1 messages to one client that it has not acknowledged; beyond it the next ones wait.
    pub deliveries: u16,
    /// Messages that wait for one client, connected or not. When there are as many, the oldest of QoS 0 gives way;
    /// when there is none, the new one is refused, and a client that is connected is closed as a slow reader.
    pub queue_messages: usize,
    /// Their bytes; as for their count.
    pub queue_bytes: usize,
    /// Bytes of all that waits or is not acknowledged: each message once, as it is in memory, and a place for each
    /// client that it waits for. While there are as many, no client may have more than a 64th of the two bounds above.
    pub queued_bytes: usize,
    /// Retained messages in all; a publish that would add one is refused with "quota exceeded".
    pub retained_count: usize,
    /// Bytes of all retained messages, topics and properties included; as for their count.
    pub retained_bytes: usize,
    /// Retained messages that one edge, center or maker has below its own topics; as for all of them.
    pub retained_count_per_writer: usize,
    /// Their bytes.
    pub retained_bytes_per_writer: usize,
    /// Messages that one router carries; then it is replaced, with whatever it did not give back.
    pub router_messages: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 12_000,
            sessions: 20_000,
            sessions_per_user: 256,
            connections_per_address: 12_000,
            half_open: 1024,
            half_open_per_address: 512,
            connects_per_second: 20_000,
            password_checks: 2,
            password_waits: 64,
            passwords_per_address: 4,
            sys_period: Duration::from_secs(10),
            metrics_connections: 16,
            metrics_wait: Duration::from_secs(10),
            connect_wait: Duration::from_secs(10),
            keep_alive_max_s: 60,
            stall_wait: Duration::from_secs(30),
            connect_bytes: 128 << 10,
            packet_bytes: 1 << 20,
            client_id_bytes: 128,
            topic_bytes: 512,
            topic_levels: 16,
            filters_per_session: 512,
            topic_aliases: 16,
            inflight: 100,
            deliveries: 16_384,
            queue_messages: 65_536,
            queue_bytes: 32 << 20,
            queued_bytes: 2 << 30,
            retained_count: 200_000,
            retained_bytes: 512 << 20,
            retained_count_per_writer: 1024,
            retained_bytes_per_writer: 4 << 20,
            router_messages: 1 << 32,
        }
    }
}
