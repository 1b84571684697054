//! An edge that publishes once a second and counts its answers.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use flotilla_schemas::topic::{EdgeTopic, Tree};
use flotilla_schemas::{EdgeId, FleetId, Topic};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use super::tally::Tally;
use super::traffic::{ANSWER_EVERY, LANES, ROAMER_EVERY, number_in, roams};
use crate::client::{Client, PATIENCE};
use crate::wire;

/// How often an edge publishes.
const EVERY: Duration = Duration::from_secs(1);
/// Bytes of each message, its number first.
const PAYLOAD_BYTES: usize = 256;
/// How long an edge that comes and goes is there at a time.
const STAY_MS: Range<u64> = 2_000..18_000;
/// Seconds that a session lasts beyond its connection, if it does.
const EXPIRY_S: u32 = 3_600;

pub struct Edge {
    number: usize,
    /// The topic to which it publishes.
    journal: String,
    publish: Interval,
    tally: Arc<Tally>,
    /// The numbers of the last message that it sent, and of the last answer.
    sent: u64,
    answered: u64,
}

impl Edge {
    /// An edge that publishes for the first time after `delay`.
    pub fn new(number: usize, delay: Duration, tally: Arc<Tally>) -> Self {
        let mut publish = interval_at(Instant::now() + delay, EVERY);
        publish.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let id = EdgeId::new(format!("e{number}")).expect("an id");
        let journal = Topic::Edge(id, EdgeTopic::Journal((number % LANES) as u8));
        let journal = Tree::of(FleetId::default()).text(&journal);
        Self { number, journal, publish, tally, sent: 0, answered: 0 }
    }

    /// Stays until the time is over and every answer has come.
    pub async fn stay(mut self, mut client: Client) -> io::Result<()> {
        while !self.tally.over.load(Relaxed) {
            for number in self.step(&mut client).await? {
                self.note(number);
            }
        }
        let due = self.sent / ANSWER_EVERY;
        while self.answered < due {
            let Ok(answers) = timeout(PATIENCE, take(&mut client)).await else {
                self.tally.lost.fetch_add(due - self.answered, Relaxed);
                break;
            };
            answers?.into_iter().for_each(|number| self.note(number));
        }
        Ok(())
    }

    /// Comes and goes at random, every other time without a word.
    pub async fn roam(mut self, mut client: Client, address: SocketAddr) -> io::Result<()> {
        for life in 0.. {
            let until = Instant::now() + stay(self.number as u64, life);
            while Instant::now() < until {
                if self.tally.over.load(Relaxed) {
                    return Ok(());
                }
                self.step(&mut client).await?;
            }
            match life % 2 {
                0 => client.reset(),
                _ => client.send(&wire::DISCONNECT).await?,
            }
            // The session of every other one goes on.
            let expiry_s = if self.number.is_multiple_of(2 * ROAMER_EVERY) { EXPIRY_S } else { 0 };
            client = Client::resume(address, &format!("edge-e{}", self.number), expiry_s).await?;
            client.subscribe(&filter(self.number), 1).await?;
            self.tally.reconnected.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Publishes, or reads: whichever comes first. The numbers of the answers that came.
    async fn step(&mut self, client: &mut Client) -> io::Result<Vec<u64>> {
        let mut answers = Answers::default();
        tokio::select! {
            _ = self.publish.tick() => self.publish(client).await?,
            read = client.read(|packet| answers.add(&packet)) => read?,
        }
        answers.acknowledge(client).await
    }

    async fn publish(&mut self, client: &mut Client) -> io::Result<()> {
        self.sent += 1;
        let mut payload = [b'x'; PAYLOAD_BYTES];
        payload[..8].copy_from_slice(&self.sent.to_be_bytes());
        let pkid = (self.sent % 50) as u16 + 1;
        client.send(&wire::publish(&self.journal, Some(pkid), false, &payload)).await?;
        self.tally.published.fetch_add(1, Relaxed);
        self.tally.staying_published.fetch_add(u64::from(!roams(self.number)), Relaxed);
        Ok(())
    }

    fn note(&mut self, number: u64) {
        self.tally.note(&mut self.answered, number);
    }
}

/// What is for the edge of this number.
pub fn filter(number: usize) -> String {
    format!("fleet/v1/to/e{number}/#")
}

/// How long the edge of this number is there in this life of its: at random, but the same each time.
fn stay(edge: u64, life: u64) -> Duration {
    let mut x = (edge << 20 ^ life).wrapping_add(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3 {
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    Duration::from_millis(STAY_MS.start + x % (STAY_MS.end - STAY_MS.start))
}

async fn take(client: &mut Client) -> io::Result<Vec<u64>> {
    let mut answers = Answers::default();
    client.read(|packet| answers.add(&packet)).await?;
    answers.acknowledge(client).await
}

/// What came at once.
#[derive(Default)]
struct Answers {
    numbers: Vec<u64>,
    acks: Vec<u8>,
}

impl Answers {
    fn add(&mut self, packet: &wire::Packet<'_>) {
        if let Some(publish) = packet.publish() {
            self.numbers.push(number_in(publish.payload));
            self.acks.extend(wire::puback(publish.pkid));
        }
    }

    async fn acknowledge(self, client: &mut Client) -> io::Result<Vec<u64>> {
        client.send(&self.acks).await?;
        Ok(self.numbers)
    }
}
