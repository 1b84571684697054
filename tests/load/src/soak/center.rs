//! The center: for each journal lane a connection that reads what edges publish there, and one that answers it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::tally::Tally;
use super::traffic::{ANSWER_EVERY, LANES, number_in, roams};
use crate::broker::Broker;
use crate::client::Client;
use crate::wire;

/// Answers on their way at a time in one lane.
const WINDOW: usize = 64;

/// An edge and the number of its answer.
type Heard = (usize, u64);

/// Starts to read and to answer.
pub async fn start(
    tasks: &mut JoinSet<io::Result<()>>,
    broker: &Broker,
    tally: &Arc<Tally>,
) -> io::Result<()> {
    for lane in 0..LANES {
        let mut reader = Client::connect(broker.address, &format!("center-reader-{lane}")).await?;
        reader.subscribe(&format!("fleet/v1/edge/+/journal/{lane}/+"), 1).await?;
        let writer = Client::connect(broker.address, &format!("center-writer-{lane}")).await?;
        let (sender, heard) = mpsc::unbounded_channel();
        tasks.spawn(collect(reader, sender, Arc::clone(tally)));
        tasks.spawn(answer(writer, heard, Arc::clone(tally)));
    }
    Ok(())
}

async fn collect(
    mut client: Client,
    answers: mpsc::UnboundedSender<Heard>,
    tally: Arc<Tally>,
) -> io::Result<()> {
    let mut last = HashMap::new();
    loop {
        let mut acks = Vec::new();
        client
            .read(|packet| {
                let Some(publish) = packet.publish() else { return };
                acks.extend(wire::puback(publish.pkid));
                let heard = (edge_of(publish.topic), number_in(publish.payload));
                if !roams(heard.0) {
                    let since = tally.note(last.entry(heard.0).or_default(), heard.1);
                    tally.staying_accounted.fetch_add(since, Relaxed);
                }
                tally.collected.fetch_add(1, Relaxed);
                if heard.1.is_multiple_of(ANSWER_EVERY) {
                    let _ = answers.send((heard.0, heard.1 / ANSWER_EVERY));
                }
            })
            .await?;
        client.send(&acks).await?;
    }
}

fn edge_of(topic: &str) -> usize {
    let number = topic.split('/').nth(3).and_then(|edge| edge.strip_prefix('e'));
    number.and_then(|number| number.parse().ok()).expect("an edge's topic")
}

async fn answer(
    mut client: Client,
    mut heard: mpsc::UnboundedReceiver<Heard>,
    tally: Arc<Tally>,
) -> io::Result<()> {
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
}
