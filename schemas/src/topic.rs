//! Every topic of the protocol: one type that builds and parses them all.
//!
//! A [`Topic`] is what stands below a fleet's own [`Tree`], `<fleet>/v1`; what an agent publishes and hears is in the
//! tree of its fleet alone. The tree is split by writer, so [`Topic::writer`] says who may publish what, and a
//! broker's access rules are one line each. Topics are a fixed set for a fixed fleet: ids of single messages are in
//! payloads, never in topics.
//!
//! ```
//! use flotilla_schemas::{EdgeId, topic::{EdgeTopic, Topic}};
//! let topic = Topic::Edge(EdgeId::new("e1")?, EdgeTopic::Status);
//! assert_eq!(topic.to_string(), "edge/e1/status");
//! assert_eq!("edge/e1/status".parse::<Topic>()?, topic);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod text;
mod tree;

use crate::fault::Kind;
use crate::id::{AdvisoryId, AppId, CenterId, EdgeId, IdError, MakerId, RolloutId, ScriptId};
use crate::release::ReleaseName;

pub use tree::Tree;

/// How many journal lanes there are; see [`crate::journal::Lane`].
pub const LANES: u8 = 3;

/// A topic of the protocol, below its fleet's tree.
///
/// ```
/// use flotilla_schemas::topic::Topic;
/// for text in [
///     "edge/e1/journal/0/8b", "edge/e1/fault/aircon/app.trap.unreachable", "to/e1/desired",
///     "catalog/targets", "blob/7f", "center/c1/avail", "peer/c1",
///     "intent/app/aircon", "intent/service/cooling/8b", "maker/acme/offer", "local/e1/service",
///     "distribution/app/aircon/e1", "edge/e1/release/script/cooling",
/// ] {
///     assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
/// }
/// for text in ["", "edge", "edge//status", "edge/E1/status", "blob/7F", "x/y"] {
///     assert!(text.parse::<Topic>().is_err(), "{text}");
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `edge/<e>/…`: written by that edge alone.
    Edge(EdgeId, EdgeTopic),
    /// `to/<e>/…`: written by centers for one edge.
    To(EdgeId, ToTopic),
    /// `catalog/<role>`: what may be run, retained.
    Catalog(String),
    /// `app/<app>`: a view for people.
    App(AppId),
    /// `script/<script>`: a view for people.
    Script(ScriptId),
    /// `rollout/<id>`: a view for people.
    Rollout(RolloutId),
    /// `advisory/<id>`: a view for people.
    Advisory(AdvisoryId),
    /// `distribution/<kind>/<name>/<e>`: the center's distribution table, a row a topic, for people.
    Distribution(ReleaseName, EdgeId),
    /// `intent/<kind>/<id>`: what people decided.
    Intent(String, String),
    /// `intent/<kind>/<id>/<bb>`: the part of it that concerns the edges of one bucket ([`EdgeId::bucket`]).
    IntentPart(String, String, u8),
    /// `gate/<rollout>`: how far a rollout is open.
    Gate(RolloutId),
    /// `blob/<2 hex>`: chunks whose SHA-256 begins with this byte, once for everyone.
    Blob(u8),
    /// `center/<c>/…`: written by that center alone.
    Center(CenterId, CenterTopic),
    /// `peer/<c>`: between centers, written by that center.
    Peer(CenterId),
    /// `maker/<m>/…`
    Maker(MakerId, MakerTopic),
    /// `local/<e>/<name>`: the door for a person at the edge.
    Local(EdgeId, String),
}

/// The rest of a topic below `edge/<e>/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeTopic {
    /// `online` or `offline`, retained, the last will.
    Avail,
    /// The edge's state, flat, retained.
    Status,
    /// What the edge has, retained.
    Inventory,
    /// One release of the edge, flat, retained.
    Release(ReleaseName),
    /// Numbered records of one lane. The topic ends in the edge's bucket ([`EdgeId::bucket`]), so that whoever stores
    /// journals can subscribe to some of them; it follows from the edge, and no other is a topic.
    Journal(u8),
    /// One event, flat, for dashboards; of an app, or of `system`.
    Event(AppId),
    /// An open fault, flat, retained; emptied when it closes. Of an app, or of `system`.
    Fault(AppId, Kind),
    /// Chunks that it lacks.
    Want,
    /// Asks a center.
    Request(String),
    /// Answers a command.
    Reply(String),
    /// A chunk upwards.
    Blob(u8),
    /// What the person at the edge should know, retained.
    Notice,
}

/// The rest of a topic below `to/<e>/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToTopic {
    /// What the edge should be, retained.
    Desired,
    /// Journal positions that are on a center's disk.
    Ack,
    /// The answer to a fault.
    Answer,
    /// A one-off.
    Command,
}

