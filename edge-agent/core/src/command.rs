//! One-off commands: for this session, each id once.

use std::collections::BTreeSet;

use flotilla_schemas::command::{Command, Order, Reply};
use flotilla_schemas::journal::{Body, Lane};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{AppId, CommandId, Topic};

use crate::core::Core;
use crate::effect::Send;

/// The most commands of one session; a gateway that gets more is restarted or left alone.
pub const COMMANDS_MAX: usize = 4096;

/// Commands of this session that were carried out, with what came of each.
#[derive(Debug, Default)]
pub(crate) struct Commands(BTreeSet<CommandId>);

impl Core {
    pub(crate) fn commanded(&mut self, command: Command) {
        if command.edge != self.config.edge || self.commands.0.contains(&command.id) {
            return;
        }
        let result = if command.session != self.config.session {
            Err(format!("it is for the session {}, and this is {}", command.session, self.config.session))
        } else if self.commands.0.len() >= COMMANDS_MAX {
            Err(format!("this session has carried out {COMMANDS_MAX} commands"))
        } else {
            self.commands.0.insert(command.id.clone());
            match command.order.read::<Order>() {
                Ok(order) => self.carry_out_order(&order),
                Err(_) => Err("it needs a newer agent".to_owned()),
            }
        };
        let (done, message) = match result {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        self.record(Lane::Fault, Body::Command { id: command.id.clone(), done, message: message.clone() });
        let edge = self.config.edge.clone();
        let topic = Topic::Edge(edge.clone(), EdgeTopic::Reply("command".to_owned()));
        self.publish(topic, &Reply { v: 1, edge, id: command.id, done, message }, Send::Message);
    }

    fn carry_out_order(&mut self, order: &Order) -> Result<String, String> {
        match order {
            Order::RestartApp(app) => self.restart_app(app),
            Order::ShowDesired => Err("it keeps nothing to show yet".to_owned()),
        }
    }

    /// A person's restart also undoes quarantine and replacement.
    fn restart_app(&mut self, id: &AppId) -> Result<String, String> {
        let users: Vec<_> =
            self.services.iter().filter(|(_, service)| service.uses(id)).map(|(id, _)| id.clone()).collect();
        if users.is_empty() {
            return Err(format!("no service of this edge uses {id}"));
        }
        let kept = std::mem::take(&mut self.app(id.clone()).kept);
        self.keep_app(id);
        self.unload(id);
        for service in &users {
            self.retry_faults(service);
            self.run_at_once(service);
        }
        Ok(match (kept.quarantined, kept.replaced_by) {
            (true, _) => format!("{id} is released from quarantine and started anew"),
            (false, Some(other)) => format!("{id} runs again in place of {other}"),
            (false, None) => format!("{id} is started anew"),
        })
    }
}
