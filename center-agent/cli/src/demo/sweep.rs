//! A broker that is not ours: whether it may be used, and leaving nothing behind on it.
//!
//! What a broker retains would otherwise meet the next demo, whose edges have the same ids and other keys. Only what
//! names the demo's own fleet is ever removed; a broker that serves another fleet is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_link::{Broker, BrokerUrl, Delivery, Link, LinkConfig, LinkEvent};
use flotilla_schemas::topic::{PREFIX, Topic, Writer};
use serde::Deserialize;
use tokio::time::timeout;

use super::stage::{CENTER, FLEET};

/// How long the broker may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After so long without a retained message there is no other.
const QUIET: Duration = Duration::from_millis(500);

/// Why a broker is not used.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Nobody answers.
    #[error("reach the broker at {broker}{}; is it running?", if .error.is_empty() { String::new() } else { format!(": {}", .error) })]
    Unreachable {
        /// The broker.
        broker: BrokerUrl,
        /// Why.
        error: String,
    },
    /// It is in use.
    #[error("use the broker at {broker}: it serves the fleet {fleet:?}, and the demo wants one to itself")]
    InUse {
        /// The broker.
        broker: BrokerUrl,
        /// The fleet.
        fleet: String,
    },
}

/// Removes what an earlier demo left on the broker; refuses one that serves another fleet.
pub async fn sweep(broker: &Broker) -> Result<(), SweepError> {
    let retained = retained(broker).await?;
    if let Some(fleet) = retained.values().flatten().find(|fleet| *fleet != FLEET) {
        return Err(SweepError::InUse { broker: broker.url().clone(), fleet: fleet.clone() });
    }
    // A broker with access rules lets each topic be emptied by its writer alone.
    let mut by_client: BTreeMap<String, BTreeSet<Topic>> = BTreeMap::new();
    for topic in retained.into_keys() {
        let client = match topic.writer() {
            Writer::Edge(edge) | Writer::Local(edge) => format!("edge-{edge}"),
            Writer::Center(center) => format!("center-{center}"),
            Writer::Centers | Writer::Maker(_) => format!("center-{CENTER}"),
        };
        by_client.entry(client).or_default().insert(topic);
    }
    for (client_id, topics) in by_client {
        let (link, events) = connect(broker, client_id, Vec::new()).await?;
        for topic in topics {
            // A full queue leaves the rest to the next sweep.
            let _ = link.publish(&topic, Vec::new(), Delivery::State);
        }
        link.stop().await;
        drop(events);
    }
    Ok(())
}

/// What the broker retains, with the fleet that each message names if it names one.
async fn retained(broker: &Broker) -> Result<BTreeMap<Topic, Option<String>>, SweepError> {
    #[derive(Deserialize)]
    struct Named {
        fleet: String,
    }
    let client_id = format!("demo-sweep-{}", std::process::id());
    let (link, mut events) = connect(broker, client_id, vec![format!("{PREFIX}/#")]).await?;
    let mut retained = BTreeMap::new();
    while let Ok(Some(event)) = timeout(QUIET, events.recv()).await {
        if let LinkEvent::Message(message) = event
            && message.retained
        {
            let fleet = serde_json::from_slice::<Named>(&message.payload).ok().map(|named| named.fleet);
            retained.insert(message.topic, fleet);
        }
    }
    link.stop().await;
    Ok(retained)
}

type Events = tokio::sync::mpsc::Receiver<LinkEvent>;

/// A link that the broker has taken.
async fn connect(
    broker: &Broker,
    client_id: String,
    filters: Vec<String>,
) -> Result<(Link, Events), SweepError> {
    let config = LinkConfig { broker: broker.clone(), client_id, will: None, filters, signer: None };
    let (link, mut events) = Link::start(config);
    let mut error = String::new();
    let connected = async {
        loop {
            match events.recv().await {
                Some(LinkEvent::Connected) => return true,
                Some(LinkEvent::Disconnected { error: why }) => error = why,
                Some(_) => {}
                None => return false,
            }
        }
    };
    if timeout(CONNECT_TIMEOUT, connected).await == Ok(true) {
        return Ok((link, events));
    }
    link.stop().await;
    Err(SweepError::Unreachable { broker: broker.url().clone(), error })
}