/// The rest of a topic below `center/<c>/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CenterTopic {
    /// `online` or `offline`, retained, the last will.
    Avail,
    /// The center's state, flat, retained.
    Status,
}

/// The rest of a topic below `maker/<m>/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MakerTopic {
    /// What the maker offers to the catalog, such as a word on a threat; written by the maker.
    Offer,
    /// A question to the maker; written by centers.
    Ask,
}

/// Who may write a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Writer {
    /// That edge alone.
    Edge(EdgeId),
    /// That center alone.
    Center(CenterId),
    /// Any center.
    Centers,
    /// That maker alone.
    Maker(MakerId),
    /// The person at that edge, through the edge's own door.
    Local(EdgeId),
}

/// Text that is not a topic of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No topic has this form.
    #[error("{0:?} is not a topic of the protocol")]
    Unknown(String),
    /// An id in it is not an id.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl TopicError {
    fn unknown(text: &str) -> Self {
        Self::Unknown(text.chars().take(200).collect())
    }
}

impl Topic {
    /// Who may write it.
    pub fn writer(&self) -> Writer {
        match self {
            Topic::Edge(edge, _) => Writer::Edge(edge.clone()),
            Topic::Center(center, _) | Topic::Peer(center) => Writer::Center(center.clone()),
            Topic::Maker(maker, MakerTopic::Offer) => Writer::Maker(maker.clone()),
            Topic::Local(edge, _) => Writer::Local(edge.clone()),
            _ => Writer::Centers,
        }
    }

    /// Whether messages here are signed by their writer and worth nothing without it. What is for people alone is
    /// not, nor is a chunk: its digest is its proof.
    pub fn is_signed(&self) -> bool {
        match self {
            Topic::Edge(_, rest) => matches!(
                rest,
                EdgeTopic::Status
                    | EdgeTopic::Inventory
                    | EdgeTopic::Release(_)
                    | EdgeTopic::Journal(_)
                    | EdgeTopic::Want
                    | EdgeTopic::Request(_)
                    | EdgeTopic::Reply(_)
            ),
            Topic::Center(_, rest) => *rest == CenterTopic::Status,
            Topic::To(..)
            | Topic::Catalog(_)
            | Topic::Intent(..)
            | Topic::IntentPart(..)
            | Topic::Gate(_)
            | Topic::Peer(_) => true,
            Topic::Maker(..) => true,
            Topic::App(_) | Topic::Script(_) | Topic::Rollout(_) | Topic::Advisory(_) => false,
            Topic::Distribution(..) | Topic::Blob(_) | Topic::Local(..) => false,
        }
    }
}

/// The filter, below the tree, for all that one edge must hear besides what is for all.
pub fn filter_to(edge: &EdgeId) -> String {
    format!("to/{edge}/#")
}

/// The filter, below the tree, for the catalog.
pub fn filter_catalog() -> String {
    "catalog/#".to_owned()
}

/// The filters, below the tree, for all that all edges write, without their chunks. The status is first: it shows the
/// key by which a center that knows no edge yet believes the rest of what a broker retained.
pub fn filters_edges() -> Vec<String> {
    [
        "status",
        "avail",
        "inventory",
        "release/+/+",
        "journal/+/+",
        "fault/+/+",
        "want",
        "request/+",
        "reply/+",
    ]
    .iter()
    .map(|rest| format!("edge/+/{rest}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subtree_has_one_writer() {
        let writer = |text: &str| text.parse::<Topic>().unwrap().writer();
        assert_eq!(writer("edge/e1/want"), Writer::Edge(EdgeId::new("e1").unwrap()));
        assert_eq!(writer("to/e1/ack"), Writer::Centers);
        assert_eq!(writer("blob/00"), Writer::Centers);
        assert_eq!(writer("maker/m/ask"), Writer::Centers);
        assert_eq!(writer("maker/m/offer"), Writer::Maker(MakerId::new("m").unwrap()));
        assert_eq!(writer("center/c1/status"), Writer::Center(CenterId::new("c1").unwrap()));
    }

    #[test]
    fn a_lane_beyond_the_last_or_written_otherwise_is_no_topic() {
        for lane in ["3", "-1", "+1", "01"] {
            assert!(format!("edge/e1/journal/{lane}/8b").parse::<Topic>().is_err(), "{lane}");
        }
    }

    #[test]
    fn a_journal_stands_in_its_edges_bucket_alone() {
        let topic = Topic::Edge(EdgeId::new("e1").unwrap(), EdgeTopic::Journal(0));
        assert_eq!("edge/e1/journal/0/8b".parse(), Ok(topic));
        for other in ["/8c", "/8B", "/b", "/", "", "/8b/8b"] {
            assert!(format!("edge/e1/journal/0{other}").parse::<Topic>().is_err(), "{other}");
        }
    }
}
