//! Topics as text, both ways: each has one text, and no other text is a topic.

use std::fmt;
use std::str::FromStr;

use super::{CenterTopic, EdgeTopic, LANES, MakerTopic, ToTopic, Topic, TopicError};
use crate::id::{AppId, EdgeId, IdError};
use crate::release::ReleaseName;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Edge(edge, rest) => write_edge(f, edge, rest),
            Topic::To(edge, rest) => write!(f, "to/{edge}/{rest}"),
            Topic::Catalog(role) => write!(f, "catalog/{role}"),
            Topic::App(app) => write!(f, "app/{app}"),
            Topic::Script(script) => write!(f, "script/{script}"),
            Topic::Rollout(id) => write!(f, "rollout/{id}"),
            Topic::Advisory(id) => write!(f, "advisory/{id}"),
            Topic::Distribution(name, edge) => write!(f, "distribution/{name}/{edge}"),
            Topic::Intent(kind, id) => write!(f, "intent/{kind}/{id}"),
            Topic::IntentPart(kind, id, bucket) => write!(f, "intent/{kind}/{id}/{bucket:02x}"),
            Topic::Gate(rollout) => write!(f, "gate/{rollout}"),
            Topic::Blob(first) => write!(f, "blob/{first:02x}"),
            Topic::Center(center, rest) => write!(f, "center/{center}/{rest}"),
            Topic::Peer(center) => write!(f, "peer/{center}"),
            Topic::Maker(maker, rest) => write!(f, "maker/{maker}/{rest}"),
            Topic::Local(edge, name) => write!(f, "local/{edge}/{name}"),
        }
    }
}

fn write_edge(f: &mut fmt::Formatter<'_>, edge: &EdgeId, rest: &EdgeTopic) -> fmt::Result {
    write!(f, "edge/{edge}/")?;
    match rest {
        EdgeTopic::Avail => f.write_str("avail"),
        EdgeTopic::Status => f.write_str("status"),
        EdgeTopic::Inventory => f.write_str("inventory"),
        EdgeTopic::Release(name) => write!(f, "release/{name}"),
        EdgeTopic::Journal(lane) => write!(f, "journal/{lane}/{:02x}", edge.bucket()),
        EdgeTopic::Event(source) => write!(f, "event/{source}"),
        EdgeTopic::Fault(app, kind) => write!(f, "fault/{app}/{kind}"),
        EdgeTopic::Want => f.write_str("want"),
        EdgeTopic::Request(name) => write!(f, "request/{name}"),
        EdgeTopic::Reply(name) => write!(f, "reply/{name}"),
        EdgeTopic::Blob(first) => write!(f, "blob/{first:02x}"),
        EdgeTopic::Notice => f.write_str("notice"),
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
            MakerTopic::Offer => "offer",
            MakerTopic::Ask => "ask",
        })
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let unknown = || TopicError::unknown(text);
        let levels: Vec<&str> = text.split('/').collect();
        Ok(match levels.as_slice() {
            ["edge", edge, rest @ ..] => {
                let edge = edge.parse()?;
                let rest = parse_edge(&edge, rest)?.ok_or_else(unknown)?;
                Topic::Edge(edge, rest)
            }
            ["to", edge, "desired"] => Topic::To(edge.parse()?, ToTopic::Desired),
            ["to", edge, "ack"] => Topic::To(edge.parse()?, ToTopic::Ack),
            ["to", edge, "answer"] => Topic::To(edge.parse()?, ToTopic::Answer),
            ["to", edge, "command"] => Topic::To(edge.parse()?, ToTopic::Command),
            ["catalog", role] => Topic::Catalog(name(role)?),
            ["app", app] => Topic::App(app.parse()?),
            ["script", script] => Topic::Script(script.parse()?),
            ["rollout", id] => Topic::Rollout(id.parse()?),
            ["advisory", id] => Topic::Advisory(id.parse()?),
            ["distribution", kind, name, edge] => {
                Topic::Distribution(ReleaseName::parse(kind, name)?.ok_or_else(unknown)?, edge.parse()?)
            }
            ["intent", kind, id] => Topic::Intent(name(kind)?, name(id)?),
            ["intent", kind, id, bucket] => {
                Topic::IntentPart(name(kind)?, name(id)?, hex_byte(bucket).ok_or_else(unknown)?)
            }
            ["gate", id] => Topic::Gate(id.parse()?),
            ["blob", first] => Topic::Blob(hex_byte(first).ok_or_else(unknown)?),
            ["center", center, "avail"] => Topic::Center(center.parse()?, CenterTopic::Avail),
            ["center", center, "status"] => Topic::Center(center.parse()?, CenterTopic::Status),
            ["peer", center] => Topic::Peer(center.parse()?),
            ["maker", maker, "offer"] => Topic::Maker(maker.parse()?, MakerTopic::Offer),
            ["maker", maker, "ask"] => Topic::Maker(maker.parse()?, MakerTopic::Ask),
            ["local", edge, rest] => Topic::Local(edge.parse()?, name(rest)?),
            _ => return Err(unknown()),
        })
    }
}

fn parse_edge(edge: &EdgeId, levels: &[&str]) -> Result<Option<EdgeTopic>, TopicError> {
    Ok(Some(match levels {
        ["avail"] => EdgeTopic::Avail,
        ["status"] => EdgeTopic::Status,
        ["inventory"] => EdgeTopic::Inventory,
        ["release", kind, name] => match ReleaseName::parse(kind, name)? {
            Some(name) => EdgeTopic::Release(name),
            None => return Ok(None),
        },
        ["journal", lane, bucket] => match lane.parse() {
            Ok(number) if number < LANES && lane.len() == 1 && hex_byte(bucket) == Some(edge.bucket()) => {
                EdgeTopic::Journal(number)
            }
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
