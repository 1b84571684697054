//! Who gets which message: all subscriptions in one tree, and the rules of a delivery.
//!
//! A session whose subscriptions overlap gets a message once, at the highest QoS of those that match and with all
//! their identifiers. Of a shared group one member gets it: see [`group`]. A subscription holds from a number on (see
//! [`crate::router`]): what was published before comes, if it is retained, from the retained messages alone.

mod group;
mod subscriber;
mod tree;

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::access::{Reader, Role};
use crate::inbox::{Delivery, Inbox, waiting};
use crate::lock::lock;
use crate::message::Message;
use crate::meters::{Dropped, Meters};
use crate::router::Stamped;
use crate::topic::Share;
use group::Group;
pub(crate) use subscriber::{Options, min_qos};
use subscriber::{Subscriber, delivery};
use tree::Tree;

/// All subscriptions.
#[derive(Default)]
pub(crate) struct Subscribers {
    tree: Mutex<Tree>,
    meters: Arc<Meters>,
}

impl Subscribers {
    pub(crate) fn new(meters: Arc<Meters>) -> Self {
        Self { tree: Mutex::default(), meters }
    }

    /// Adds a subscription that holds from the message with this number on; one that is there keeps its place and
    /// changes its options.
    pub(crate) fn subscribe(&self, filter: &str, inbox: &Arc<Inbox>, options: Options, since: u64) {
        let new = Subscriber { inbox: Arc::clone(inbox), options, since };
        let mut tree = self.tree();
        let added = match Share::of(filter) {
            Some(share) => tree.at(share.filter).join_group(share.name, filter, new),
            None => tree.at(filter).join(new),
        };
        self.meters.subscriptions.add(u64::from(added));
        gather(&tree, filter, inbox);
    }

    /// Hands to a client that has come back what its shared groups hold for members that are away.
    pub(crate) fn gather(&self, filters: &[Box<str>], inbox: &Inbox) {
        let tree = self.tree();
        filters.iter().for_each(|filter| gather(&tree, filter, inbox));
    }

    /// Ends a subscription. What is on its way through it still arrives.
    pub(crate) fn unsubscribe(&self, filter: &str, inbox: &Inbox) {
        let mut tree = self.tree();
        let plain = Share::of(filter).map_or(filter, |share| share.filter);
        let removed = tree.remove(plain, |spot| match Share::of(filter) {
            Some(share) => spot.leave_group(share.name, inbox),
            None => spot.leave(inbox.serial),
        });
        self.meters.subscriptions.sub(u64::from(removed));
    }

    /// Hands a message to all who should get it.
    pub(crate) fn deliver(&self, stamped: &Stamped) {
        let Stamped { number, message } = stamped;
        let tree = self.tree();
        let spots = tree.matching(message.topic());
        if spots.is_empty() {
            return;
        }
        let message = &waiting(message, &self.meters);
        let readers = Readers::of(message);
        let gets = |subscriber: &&Subscriber| {
            let own = subscriber.options.no_local && message.publisher() == subscriber.inbox.serial;
            subscriber.since <= *number && !own && readers.include(&subscriber.inbox.reader)
        };
        let mut found: Vec<&Subscriber> =
            spots.iter().flat_map(|spot| &spot.subscribers).filter(gets).collect();
        if spots.len() > 1 {
            found.sort_by_key(|subscriber| subscriber.inbox.serial);
        }
        for of_one in found.chunk_by(|a, b| a.inbox.serial == b.inbox.serial) {
            let Some(first) = of_one.first() else { continue };
            first.inbox.push_or_drop(delivery(message, of_one.iter().map(|subscriber| &subscriber.options)));
        }
        let groups = spots.iter().flat_map(|spot| &spot.groups);
        for group in groups.filter(|group| readers.include(&group.reader)) {
            if !group.give(message, *number, None) {
                self.meters.dropped(Dropped::NoMember).add(1);
            }
        }
    }

    /// Gives what a member of a shared group leaves behind to another one; false if nobody takes it.
    pub(crate) fn pass_on(&self, left: &Delivery, leaving: &Inbox) -> bool {
        let tree = self.tree();
        let group = left.share.as_deref().and_then(|path| group(&tree, path, &leaving.reader));
        group.is_some_and(|group| group.give(&left.message, u64::MAX, Some(leaving.serial)))
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.tree)
    }
}

/// The shared group of a role in a fleet, if the filter is one's.
fn group<'a>(tree: &'a Tree, filter: &str, reader: &Reader) -> Option<&'a Group> {
    let share = Share::of(filter)?;
    tree.get(share.filter)?.groups.iter().find(|group| group.is(share.name, reader))
}

fn gather(tree: &Tree, filter: &str, come: &Inbox) {
    if let Some(group) = group(tree, filter, &come.reader) {
        group.gather(come.serial);
    }
}

/// Who may read a message, by role: found out when it is first asked, since the rules take longer than a delivery.
struct Readers<'a> {
    topic: &'a str,
    /// The fleet whose tree the topic is in.
    fleet: Option<&'a str>,
    roles: [OnceCell<bool>; Role::ALL.len()],
}

