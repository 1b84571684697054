//! Subscriptions by filter, found by topic in one walk.
//!
//! A wildcard is a branch like any other, so a walk looks at three branches a level. What begins with `$` is not
//! found by a wildcard in the first level. Depth is bounded by whoever checks filters.

use std::collections::HashMap;

use super::group::Group;
use super::subscriber::Subscriber;
use crate::inbox::Inbox;

/// The subscriptions with one filter.
#[derive(Debug, Default)]
pub(super) struct Spot {
    /// By the number of their session, each once.
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) groups: Vec<Group>,
}

/// One level, and the levels below.
#[derive(Debug, Default)]
pub(super) struct Tree {
    spot: Spot,
    below: HashMap<Box<str>, Box<Tree>>,
}

impl Tree {
    /// The place of a filter, made if it is missing.
    pub(super) fn at(&mut self, filter: &str) -> &mut Spot {
        let mut node = self;
        for level in filter.split('/') {
            node = node.below.entry(level.into()).or_default();
        }
        &mut node.spot
    }

    pub(super) fn get(&self, filter: &str) -> Option<&Spot> {
        let mut node = self;
        for level in filter.split('/') {
            node = node.below.get(level)?;
        }
        Some(&node.spot)
    }

    /// Takes something away from the place of a filter, and every branch that holds nothing more.
    pub(super) fn remove(&mut self, filter: &str, take: impl FnOnce(&mut Spot) -> bool) -> bool {
        let (level, rest) = match filter.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (filter, None),
        };
        let Some(node) = self.below.get_mut(level) else { return false };
        let taken = match rest {
            Some(rest) => node.remove(rest, take),
            None => take(&mut node.spot),
        };
        if node.is_empty() {
            self.below.remove(level);
            if self.below.is_empty() {
                self.below = HashMap::new();
            }
        }
        taken
    }

    /// The places of all filters that match a topic.
    pub(super) fn matching(&self, topic: &str) -> Vec<&Spot> {
        let mut found = Vec::new();
        if topic.starts_with('$') {
            let (level, rest) = split(topic);
            self.walk_into(level, rest, &mut found);
        } else {
            self.walk(Some(topic), &mut found);
        }
        found
    }

    fn walk<'a>(&'a self, topic: Option<&str>, found: &mut Vec<&'a Spot>) {
        if let Some(all) = self.below.get("#") {
            found.push(&all.spot);
        }
        match topic.map(split) {
            None => found.push(&self.spot),
            Some((level, rest)) => {
                self.walk_into("+", rest, found);
                self.walk_into(level, rest, found);
            }
        }
    }

    fn walk_into<'a>(&'a self, level: &str, rest: Option<&str>, found: &mut Vec<&'a Spot>) {
        if let Some(node) = self.below.get(level) {
            node.walk(rest, found);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spot.subscribers.is_empty() && self.spot.groups.is_empty() && self.below.is_empty()
    }
}

fn split(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (topic, None),
    }
}

impl Spot {
    /// Adds a subscriber, or changes the options of the one with its number; true if it was added.
    pub(super) fn join(&mut self, new: Subscriber) -> bool {
        join(&mut self.subscribers, new)
    }

    /// True if the session was among the subscribers.
    pub(super) fn leave(&mut self, serial: u64) -> bool {
        leave(&mut self.subscribers, serial)
    }

    /// As [`Spot::join`], in the shared group of this name, made if it is missing.
    pub(super) fn join_group(&mut self, name: &str, path: &str, new: Subscriber) -> bool {
        let reader = new.inbox.reader.clone();
        if !self.groups.iter().any(|group| group.is(name, &reader)) {
            self.groups.push(Group::new(name, reader.clone(), path));
        }
        let group = self.groups.iter_mut().find(|group| group.is(name, &reader));
        group.is_some_and(|group| join(group.members(), new))
    }

