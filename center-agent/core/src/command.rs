//! One-off commands to edges: bound to the edge's session, answered by its reply or by time.

use std::collections::BTreeMap;

use flotilla_schemas::command::{Command, Order, Reply};
use flotilla_schemas::{CommandId, EdgeId, Json, SessionId};

use crate::registry::Registry;
use crate::request::RequestId;

/// How long an edge has for its reply, in milliseconds.
pub const REPLY_MS_MAX: u64 = 10_000;

/// The most commands that wait for their reply.
pub const COMMANDS_MAX: usize = 256;

/// Why a command came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nobody knows the edge.
    #[error("command {edge}: there is no such edge")]
    Unknown {
        /// The name.
        edge: EdgeId,
        /// Those that there are.
        known: Vec<EdgeId>,
    },
    /// The edge is not there now, and a command is for now.
    #[error("command {0}: it is offline")]
    Offline(EdgeId),
    /// Too many wait.
    #[error("command {0}: {COMMANDS_MAX} commands wait for their reply already")]
    Busy(EdgeId),
    /// The edge did not reply in time; the command may have been done.
    #[error("hear from {0} within {REPLY_MS_MAX} ms; the command may have been done all the same")]
    Silent(EdgeId),
}

#[derive(Debug, Clone)]
struct Waiting {
    request: RequestId,
    edge: EdgeId,
    due_ms: u64,
}

/// The commands that wait for their reply.
#[derive(Debug, Clone)]
pub struct Commands {
    session: SessionId,
    given: u64,
    waiting: BTreeMap<CommandId, Waiting>,
}

impl Commands {
    /// None yet. Ids are made from the center's session, which never comes twice.
    pub fn new(session: SessionId) -> Self {
        Self { session, given: 0, waiting: BTreeMap::new() }
    }

    /// Makes a command that nobody waits for.
    pub fn note(&mut self, edge: &EdgeId, session: &SessionId, order: Order) -> Option<Command> {
        let (id, order) = (self.next()?, Json::of(&order).ok()?);
        Some(Command { v: 1, edge: edge.clone(), session: session.clone(), id, order })
    }

    /// A session leaves room for the number: it is shorter than an id may be.
    fn next(&mut self) -> Option<CommandId> {
        self.given += 1;
        CommandId::new(format!("{}-{}", self.session, self.given)).ok()
    }

    /// Makes a command for the edge as it runs now.
    pub fn give(
        &mut self,
        registry: &Registry,
        request: RequestId,
        edge: &EdgeId,
        order: Order,
        mono_ms: u64,
    ) -> Result<Command, CommandError> {
        let known = || registry.all().map(|(id, _)| id.clone()).collect();
        let unknown = || CommandError::Unknown { edge: edge.clone(), known: known() };
        let present = registry.get(edge).ok_or_else(unknown)?;
        if !present.online {
            return Err(CommandError::Offline(edge.clone()));
        }
        let busy = || CommandError::Busy(edge.clone());
        let order = Json::of(&order).map_err(|_| busy())?;
        if self.waiting.len() >= COMMANDS_MAX {
            return Err(busy());
        }
        let id = self.next().ok_or_else(busy)?;
        let waiting = Waiting { request, edge: edge.clone(), due_ms: mono_ms + REPLY_MS_MAX };
        self.waiting.insert(id.clone(), waiting);
        Ok(Command { v: 1, edge: edge.clone(), session: present.status.meta.session.clone(), id, order })
    }

    /// The request that this reply answers; none if nobody waits for it any more, or another edge was meant.
    pub fn reply(&mut self, reply: &Reply) -> Option<RequestId> {
        self.waiting.get(&reply.id).filter(|waiting| waiting.edge == reply.edge)?;
        self.waiting.remove(&reply.id).map(|waiting| waiting.request)
    }

    /// The requests for which time has run out.
    pub fn expire(&mut self, mono_ms: u64) -> Vec<(RequestId, CommandError)> {
        let late: Vec<CommandId> =
            self.waiting.iter().filter(|(_, w)| w.due_ms <= mono_ms).map(|(id, _)| id.clone()).collect();
        let late = late.iter().filter_map(|id| self.waiting.remove(id));
        late.map(|waiting| (waiting.request, CommandError::Silent(waiting.edge))).collect()
    }

    /// When time runs out for the next one, in milliseconds of running time.
    pub fn due_at(&self) -> Option<u64> {
        self.waiting.values().map(|waiting| waiting.due_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::status;
    use flotilla_schemas::time::Now;

    fn online() -> Registry {
        let mut registry = Registry::default();
        registry.status(status("e1", 1), true, Now::new(0, 0)).unwrap();
        registry
    }

    fn give(commands: &mut Commands, registry: &Registry, edge: &str) -> Result<Command, CommandError> {
        commands.give(registry, 7, &edge.parse().unwrap(), Order::RestartApp("a".parse().unwrap()), 0)
    }

    fn reply(command: &Command, edge: &str) -> Reply {
        let (edge, id) = (edge.parse().unwrap(), command.id.clone());
        Reply { v: 1, edge, id, done: true, message: String::new() }
    }

    #[test]
    fn a_command_is_bound_to_the_session_and_answered_once_by_its_edge() {
        let mut commands = Commands::new("s".parse().unwrap());
        let command = give(&mut commands, &online(), "e1").unwrap();
        assert_eq!(command.session, status("e1", 1).meta.session);
        assert_eq!(commands.reply(&reply(&command, "e2")), None);
        assert_eq!(commands.reply(&reply(&command, "e1")), Some(7));
        assert_eq!(commands.reply(&reply(&command, "e1")), None);
    }

    #[test]
    fn an_edge_that_is_silent_is_answered_for() {
        let mut commands = Commands::new("s".parse().unwrap());
        give(&mut commands, &online(), "e1").unwrap();
        assert_eq!(commands.due_at(), Some(REPLY_MS_MAX));
        assert!(commands.expire(REPLY_MS_MAX - 1).is_empty());
        assert_eq!(commands.expire(REPLY_MS_MAX), [(7, CommandError::Silent("e1".parse().unwrap()))]);
        assert_eq!(commands.due_at(), None);
    }

    #[test]
    fn nobody_commands_who_is_unknown_or_away_or_too_many() {
        let mut commands = Commands::new("s".parse().unwrap());
        let mut registry = online();
        assert!(matches!(give(&mut commands, &registry, "e2"), Err(CommandError::Unknown { .. })));
        for _ in 0..COMMANDS_MAX {
            give(&mut commands, &registry, "e1").unwrap();
        }
        assert!(matches!(give(&mut commands, &registry, "e1"), Err(CommandError::Busy(_))));
        registry.avail(&"e1".parse().unwrap(), false, Now::new(1, 0));
        assert!(matches!(give(&mut commands, &registry, "e1"), Err(CommandError::Offline(_))));
    }
}