impl<'a> Readers<'a> {
    fn of(message: &'a Message) -> Self {
        let topic = message.topic();
        Self { topic, fleet: flotilla_schemas::topic::Tree::fleet_in(topic), roles: Default::default() }
    }

    fn include(&self, reader: &Reader) -> bool {
        let known = self.roles.get(reader.role as usize);
        let may = || known.is_some_and(|known| *known.get_or_init(|| reader.role.may_receive(self.topic)));
        reader.sees(self.fleet) && may()
    }
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::QoS;

    use super::*;
    use crate::inbox::Bounds;
    use crate::message::sample;

    struct Lab {
        subscribers: Subscribers,
        number: u64,
    }

    impl Lab {
        fn new() -> Self {
            Self { subscribers: Subscribers::new(Arc::default()), number: 0 }
        }

        /// The bounds of an inbox are checked against the meters of all.
        fn inbox(&self, serial: u64, bounds: Bounds) -> Arc<Inbox> {
            let inbox = Inbox::new(serial, Role::Center.into(), bounds, Arc::clone(&self.subscribers.meters));
            inbox.attach();
            Arc::new(inbox)
        }

        fn subscribe(&self, inbox: &Arc<Inbox>, filter: &str, options: Options) {
            self.subscribers.subscribe(filter, inbox, options, self.number);
        }

        fn publish(&mut self, topic: &str) {
            self.subscribers.deliver(&Stamped { number: self.number, message: sample(topic, "x") });
            self.number += 1;
        }
    }

    const PLAIN: Options =
        Options { qos: QoS::AtLeastOnce, no_local: false, retain_as_published: false, identifier: None };

    fn inbox(serial: u64) -> Arc<Inbox> {
        inbox_of(Role::Center, serial)
    }

    fn inbox_of(role: Role, serial: u64) -> Arc<Inbox> {
        let bounds = Bounds { messages: 1_000, bytes: usize::MAX, all_bytes: usize::MAX };
        let inbox = Inbox::new(serial, role.into(), bounds, Arc::default());
        inbox.attach();
        Arc::new(inbox)
    }

    fn count(inbox: &Inbox) -> usize {
        std::iter::from_fn(|| inbox.pop()).count()
    }

    #[test]
    fn overlapping_subscriptions_give_one_message_at_the_highest_qos_with_all_identifiers() {
        let mut lab = Lab::new();
        let (one, other) = (inbox(1), inbox(2));
        lab.subscribe(&one, "a/#", Options { qos: QoS::AtMostOnce, identifier: Some(7), ..PLAIN });
        lab.subscribe(&one, "a/b", Options { retain_as_published: true, identifier: Some(8), ..PLAIN });
        lab.subscribe(&one, "#", Options { qos: QoS::AtMostOnce, ..PLAIN });
        lab.subscribe(&other, "+/b", PLAIN);
        lab.publish("a/b");
        let got = one.pop().unwrap();
        let mut identifiers = got.identifiers.clone();
        identifiers.sort();
        assert_eq!((got.qos, got.retain, identifiers), (QoS::AtLeastOnce, true, vec![7, 8]));
        assert_eq!((count(&one), count(&other)), (0, 1));
    }

    #[test]
    fn a_subscription_gets_neither_what_was_before_it_nor_what_is_its_own_unless_it_wants_to() {
        let mut lab = Lab::new();
        let (publisher, late) = (inbox(1), inbox(2));
        lab.subscribe(&publisher, "a", Options { no_local: true, ..PLAIN });
        lab.subscribers.subscribe("a", &late, PLAIN, 1);
        lab.publish("a");
        lab.publish("a");
        assert_eq!((count(&publisher), count(&late)), (0, 1));
    }

    #[test]
    fn subscribing_again_changes_the_options_and_unsubscribing_leaves_nothing_behind() {
        let mut lab = Lab::new();
        let one = inbox(1);
        for filter in ["a/+", "$share/g/a/+"] {
            lab.subscribe(&one, filter, PLAIN);
            lab.subscribe(&one, filter, Options { qos: QoS::AtMostOnce, ..PLAIN });
            lab.publish("a/b");
            assert_eq!(one.pop().unwrap().qos, QoS::AtMostOnce, "{filter}");
            assert_eq!((count(&one), lab.subscribers.meters.subscriptions.get()), (0, 1));
            lab.subscribers.unsubscribe(filter, &one);
            lab.subscribers.unsubscribe(filter, &one);
            lab.publish("a/b");
            assert_eq!((count(&one), lab.subscribers.meters.subscriptions.get()), (0, 0));
            assert!(lab.subscribers.tree().is_empty());
        }
    }

