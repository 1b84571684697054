//! What a client subscribed to, and how each is to be delivered.

use std::collections::HashMap;

use rumqttd::protocol::{Filter, QoS};

/// One subscription with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub filter: String,
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// The client's own number for it.
    pub identifier: Option<usize>,
    /// Position that the next live message must have, once there was one.
    pub next_offset: Option<u64>,
}

/// The subscriptions of a session by the numbers under which the router knows them.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_number: HashMap<usize, Subscription>,
    numbers: HashMap<String, usize>,
    last: usize,
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn contains(&self, filter: &str) -> bool {
        self.numbers.contains_key(filter)
    }

    pub(crate) fn get_mut(&mut self, number: usize) -> Option<&mut Subscription> {
        self.by_number.get_mut(&number)
    }

    /// Adds a subscription, or replaces the options of the one with that filter; returns its number, never 0.
    pub(crate) fn insert(&mut self, filter: &Filter, identifier: Option<usize>) -> usize {
        let number = *self.numbers.entry(filter.path.clone()).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        let next_offset = self.by_number.get(&number).and_then(|former| former.next_offset);
        let subscription = Subscription {
            filter: filter.path.clone(),
            qos: filter.qos.min_of(QoS::AtLeastOnce),
            no_local: filter.nolocal,
            retain_as_published: filter.preserve_retain,
            identifier,
            next_offset,
        };
        self.by_number.insert(number, subscription);
        number
    }

    /// Removes a subscription; its number is not given again.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<usize> {
        let number = self.numbers.remove(filter)?;
        self.by_number.remove(&number);
        Some(number)
    }
}

impl Subscription {
    /// Notes the position of a live message and returns how many before it were lost.
    pub(crate) fn lost_before(&mut self, offset: u64) -> u64 {
        let expected = self.next_offset.replace(offset + 1).unwrap_or(offset);
        offset.saturating_sub(expected)
    }
}

/// The smaller of two QoS.
pub(crate) trait MinOf {
    fn min_of(self, other: Self) -> Self;
}

impl MinOf for QoS {
    fn min_of(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::RetainForwardRule;

    use super::*;

    fn filter(path: &str, qos: QoS) -> Filter {
        let retain_forward_rule = RetainForwardRule::OnEverySubscribe;
        Filter { path: path.into(), qos, nolocal: false, preserve_retain: false, retain_forward_rule }
    }

    #[test]
    fn subscribing_again_replaces_the_options_and_keeps_the_number() {
        let mut subscriptions = Subscriptions::default();
        let number = subscriptions.insert(&filter("a", QoS::AtMostOnce), None);
        assert_eq!(subscriptions.get_mut(number).unwrap().lost_before(10), 0);
        assert_eq!(subscriptions.insert(&filter("a", QoS::ExactlyOnce), Some(5)), number);
        let subscription = subscriptions.get_mut(number).unwrap();
        assert_eq!((subscription.qos, subscription.identifier), (QoS::AtLeastOnce, Some(5)));
        assert_eq!(subscription.lost_before(13), 2);
        assert_eq!(subscriptions.remove("a"), Some(number));
        assert_ne!(subscriptions.insert(&filter("a", QoS::AtMostOnce), None), number);
        assert_eq!((subscriptions.len(), subscriptions.remove("b")), (1, None));
    }
}
