//! What passes a broker end to end: as much at a time as there is room for, counted at both ends.
//!
//! A broker's acknowledgement says nothing about delivery, so a publisher that heeds it alone measures how fast a
//! broker queues. Here a publisher waits until the readers have had what was sent before; what never comes is found.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::broker::Broker;
use crate::client::{Client, PATIENCE};
use crate::wire;

/// Time that passes before counting begins.
const WARM_UP: Duration = Duration::from_millis(700);
/// Time that is counted.
const MEASURE: Duration = Duration::from_millis(2500);
/// Payload bytes on their way at a time.
const ROOM_BYTES: usize = 1 << 20;
/// Messages on their way from one publisher, at most: fewer than any broker here takes before it acknowledges.
const BATCH_MAX: usize = 64;

/// Messages a second, and what each cost the broker.
pub struct Rate {
    pub per_s: f64,
    /// Microseconds of processor time.
    pub cpu_us: f64,
}

/// What is on its way.
struct Flow {
    /// Deliveries that may still be caused; closed when enough was measured.
    room: Semaphore,
    readers: usize,
    /// Messages that a publisher sends before it waits.
    batch: usize,
    sent: AtomicU64,
    delivered: AtomicU64,
}

/// Runs `publishers` against `readers` and counts deliveries.
pub async fn measure(broker: &Broker, publishers: Vec<Publisher>, readers: Vec<Client>) -> io::Result<Rate> {
    let bytes = publishers.first().map_or(1, |publisher| publisher.payload.len());
    let batch = (ROOM_BYTES / bytes / publishers.len()).clamp(1, BATCH_MAX);
    let room = Semaphore::new(batch * publishers.len() * readers.len());
    let (sent, delivered) = (AtomicU64::new(0), AtomicU64::new(0));
    let flow = Arc::new(Flow { room, readers: readers.len(), batch, sent, delivered });
    let mut tasks = JoinSet::new();
    readers.into_iter().for_each(|reader| drop(tasks.spawn(Arc::clone(&flow).deliver(reader))));
    let mut publishing = JoinSet::new();
    publishers.into_iter().for_each(|it| drop(publishing.spawn(Arc::clone(&flow).publish(it))));
    let rate = tokio::select! {
        rate = flow.steady(broker) => rate?,
        Some(ended) = tasks.join_next() => return Err(ended?.expect_err("readers go on")),
        Some(ended) = publishing.join_next() => return Err(ended?.err().unwrap_or(io::ErrorKind::Other.into())),
    };
    flow.room.close();
    while let Some(ended) = publishing.join_next().await {
        ended??;
    }
    flow.drained().await?;
    Ok(rate)
}

/// Who publishes what where.
pub struct Publisher {
    pub client: Client,
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
}

impl Publisher {
    /// A batch of publishes, each with a packet id of its own.
    fn batch(&self, count: usize) -> Vec<Vec<u8>> {
        let pkid = |i: usize| (self.qos > 0).then_some(i as u16 + 1);
        (0..count).map(|i| wire::publish(&self.topic, pkid(i), false, &self.payload)).collect()
    }
}

impl Flow {
    async fn deliver(self: Arc<Self>, mut reader: Client) -> io::Result<()> {
        loop {
            let taken = reader.take().await?;
            self.delivered.fetch_add(taken as u64, Relaxed);
            self.room.add_permits(taken);
        }
    }

    async fn publish(self: Arc<Self>, mut publisher: Publisher) -> io::Result<()> {
        let batch = publisher.batch(self.batch);
        let permits = (self.batch * self.readers) as u32;
        while let Ok(permits) = self.room.acquire_many(permits).await {
            permits.forget();
            for packet in &batch {
                publisher.client.send(packet).await?;
            }
            self.sent.fetch_add(self.batch as u64, Relaxed);
            let mut unacknowledged = if publisher.qos > 0 { self.batch } else { 0 };
            while unacknowledged > 0 {
                publisher.client.read(|packet| unacknowledged -= usize::from(packet.kind() == 4)).await?;
            }
        }
        Ok(())
    }

    async fn steady(&self, broker: &Broker) -> io::Result<Rate> {
        sleep(WARM_UP).await;
        let look = || (Instant::now(), broker.cpu_us(), self.delivered.load(Relaxed));
        let (began, cpu_before, before) = look();
        sleep(MEASURE).await;
        let (ended, cpu_after, after) = look();
        let count = (after - before) as f64;
        if count == 0.0 {
            return Err(io::Error::other("nothing passed"));
        }
        let per_s = count / (ended - began).as_secs_f64();
        Ok(Rate { per_s, cpu_us: (cpu_after - cpu_before) / count })
    }

    /// Waits until all that was sent has come to all.
    async fn drained(&self) -> io::Result<()> {
        let began = Instant::now();
        let missing = || self.sent.load(Relaxed) * self.readers as u64 - self.delivered.load(Relaxed);
        while missing() > 0 {
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} deliveries were lost", missing())));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
