//! What people decided about one edge: the key that is its own, and whether it belongs to the fleet.
//!
//! The first key that an id shows is decided on by the center that sees it. So centers that see different keys agree
//! soon: the greater version holds.

use flotilla_schemas::EdgeId;
use flotilla_schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

/// The document of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeDocument {
    /// The edge.
    pub edge: EdgeId,
    /// What verifies its signatures.
    pub key: PublicKey,
    /// Whether they count.
    pub standing: Standing,
}

/// What an edge is to its fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It belongs to it.
    Member,
    /// The gateway is another: the next other key that the id shows is its key. The old one counts no more.
    Replaced,
    /// It has left: nothing that it says is heard.
    Retired,
}

impl EdgeDocument {
    /// Whether this key speaks for the edge.
    pub fn knows(&self, key: &PublicKey) -> bool {
        self.standing == Standing::Member && self.key == *key
    }

    /// Whether this key, which speaks for it no more or not yet, is the one that is waited for.
    pub fn awaits(&self, key: &PublicKey) -> bool {
        self.standing == Standing::Replaced && self.key != *key
    }
}
