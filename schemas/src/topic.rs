//! Every topic of the protocol: one type that builds and parses them all.
//!
//! The tree is split by writer, so [`Topic::writer`] says who may publish what, and a broker's access rules are one
//! line each. Topics are a fixed set for a fixed fleet: ids of single messages are in payloads, never in topics.
//!
//! ```
//! use flotilla_schemas::{EdgeId, topic::{EdgeTopic, Topic}};
//! let topic = Topic::Edge(EdgeId::new("e1")?, EdgeTopic::Status);
//! assert_eq!(topic.to_string(), "fleet/v1/edge/e1/status");
//! assert_eq!("fleet/v1/edge/e1/status".parse::<Topic>()?, topic);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::str::FromStr;

use crate::fault::Kind;
use crate::id::{AdvisoryId, AppId, CenterId, EdgeId, IdError, MakerId, RolloutId, ScriptId};

/// What every topic begins with.
pub const PREFIX: &str = "fleet/v1";

/// How many journal lanes there are; see [`crate::journal::Lane`].
pub const LANES: u8 = 3;

/// A topic of the protocol, in whole.
///
/// ```
/// use flotilla_schemas::topic::Topic;
/// for text in [
///     "fleet/v1/edge/e1/journal/0", "fleet/v1/edge/e1/fault/aircon/app.trap.unreachable", "fleet/v1/to/e1/desired",
///     "fleet/v1/catalog/targets", "fleet/v1/blob/7f", "fleet/v1/center/c1/avail", "fleet/v1/peer/c1",
///     "fleet/v1/intent/service/cooling", "fleet/v1/maker/acme/advisory", "fleet/v1/local/e1/service",
///     "fleet/v1/distribution/aircon/e1",
/// ] {
///     assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
/// }
/// for text in ["", "fleet/v1", "fleet/v1/edge//status", "fleet/v1/edge/E1/status", "fleet/v1/blob/7F", "x/y"] {
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
    /// `distribution/<app>/<e>`: the center's distribution table, a row a topic, for people.
    Distribution(AppId, EdgeId),
    /// `intent/<kind>/<id>`: what people decided.
    Intent(String, String),
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
    /// One app of the edge, flat, retained.
    App(AppId),
    /// Numbered records of one lane.
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
    /// A maker's word on a threat; written by the maker.
    Advisory,
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
    #[error("{0:?} is not a topic of {PREFIX}")]
    Unknown(String),
    /// An id in it is not an id.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl Topic {
    /// Who may write it.
    pub fn writer(&self) -> Writer {
        match self {
            Topic::Edge(edge, _) => Writer::Edge(edge.clone()),
            Topic::Center(center, _) | Topic::Peer(center) => Writer::Center(center.clone()),
            Topic::Maker(maker, MakerTopic::Advisory) => Writer::Maker(maker.clone()),
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
                    | EdgeTopic::Journal(_)
                    | EdgeTopic::Want
                    | EdgeTopic::Request(_)
                    | EdgeTopic::Reply(_)
            ),
            Topic::Center(_, rest) => *rest == CenterTopic::Status,
            Topic::To(..) | Topic::Catalog(_) | Topic::Intent(..) | Topic::Gate(_) | Topic::Peer(_) => true,
            Topic::Maker(..) => true,
            Topic::App(_) | Topic::Script(_) | Topic::Rollout(_) | Topic::Advisory(_) => false,
            Topic::Distribution(..) | Topic::Blob(_) | Topic::Local(..) => false,
        }
    }
}

/// The filter for all that one edge must hear besides what is for all: `fleet/v1/to/<e>/#`.
pub fn filter_to(edge: &EdgeId) -> String {
    format!("{PREFIX}/to/{edge}/#")
}

/// The filter for the catalog: `fleet/v1/catalog/#`.
pub fn filter_catalog() -> String {
    format!("{PREFIX}/catalog/#")
}

/// The filters for all that all edges write: `fleet/v1/edge/+/#`, without their chunks. The status is first: it shows
/// the key by which a center that knows no edge yet believes the rest of what a broker retained.
pub fn filters_edges() -> Vec<String> {
    ["status", "avail", "inventory", "app/+", "journal/+", "fault/+/+", "want", "request/+", "reply/+"]
        .iter()
        .map(|rest| format!("{PREFIX}/edge/+/{rest}"))
        .collect()
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}/")?;
        match self {
            Topic::Edge(edge, rest) => write!(f, "edge/{edge}/{rest}"),
            Topic::To(edge, rest) => write!(f, "to/{edge}/{rest}"),
            Topic::Catalog(role) => write!(f, "catalog/{role}"),
            Topic::App(app) => write!(f, "app/{app}"),
            Topic::Script(script) => write!(f, "script/{script}"),
            Topic::Rollout(id) => write!(f, "rollout/{id}"),
            Topic::Advisory(id) => write!(f, "advisory/{id}"),
            Topic::Distribution(app, edge) => write!(f, "distribution/{app}/{edge}"),
            Topic::Intent(kind, id) => write!(f, "intent/{kind}/{id}"),
            Topic::Gate(rollout) => write!(f, "gate/{rollout}"),
            Topic::Blob(first) => write!(f, "blob/{first:02x}"),
            Topic::Center(center, rest) => write!(f, "center/{center}/{rest}"),
            Topic::Peer(center) => write!(f, "peer/{center}"),
            Topic::Maker(maker, rest) => write!(f, "maker/{maker}/{rest}"),
            Topic::Local(edge, name) => write!(f, "local/{edge}/{name}"),
        }
    }
}

