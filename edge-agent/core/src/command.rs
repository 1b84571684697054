//! One-off commands: for this session, each id once.
//!
//! Only what is carried out is recorded. A command for another session, or one too many, is answered and leaves nothing
//! behind, so that old ones that come again take no room from what happened here.

use std::collections::BTreeSet;

use flotilla_schemas::command::{Command, Order, Reply, Shown};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{CommandId, SessionId};

use crate::effect::Send;
use crate::out::Out;
use crate::wanted::Came;

/// The most commands of one session; a gateway that gets more is restarted or left alone.
pub(crate) const COMMANDS_MAX: usize = 4096;

/// Commands of this session that were carried out.
#[derive(Debug, Default)]
pub(crate) struct Commands(BTreeSet<CommandId>);

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is for the session {0}, and this is {1}")]
    Session(SessionId, SessionId),
    #[error("this session has carried out {COMMANDS_MAX} commands")]
    Full,
    #[error("it needs a newer agent")]
    Unknown,
    #[error("it keeps nothing to show yet")]
    Nothing,
}

impl Commands {
    /// What is to be carried out now, for this id; its outcome is [told](Self::done).
    pub fn take(&mut self, command: &Command, out: &mut Out) -> Option<Order> {
        if command.edge != out.config.edge || self.0.contains(&command.id) {
            return None;
        }
        if let Err(refused) = self.may(command, out) {
            reply(&command.id, false, refused.to_string(), out);
            return None;
        }
        self.0.insert(command.id.clone());
        match command.order.read::<Order>() {
            Ok(order) => Some(order),
            Err(_) => {
                done(&command.id, Err(Refused::Unknown.to_string()), out);
                None
            }
        }
    }

    fn may(&self, command: &Command, out: &Out) -> Result<(), Refused> {
        if command.session != out.config.session {
            return Err(Refused::Session(command.session.clone(), out.config.session.clone()));
        }
        if self.0.len() >= COMMANDS_MAX { Err(Refused::Full) } else { Ok(()) }
    }
}

/// What came of a command: recorded and answered, in words.
pub(crate) fn done(id: &CommandId, result: Result<String, String>, out: &mut Out) {
    let (done, message) = match result {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    out.record(Lane::Fault, Body::Command { id: id.clone(), done, message: message.clone() });
    reply(id, done, message, out);
}

/// Shows a center what was desired last, as it came; it decides nothing, so it is not recorded.
pub(crate) fn show(id: &CommandId, newest: Option<&Came>, out: &mut Out) {
    let Some(Came { text, sig }) = newest.cloned() else {
        return reply(id, false, Refused::Nothing.to_string(), out);
    };
    let shown = Shown { v: 1, edge: out.config.edge.clone(), text, sig };
    out.publish(out.own(EdgeTopic::Reply("desired".to_owned())), &shown, Send::Message);
}

fn reply(id: &CommandId, done: bool, message: String, out: &mut Out) {
    let reply = Reply { v: 1, edge: out.config.edge.clone(), id: id.clone(), done, message };
    out.publish(out.own(EdgeTopic::Reply("command".to_owned())), &reply, Send::Message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn command(id: &str, session: &SessionId) -> Command {
        let command = serde_json::json!({
            "v": 1, "edge": "e1", "session": session, "id": id, "order": {"restart-app": "a"}
        });
        serde_json::from_value(command).unwrap()
    }

    #[test]
    fn an_id_is_carried_out_once() {
        let (mut commands, mut out) = (Commands::default(), samples::out());
        let session = out.config.session.clone();
        for carried_out in [true, false, false] {
            assert_eq!(commands.take(&command("x-1", &session), &mut out).is_some(), carried_out);
        }
    }

    #[test]
    fn an_old_command_that_comes_again_and_again_leaves_no_record() {
        let (mut commands, mut out) = (Commands::default(), samples::out());
        for _ in 0..3 {
            assert_eq!(commands.take(&command("x-1", &"another".parse().unwrap()), &mut out), None);
        }
        let step = out.take_step();
        assert_eq!((step.persist, step.effects.len()), (vec![], 3), "each is answered");
    }

    #[test]
    fn no_more_commands_are_remembered_than_the_most() {
        let (mut commands, mut out) = (Commands::default(), samples::out());
        let session = out.config.session.clone();
        for n in 0..COMMANDS_MAX {
            assert!(commands.take(&command(&format!("x-{n}"), &session), &mut out).is_some());
        }
        out.take_step();
        assert_eq!(commands.take(&command("one-more", &session), &mut out), None);
        assert_eq!(out.take_step().persist, []);
    }
}
