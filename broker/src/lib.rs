//! The embedded MQTT broker: MQTT 3.1.1 and 5, QoS 0 and 1, in front of rumqttd's router.
//!
//! Whatever meets a stranger or must survive is here; the router carries messages. The way of a publish: `entrance`
//! shakes hands, `packet` reads it, `session` checks it against `topic` and `access`, `retained` keeps it, `router`
//! brings all messages into one order, `subscribers` finds who gets it and puts it into each one's `inbox`, and their
//! sessions write it.
//!
//! Refused: QoS 2 (MQTT 5 clients are told "maximum QoS 1"; a subscription is granted 1), topic aliases towards
//! clients, topics that are not of the protocol. Sessions outlive their connection as long as their client asks, but
//! not the broker. Invariants: nothing that a client sends makes the router die, and if it does, nothing is lost;
//! every size and count has a bound in [`Limits`]; a retained message at QoS 1 is on disk before it is acknowledged.
//!
//! ```no_run
//! use flotilla_broker::{Broker, Config};
//! # async fn start() -> Result<(), flotilla_broker::StartError> {
//! let address = "127.0.0.1:0".parse().expect("an address");
//! let running = Broker::start(Config::open(address, "data/broker".as_ref())).await?;
//! println!("{:?}", running.local_addrs());
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod access;
mod admission;
mod broker;
pub mod cli;
mod close;
mod config;
mod entrance;
#[cfg(test)]
mod fuzz;
mod inbox;
mod kept;
mod limits;
mod lock;
mod message;
pub mod meters;
mod metrics;
mod packet;
mod places;
mod registry;
mod retained;
mod router;
mod running;
mod session;
mod subscribers;
mod sys;
mod topic;

pub use broker::Broker;
pub use config::{Config, StartError};
pub use entrance::{ClientCertificate, Listener, TlsError, TlsFiles, Transport};
pub use limits::Limits;
pub use meters::Meters;
pub use running::Running;
