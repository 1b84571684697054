//! The link of an agent to its MQTT broker; the only user of rumqttc.
//!
//! A link connects, and connects again with growing, jittered pauses, for as long as it lives. On each ConnAck it
//! subscribes again and sends what the broker had not acknowledged. It signs what is signed. Its owner speaks of
//! topics; the link alone puts them into the fleet's tree and takes them out of it. An acknowledgement by
//! the broker frees the link's own queue and means nothing more: what must not be lost, its owner keeps.
//!
//! ```text
//! owner ── publish, subscribe ──▶ queue ──▶ session task ──▶ rumqttc ──▶ broker
//! owner ◀────── LinkEvent ─────────────────────┘  ◀── poll task ──┘
//! ```

mod config;
mod entry;
mod event;
mod link;
mod outgoing;
mod session;
mod shared;
mod url;

pub use config::LinkConfig;
pub use entry::{Broker, Entry, EntryError};
pub use event::{LinkEvent, Message};
pub use link::{Link, PAYLOAD_BYTES_MAX, PublishError};
pub use outgoing::{Delivery, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
pub use session::PACKET_BYTES_MAX;
pub use url::{BrokerUrl, UrlError};
