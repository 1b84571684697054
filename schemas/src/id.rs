//! Names of things: `[a-z0-9-]{1,64}`, parsed once at the edge of the program.
//!
//! An id never needs escaping: not in a topic, not in a file name, not in a URL.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Text that is not an id: `what` names the kind of id that was wanted, `text` is what stood there (shortened).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: 1 to 64 characters of a-z, 0-9 and -")]
pub struct IdError {
    /// The kind of id, with its article: `an edge id`.
    pub what: &'static str,
    /// The text, at most 80 characters of it.
    pub text: String,
}

fn check(what: &'static str, text: &str) -> Result<(), IdError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(legal) {
        return Err(IdError { what, text: text.chars().take(80).collect() });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("pattern" = "^[a-z0-9-]{1,64}$"))]
        pub struct $name(String);

        impl $name {
            /// Parses the id; refuses anything but 1 to 64 characters of `a-z`, `0-9` and `-`.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($what, &text)?;
                Ok(Self(text))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(/// A fleet: the gateways and centers that trust one fleet file.
    FleetId, "a fleet id");
id!(/// An edge: the agent on one gateway.
    EdgeId, "an edge id");
id!(/// A center.
    CenterId, "a center id");
id!(/// An app: all releases of one maker's program for one job.
    AppId, "an app id");
id!(/// A script.
    ScriptId, "a script id");
id!(/// An environment: files of gateways that are managed together.
    EnvironmentId, "an environment id");
id!(/// A build of the agent.
    AgentId, "an agent id");
id!(/// A script definition: what scripts may say.
    DefinitionId, "a definition id");
id!(/// An event list: step event to operation.
    EventsId, "an event list id");
id!(/// A service: a script, its event list and its trigger.
    ServiceId, "a service id");
id!(/// Who publishes apps.
    MakerId, "a maker id");
id!(/// A signing key, as the fleet file names it.
    KeyId, "a key id");
id!(/// One fault of one edge, from its opening to its closing.
    FaultId, "a fault id");
id!(/// One run of an agent, from its start to its end; for people.
    SessionId, "a session id");
id!(/// The journal's own name, random, made with its file.
    EpochId, "a journal epoch");
id!(/// A one-off command.
    CommandId, "a command id");
id!(/// A rollout.
    RolloutId, "a rollout id");
id!(/// An advisory.
    AdvisoryId, "an advisory id");

impl Default for FleetId {
    /// The fleet's name where nobody gave it another.
    fn default() -> Self {
        Self("fleet".to_owned())
    }
}

impl FleetId {
    /// The name by which someone of this fleet comes to a broker that other fleets use, too: `edge-e1` in the fleet of
    /// the default name, `edge-e1@north` in the fleet `north`.
    ///
    /// ```
    /// use flotilla_schemas::FleetId;
    /// let (fleet, north) = (FleetId::default(), FleetId::new("north")?);
    /// for (fleet, name) in [(fleet, "edge-e1"), (north, "edge-e1@north")] {
    ///     assert_eq!(fleet.qualify("edge-e1"), name);
    ///     assert_eq!(FleetId::split(name)?, ("edge-e1", fleet));
    /// }
    /// # Ok::<(), flotilla_schemas::IdError>(())
    /// ```
    pub fn qualify(&self, name: &str) -> String {
        if *self == Self::default() { name.to_owned() } else { format!("{name}@{self}") }
    }

    /// Takes a name of [`FleetId::qualify`] apart; refuses a fleet that is no id, and the default one if it is named:
    /// nobody has two names.
    pub fn split(name: &str) -> Result<(&str, Self), IdError> {
        match name.split_once('@') {
            None => Ok((name, Self::default())),
            Some((name, fleet)) => match Self::new(fleet)? {
                fleet if fleet == Self::default() => {
                    Err(IdError { what: "a fleet that is to be named", text: fleet.into() })
                }
                fleet => Ok((name, fleet)),
            },
        }
    }
}

impl EdgeId {
    /// Which of 256 buckets the edge is in: the first byte of its id's SHA-256. Those who share out the work of a
    /// fleet do so by buckets.
    pub fn bucket(&self) -> u8 {
        Digest::of(self.0.as_bytes()).first()
    }
}

impl FaultId {
    /// The fault's id, from the digest of what makes it the only one.
    pub fn of(digest: &Digest) -> Self {
        Self(format!("f-{}", digest.short()))
    }
}

impl EpochId {
    /// The epoch's name, from the digest of what makes it the only one.
    pub fn of(digest: &Digest) -> Self {
        Self(digest.short())
    }
}

impl AppId {
    /// The name under which an edge itself speaks in events and faults; no app may have it.
    pub fn system() -> Self {
        Self("system".to_owned())
    }

    /// Whether it is [`AppId::system`].
    pub fn is_system(&self) -> bool {
        self.0 == "system"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_to_64_of_its_characters() {
        assert!(EdgeId::new("e1").is_ok());
        assert!(EdgeId::new("a".repeat(64)).is_ok());
        for bad in ["", "E1", "a/b", "a b", "ä", "a+", "#", &"a".repeat(65)] {
            assert!(EdgeId::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<AppId>("\"../x\"").is_err());
    }

    #[test]
    fn an_error_says_what_was_wanted() {
        let error = AppId::new("Air Con").unwrap_err().to_string();
        assert_eq!(error, "\"Air Con\" is not an app id: 1 to 64 characters of a-z, 0-9 and -");
    }
}