    /// As [`Spot::leave`], of a shared group.
    pub(super) fn leave_group(&mut self, name: &str, leaving: &Inbox) -> bool {
        let mut left = false;
        self.groups.retain_mut(|group| {
            left |= group.is(name, &leaving.reader) && leave(group.members(), leaving.serial);
            !group.is_empty()
        });
        left
    }
}

fn join(subscribers: &mut Vec<Subscriber>, new: Subscriber) -> bool {
    match subscribers.binary_search_by_key(&new.inbox.serial, |old| old.inbox.serial) {
        Ok(at) => {
            if let Some(old) = subscribers.get_mut(at) {
                old.options = new.options;
            }
            false
        }
        Err(at) => {
            if subscribers.is_empty() {
                // Most filters have one subscriber, and there are many filters.
                subscribers.reserve_exact(1);
            }
            subscribers.insert(at, new);
            true
        }
    }
}

fn leave(subscribers: &mut Vec<Subscriber>, serial: u64) -> bool {
    let at = subscribers.binary_search_by_key(&serial, |old| old.inbox.serial);
    at.map(|at| subscribers.remove(at)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rumqttd::protocol::{QoS, matches};

    use super::super::Options;
    use super::*;
    use crate::access::Role;
    use crate::inbox::Bounds;

    const FILTERS: [&str; 15] = [
        "#", "+", "a", "a/#", "a/+", "+/b/#", "+/+/c", "a/b/c", "a/b/c/#", "x", "+/+", "/#", "a//+",
        "$SYS/#", "$SYS/+",
    ];

    fn subscriber(serial: u64) -> Subscriber {
        let bounds = Bounds { messages: 1, bytes: 1, all_bytes: 1 };
        let inbox = Inbox::new(serial, Role::Center.into(), bounds, Arc::default());
        let options =
            Options { qos: QoS::AtMostOnce, no_local: false, retain_as_published: false, identifier: None };
        Subscriber { inbox: Arc::new(inbox), options, since: 0 }
    }

    #[test]
    fn a_topic_finds_exactly_the_filters_that_match_it() {
        let mut tree = Tree::default();
        for (i, filter) in FILTERS.iter().enumerate() {
            assert!(tree.at(filter).join(subscriber(i as u64)));
        }
        for topic in
            ["a", "a/b", "a/b/c", "a/bb", "b/b/c", "/a", "a//c", "x", "x/y/z", "$SYS/x", "$SYS/x/y", "$SYS"]
        {
            let spots = tree.matching(topic);
            let serials = spots.iter().flat_map(|spot| &spot.subscribers).map(|found| found.inbox.serial);
            let mut found: Vec<&str> = serials.map(|serial| FILTERS[serial as usize]).collect();
            // The other matcher knows no `$` topics.
            let plain = |text: &str| text.replace('$', "S");
            let hidden = |filter: &str| topic.starts_with('$') && !filter.starts_with('$');
            let matching = |filter: &&str| matches(&plain(topic), &plain(filter)) && !hidden(filter);
            let mut expected: Vec<&str> = FILTERS.into_iter().filter(matching).collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{topic}");
        }
    }

    #[test]
    fn a_branch_goes_with_the_last_of_its_subscribers() {
        let mut tree = Tree::default();
        for serial in [3, 1, 2] {
            assert!(tree.at("a/b/c").join(subscriber(serial)));
        }
        assert!(!tree.at("a/b/c").join(subscriber(2)));
        let serials = |tree: &Tree| -> Vec<u64> {
            tree.get("a/b/c").unwrap().subscribers.iter().map(|found| found.inbox.serial).collect()
        };
        assert_eq!(serials(&tree), [1, 2, 3]);
        assert!(tree.remove("a/b/c", |spot| spot.leave(2)));
        assert!(!tree.remove("a/b/c", |spot| spot.leave(2)));
        assert!(!tree.remove("a/x", |spot| spot.leave(1)));
        assert_eq!(serials(&tree), [1, 3]);
        assert!(tree.remove("a/b/c", |spot| spot.leave(1)) && tree.remove("a/b/c", |spot| spot.leave(3)));
        assert!(tree.is_empty());
    }
}
