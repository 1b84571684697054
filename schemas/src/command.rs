//! One-off commands to an edge. They are bound to the edge's session, so a restart voids them without a clock; an id
//! that is in the journal is done once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{AppId, CommandId, EdgeId, SessionId};
use crate::json::Json;
use crate::sign::Signature;

/// On `to/<e>/command`, signed by a center.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The edge's session, as its status said.
    pub session: SessionId,
    /// The command's own id.
    pub id: CommandId,
    /// What is to be done: an [`Order`], unless a newer program wrote it.
    pub order: Json,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Start an app anew, with fresh memory; also releases it from quarantine and undoes its replacement.
    RestartApp(AppId),
    /// Show the signed desired state with the highest number that is held: a center that has lost its own asks.
    ShowDesired,
}

/// On `edge/<e>/reply/command`, signed by the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The command.
    pub id: CommandId,
    /// Whether it was done.
    pub done: bool,
    /// What came of it, for people.
    pub message: String,
}

/// On `edge/<e>/reply/desired`, signed by the edge: a message of a center, as it came. It is worth what that center's
/// signature makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The edge.
    pub edge: EdgeId,
    /// The payload that was retained on `to/<e>/desired`.
    pub text: String,
    /// The center's signature over that topic and payload.
    pub sig: Signature,
}
