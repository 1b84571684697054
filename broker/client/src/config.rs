//! What a link is made from.

use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{FleetId, Topic};

use crate::entry::Broker;

/// What a link is made from.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The broker.
    pub broker: Broker,
    /// Whose topics it speaks of.
    pub fleet: FleetId,
    /// Who it is among the clients of its fleet: `edge-e1`, `center-c1`. The MQTT client id, and the name of its user,
    /// is that with the fleet's ([`FleetId::qualify`]).
    pub client: String,
    /// What the broker publishes, retained, when the link is lost.
    pub will: Option<(Topic, Vec<u8>)>,
    /// What is subscribed to on each ConnAck, at QoS 1, below the fleet's tree.
    pub filters: Vec<String>,
    /// What is subscribed to besides, outside of the tree.
    pub foreign: Vec<String>,
    /// What signs the messages of signed topics; without it nothing is signed.
    pub signer: Option<SecretKey>,
}