    #[test]
    fn a_message_that_waits_for_many_counts_once_until_the_last_of_them_lets_it_go() {
        let lab = Lab::new();
        let bounds = Bounds { messages: 64, bytes: usize::MAX, all_bytes: 100_000 };
        let fleet: Vec<_> = (0..20).map(|serial| lab.inbox(serial, bounds)).collect();
        fleet.iter().for_each(|inbox| lab.subscribe(inbox, "a", PLAIN));
        let body = sample("a", &"x".repeat(20_000));
        for number in 0..3 {
            lab.subscribers.deliver(&Stamped { number, message: body.clone() });
        }
        let meters = Arc::clone(&lab.subscribers.meters);
        assert_eq!(
            meters.dropped(Dropped::QueueFullQos1).get(),
            0,
            "three of 20 kB are not as many as may wait"
        );
        assert!((60_000..100_000).contains(&meters.queued_bytes.get()), "{}", meters.queued_bytes.get());
        let unacknowledged = fleet[0].pop().unwrap();
        assert!(fleet.iter().all(|inbox| count(inbox) >= 2));
        assert_eq!(meters.queued_bytes.get(), unacknowledged.message.size_bytes() as u64);
        drop(unacknowledged);
        assert_eq!(meters.queued_bytes.get(), 0);
    }

    #[test]
    fn members_of_a_group_take_turns_and_another_group_gets_its_own() {
        let mut lab = Lab::new();
        let (one, two, lone, plain) = (inbox(1), inbox(2), inbox(3), inbox(4));
        lab.subscribe(&one, "$share/g/a", PLAIN);
        lab.subscribe(&two, "$share/g/a", PLAIN);
        lab.subscribe(&lone, "$share/h/a", PLAIN);
        lab.subscribe(&plain, "a", PLAIN);
        (0..10).for_each(|_| lab.publish("a"));
        assert_eq!([count(&one), count(&two), count(&lone), count(&plain)], [5, 5, 10, 10]);
    }

    #[test]
    fn what_a_client_may_not_read_does_not_wait_for_it_and_takes_nothing_from_others() {
        let mut lab = Lab::new();
        let (dashboard, operator, center) =
            (inbox_of(Role::Dashboard, 1), inbox_of(Role::Operator, 2), inbox_of(Role::Center, 3));
        for inbox in [&dashboard, &operator, &center] {
            lab.subscribe(inbox, "#", PLAIN);
            lab.subscribe(inbox, "$share/g/#", PLAIN);
        }
        for (topic, expected) in [
            ("fleet/v1/blob/00", [0, 0, 2]),
            ("fleet/v1/edge/e1/journal/0/8b", [0, 2, 2]),
            ("fleet/v1/edge/e1/status", [2, 2, 2]),
        ] {
            lab.publish(topic);
            let got = [&dashboard, &operator, &center].map(|inbox| count(inbox));
            assert_eq!(got, expected, "{topic}");
        }
        assert_eq!(lab.subscribers.meters.dropped(Dropped::NoMember).get(), 0);
    }

    #[test]
    fn a_stuck_member_holds_nothing_up_and_what_it_leaves_goes_to_another() {
        let mut lab = Lab::new();
        let (stuck, quick) = (inbox(1), inbox(2));
        lab.subscribe(&stuck, "$share/g/a", PLAIN);
        lab.subscribe(&quick, "$share/g/a", PLAIN);
        let mut taken = 0;
        for _ in 0..500 {
            lab.publish("a");
            taken += count(&quick);
            quick.note_unacknowledged(0);
        }
        assert!(taken >= 500 - group::AHEAD, "{taken}");
        let left = stuck.take_shared(|_| true);
        assert_eq!(left.len() + taken, 500);
        assert!(left.iter().all(|left| lab.subscribers.pass_on(left, &stuck)));
        assert_eq!(count(&quick) + taken, 500);
        lab.subscribers.unsubscribe("$share/g/a", &quick);
        assert!(!lab.subscribers.pass_on(&left[0], &stuck), "nobody is left");
    }

    #[test]
    fn what_a_member_has_not_acknowledged_counts_like_what_waits_for_it() {
        let mut lab = Lab::new();
        let (stuck, quick) = (inbox(1), inbox(2));
        for inbox in [&stuck, &quick] {
            lab.subscribe(inbox, "$share/g/a", PLAIN);
        }
        let mut held = 0;
        for _ in 0..500 {
            lab.publish("a");
            held += count(&stuck);
            count(&quick);
            quick.note_unacknowledged(0);
        }
        assert_eq!(held, group::AHEAD);
    }

    #[test]
    fn a_member_that_is_away_gets_a_message_only_if_none_is_there_and_hands_it_to_the_first_who_comes() {
        let mut lab = Lab::new();
        let (away, there, back) = (inbox(1), inbox(2), inbox(3));
        let path = "$share/g/a";
        away.detach();
        back.detach();
        lab.subscribe(&away, path, PLAIN);
        lab.subscribe(&away, "a", PLAIN);
        lab.subscribe(&back, path, PLAIN);
        (0..4).for_each(|_| lab.publish("a"));
        back.attach();
        lab.subscribers.gather(&[path.into()], &back);
        assert_eq!((count(&away), count(&back)), (4, 4), "what is its own stays");
        back.detach();
        (0..4).for_each(|_| lab.publish("a"));
        lab.subscribe(&there, path, PLAIN);
        (0..5).for_each(|_| lab.publish("a"));
        assert_eq!([count(&away), count(&back), count(&there)], [9, 0, 9]);
    }
}