impl fmt::Display for EdgeTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EdgeTopic::Avail => f.write_str("avail"),
            EdgeTopic::Status => f.write_str("status"),
            EdgeTopic::Inventory => f.write_str("inventory"),
            EdgeTopic::App(app) => write!(f, "app/{app}"),
            EdgeTopic::Journal(lane) => write!(f, "journal/{lane}"),
            EdgeTopic::Event(source) => write!(f, "event/{source}"),
            EdgeTopic::Fault(app, kind) => write!(f, "fault/{app}/{kind}"),
            EdgeTopic::Want => f.write_str("want"),
            EdgeTopic::Request(name) => write!(f, "request/{name}"),
            EdgeTopic::Reply(name) => write!(f, "reply/{name}"),
            EdgeTopic::Blob(first) => write!(f, "blob/{first:02x}"),
            EdgeTopic::Notice => f.write_str("notice"),
        }
    }
}

impl fmt::Display for ToTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToTopic::Desired => "desired",
            ToTopic::Ack => "ack",
            ToTopic::Answer => "answer",
            ToTopic::Command => "command",
        })
    }
}

impl fmt::Display for CenterTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CenterTopic::Avail => "avail",
            CenterTopic::Status => "status",
        })
    }
}

impl fmt::Display for MakerTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MakerTopic::Advisory => "advisory",
            MakerTopic::Ask => "ask",
        })
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let unknown = || TopicError::Unknown(text.chars().take(200).collect());
        let rest = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).ok_or_else(unknown)?;
        let levels: Vec<&str> = rest.split('/').collect();
        Ok(match levels.as_slice() {
            ["edge", edge, rest @ ..] => Topic::Edge(edge.parse()?, parse_edge(rest)?.ok_or_else(unknown)?),
            ["to", edge, "desired"] => Topic::To(edge.parse()?, ToTopic::Desired),
            ["to", edge, "ack"] => Topic::To(edge.parse()?, ToTopic::Ack),
            ["to", edge, "answer"] => Topic::To(edge.parse()?, ToTopic::Answer),
            ["to", edge, "command"] => Topic::To(edge.parse()?, ToTopic::Command),
            ["catalog", role] => Topic::Catalog(name(role)?),
            ["app", app] => Topic::App(app.parse()?),
            ["script", script] => Topic::Script(script.parse()?),
            ["rollout", id] => Topic::Rollout(id.parse()?),
            ["advisory", id] => Topic::Advisory(id.parse()?),
            ["distribution", app, edge] => Topic::Distribution(app.parse()?, edge.parse()?),
            ["intent", kind, id] => Topic::Intent(name(kind)?, name(id)?),
            ["gate", id] => Topic::Gate(id.parse()?),
            ["blob", first] => Topic::Blob(hex_byte(first).ok_or_else(unknown)?),
            ["center", center, "avail"] => Topic::Center(center.parse()?, CenterTopic::Avail),
            ["center", center, "status"] => Topic::Center(center.parse()?, CenterTopic::Status),
            ["peer", center] => Topic::Peer(center.parse()?),
            ["maker", maker, "advisory"] => Topic::Maker(maker.parse()?, MakerTopic::Advisory),
            ["maker", maker, "ask"] => Topic::Maker(maker.parse()?, MakerTopic::Ask),
            ["local", edge, rest] => Topic::Local(edge.parse()?, name(rest)?),
            _ => return Err(unknown()),
        })
    }
}

fn parse_edge(levels: &[&str]) -> Result<Option<EdgeTopic>, TopicError> {
    Ok(Some(match levels {
        ["avail"] => EdgeTopic::Avail,
        ["status"] => EdgeTopic::Status,
        ["inventory"] => EdgeTopic::Inventory,
        ["app", app] => EdgeTopic::App(app.parse()?),
        ["journal", lane] => match lane.parse() {
            Ok(number) if number < LANES && lane.len() == 1 => EdgeTopic::Journal(number),
            _ => return Ok(None),
        },
        ["event", source] => EdgeTopic::Event(source.parse()?),
        ["fault", app, kind] => match kind.parse() {
            Ok(kind) => EdgeTopic::Fault(app.parse()?, kind),
            Err(_) => return Ok(None),
        },
        ["want"] => EdgeTopic::Want,
        ["request", rest] => EdgeTopic::Request(name(rest)?),
        ["reply", rest] => EdgeTopic::Reply(name(rest)?),
        ["blob", first] => match hex_byte(first) {
            Some(first) => EdgeTopic::Blob(first),
            None => return Ok(None),
        },
        ["notice"] => EdgeTopic::Notice,
        _ => return Ok(None),
    }))
}

/// A level that names something without a type of its own here: it has the characters of an id all the same.
fn name(text: &str) -> Result<String, IdError> {
    AppId::new(text).map(String::from)
}

fn hex_byte(text: &str) -> Option<u8> {
    let lower = text.len() == 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if lower { u8::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subtree_has_one_writer() {
        let writer = |text: &str| text.parse::<Topic>().unwrap().writer();
        assert_eq!(writer("fleet/v1/edge/e1/want"), Writer::Edge(EdgeId::new("e1").unwrap()));
        assert_eq!(writer("fleet/v1/to/e1/ack"), Writer::Centers);
        assert_eq!(writer("fleet/v1/blob/00"), Writer::Centers);
        assert_eq!(writer("fleet/v1/maker/m/ask"), Writer::Centers);
        assert_eq!(writer("fleet/v1/maker/m/advisory"), Writer::Maker(MakerId::new("m").unwrap()));
        assert_eq!(writer("fleet/v1/center/c1/status"), Writer::Center(CenterId::new("c1").unwrap()));
    }

    #[test]
    fn a_lane_beyond_the_last_or_written_otherwise_is_no_topic() {
        for lane in ["3", "-1", "+1", "01"] {
            assert!(format!("fleet/v1/edge/e1/journal/{lane}").parse::<Topic>().is_err(), "{lane}");
        }
    }
}
