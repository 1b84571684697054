//! A broker that is not ours: leaving nothing behind on it.
//!
//! What a broker retains would otherwise meet the next demo, whose edges have the same ids and other keys. Only topics
//! of the demo's own fleet are ever emptied; other fleets on the broker are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_link::{Broker, BrokerUrl, Delivery, Link, LinkConfig, LinkEvent};
use flotilla_schemas::FleetId;
use flotilla_schemas::topic::{Topic, Writer};
use tokio::time::timeout;

use super::names::CENTER;

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
}

/// Removes what an earlier demo left on the broker.
pub async fn sweep(broker: &Broker, fleet: &FleetId) -> Result<(), SweepError> {
    // A broker with access rules lets each topic be emptied by its writer alone.
    let mut by_client: BTreeMap<String, BTreeSet<Topic>> = BTreeMap::new();
    for topic in retained(broker, fleet).await? {
        let client = match topic.writer() {
            Writer::Edge(edge) | Writer::Local(edge) => format!("edge-{edge}"),
            Writer::Center(center) => format!("center-{center}"),
            Writer::Centers | Writer::Maker(_) => format!("center-{CENTER}"),
        };
        by_client.entry(client).or_default().insert(topic);
    }
    for (client, topics) in by_client {
        let (link, events) = connect(broker, fleet, client, Vec::new()).await?;
        for topic in topics {
            // A full queue leaves the rest to the next sweep.
            let _ = link.publish(&topic, Vec::new(), Delivery::State);
        }
        link.stop().await;
        drop(events);
    }
    Ok(())
}

/// What the broker retains of the fleet.
async fn retained(broker: &Broker, fleet: &FleetId) -> Result<BTreeSet<Topic>, SweepError> {
    let client = format!("demo-sweep-{}", std::process::id());
    let (link, mut events) = connect(broker, fleet, client, vec!["#".to_owned()]).await?;
    let mut retained = BTreeSet::new();
    while let Ok(Some(event)) = timeout(QUIET, events.recv()).await {
        if let LinkEvent::Message(message) = event
            && message.retained
        {
            retained.insert(message.topic);
        }
    }
    link.stop().await;
    Ok(retained)
}

type Events = tokio::sync::mpsc::Receiver<LinkEvent>;

/// A link that the broker has taken.
async fn connect(
    broker: &Broker,
    fleet: &FleetId,
    client: String,
    filters: Vec<String>,
) -> Result<(Link, Events), SweepError> {
    let (link, mut events) = Link::start(LinkConfig {
        broker: broker.clone(),
        fleet: fleet.clone(),
        client,
        will: None,
        filters,
        foreign: Vec::new(),
        signer: None,
    });
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
