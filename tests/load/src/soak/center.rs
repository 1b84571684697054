//! The center's two connections: one reads what all edges publish, one answers each message.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Tally, number_in, roams};
use crate::broker::Broker;
use crate::client::Client;
use crate::wire;

/// Answers on their way at a time.
const WINDOW: usize = 64;

/// An edge and the number of its message.
pub type Heard = (usize, u64);

/// Starts to read everything; what was heard goes to `answers`.
pub async fn collect(
    tasks: &mut JoinSet<io::Result<()>>,
    broker: &Broker,
    tally: &Arc<Tally>,
    answers: mpsc::UnboundedSender<Heard>,
) -> io::Result<()> {
    let mut client = Client::connect(broker.address, "center-c1").await?;
    client.subscribe("fleet/v1/edge/+/want", 1).await?;
    let tally = Arc::clone(tally);
    tasks.spawn(async move {
        let mut last = HashMap::new();
        loop {
            let mut acks = Vec::new();
            client
                .read(|packet| {
                    let Some(publish) = packet.publish() else { return };
                    acks.extend(wire::puback(publish.pkid));
                    let heard = (edge_of(publish.topic), number_in(publish.payload));
                    if !roams(heard.0) {
                        tally.note(last.entry(heard.0).or_default(), heard.1);
                    }
                    tally.collected.fetch_add(1, Relaxed);
                    let _ = answers.send(heard);
                })
                .await?;
            client.send(&acks).await?;
        }
    });
    Ok(())
}

fn edge_of(topic: &str) -> usize {
    let number = topic.split('/').nth(3).and_then(|edge| edge.strip_prefix('e'));
    number.and_then(|number| number.parse().ok()).expect("an edge's topic")
}

/// Starts to answer what is heard.
pub async fn answer(
    tasks: &mut JoinSet<io::Result<()>>,
    broker: &Broker,
    tally: &Arc<Tally>,
) -> io::Result<mpsc::UnboundedSender<Heard>> {
    let mut client = Client::connect(broker.address, "center-c2").await?;
    let (sender, mut heard) = mpsc::unbounded_channel::<Heard>();
    let tally = Arc::clone(tally);
    tasks.spawn(async move {
        let mut batch = Vec::with_capacity(WINDOW);
        loop {
            heard.recv_many(&mut batch, WINDOW).await;
            let packets = batch.iter().zip(1..).flat_map(|(&(edge, number), pkid)| {
                wire::publish(&format!("fleet/v1/to/e{edge}/ack"), Some(pkid), false, &number.to_be_bytes())
            });
            client.send(&packets.collect::<Vec<u8>>()).await?;
            let mut unacknowledged = batch.len();
            while unacknowledged > 0 {
                client.read(|packet| unacknowledged -= usize::from(packet.kind() == 4)).await?;
            }
            tally.answered.fetch_add(batch.len() as u64, Relaxed);
            batch.clear();
        }
    });
    Ok(sender)
}
