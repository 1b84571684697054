//! So many of something at a time for each user, or for each address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

#[derive(Debug)]
pub(crate) struct Places<K> {
    taken: Mutex<HashMap<K, usize>>,
    max: usize,
}

/// A place that is taken for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    of: K,
}

impl<K: Clone + Eq + Hash> Places<K> {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), max })
    }

    /// A place for one who has fewer than each may.
    pub(crate) fn take(self: &Arc<Self>, of: K) -> Option<Place<K>> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(of.clone()).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place { places: Arc::clone(self), of })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

/// What counts as one address: whoever has one IPv6 address has its /64.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_leaves_nothing_behind() {
        let places = Places::new(2);
        let take = |address: &str| places.take(block(address.parse().unwrap()));
        let (first, second) = (take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap());
        assert!(take("2001:db8::3").is_none(), "its /64 is one address");
        let others = ["2001:db8:0:1::1", "::ffff:127.0.0.1", "127.0.0.1"].map(take);
        assert!(others.iter().all(Option::is_some) && take("127.0.0.1").is_none());
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop((second, others));
        assert!(lock(&places.taken).is_empty());
    }
}
