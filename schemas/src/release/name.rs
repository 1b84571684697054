//! What can be released, by kind and name: the rows that edges and centers keep of it are told apart by this.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, AppId, EnvironmentId, IdError, ScriptId};

/// Something of which versions are released. In messages it is two keys, `kind` and `name`; in topics, two levels.
///
/// ```
/// use flotilla_schemas::release::ReleaseName;
/// let meter = ReleaseName::App("meter".parse()?);
/// assert_eq!(meter.to_string(), "app/meter");
/// assert_eq!(serde_json::to_string(&meter).unwrap(), r#"{"kind":"app","name":"meter"}"#);
/// assert_eq!(ReleaseName::parse("app", "meter")?, Some(meter));
/// # Ok::<(), flotilla_schemas::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum ReleaseName {
    /// An app.
    App(AppId),
    /// A script.
    Script(ScriptId),
    /// The managed files of gateways.
    Environment(EnvironmentId),
    /// The agent itself.
    Agent(AgentId),
}

impl ReleaseName {
    /// From the two levels of a topic; none if there is no such kind.
    pub fn parse(kind: &str, name: &str) -> Result<Option<Self>, IdError> {
        Ok(Some(match kind {
            "app" => Self::App(name.parse()?),
            "script" => Self::Script(name.parse()?),
            "environment" => Self::Environment(name.parse()?),
            "agent" => Self::Agent(name.parse()?),
            _ => return Ok(None),
        }))
    }

    /// The kind, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::App(_) => "app",
            Self::Script(_) => "script",
            Self::Environment(_) => "environment",
            Self::Agent(_) => "agent",
        }
    }

    /// The name, which is one among those of its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::App(app) => app.as_str(),
            Self::Script(script) => script.as_str(),
            Self::Environment(environment) => environment.as_str(),
            Self::Agent(agent) => agent.as_str(),
        }
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.name())
    }
}
