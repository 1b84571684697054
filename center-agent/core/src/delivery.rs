//! Chunks on their way to edges: asked for by one, sent once for everyone.
//!
//! A chunk goes out at most once in [`CHUNK_PAUSE_MS`], however many ask for it. At most [`CHUNKS_DUE_MAX`] wait; an
//! edge asks again for what does not come, so a request beyond that is dropped. [`CHUNKS_AT_ONCE`] go out at a time,
//! so that acks and answers find their way between them.

use std::collections::BTreeMap;

use flotilla_schemas::Digest;

/// The least time between two sendings of the same chunk, in milliseconds.
pub const CHUNK_PAUSE_MS: u64 = 500;

/// The most chunks that wait to be sent.
pub const CHUNKS_DUE_MAX: usize = 4096;

/// The most chunks that go out at a time: 1 MiB.
pub const CHUNKS_AT_ONCE: usize = 16;

/// The time between two portions, in milliseconds.
pub const PORTION_MS: u64 = 10;

/// The chunks that wait and those that were just sent.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    due: BTreeMap<Digest, u64>,
    sent: BTreeMap<Digest, u64>,
    next_ms: u64,
}

impl Delivery {
    /// Somebody asks for a chunk. False if too many wait.
    pub fn ask(&mut self, chunk: Digest, mono_ms: u64) -> bool {
        if self.due.contains_key(&chunk) {
            return true;
        }
        let room = self.due.len() < CHUNKS_DUE_MAX;
        if room {
            let rested = self.sent.get(&chunk).map_or(0, |at| at + CHUNK_PAUSE_MS);
            self.due.insert(chunk, rested.max(mono_ms));
        }
        room
    }

    /// The chunks to send now; at most [`CHUNKS_AT_ONCE`].
    pub fn take(&mut self, mono_ms: u64) -> Vec<Digest> {
        self.sent.retain(|_, at| *at + CHUNK_PAUSE_MS > mono_ms);
        if mono_ms < self.next_ms {
            return Vec::new();
        }
        let ready = self.due.iter().filter(|(_, at)| **at <= mono_ms).map(|(chunk, _)| *chunk);
        let ready: Vec<Digest> = ready.take(CHUNKS_AT_ONCE).collect();
        for chunk in &ready {
            self.due.remove(chunk);
            self.sent.insert(*chunk, mono_ms);
            self.next_ms = mono_ms + PORTION_MS;
        }
        ready
    }

    /// When the next portion is due, in milliseconds of running time.
    pub fn due_at(&self) -> Option<u64> {
        self.due.values().min().map(|at| (*at).max(self.next_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: usize) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    #[test]
    fn a_chunk_goes_out_at_once_and_then_once_in_its_pause() {
        let mut delivery = Delivery::default();
        assert!(delivery.ask(chunk(1), 100) && delivery.ask(chunk(1), 100));
        assert_eq!(delivery.take(100), [chunk(1)]);
        assert!(delivery.ask(chunk(1), 150));
        assert!(delivery.take(100 + CHUNK_PAUSE_MS - 1).is_empty());
        assert_eq!(delivery.due_at(), Some(100 + CHUNK_PAUSE_MS));
        assert_eq!(delivery.take(100 + CHUNK_PAUSE_MS), [chunk(1)]);
        assert_eq!(delivery.due_at(), None);
    }

    #[test]
    fn many_chunks_go_out_in_portions() {
        let mut delivery = Delivery::default();
        (0..CHUNKS_AT_ONCE + 1).for_each(|n| assert!(delivery.ask(chunk(n), 0)));
        assert_eq!(delivery.take(0).len(), CHUNKS_AT_ONCE);
        assert_eq!((delivery.take(PORTION_MS - 1).len(), delivery.due_at()), (0, Some(PORTION_MS)));
        assert_eq!(delivery.take(PORTION_MS).len(), 1);
    }

    #[test]
    fn what_is_too_much_is_dropped_and_the_rest_goes_out() {
        let mut delivery = Delivery::default();
        (0..CHUNKS_DUE_MAX).for_each(|n| assert!(delivery.ask(chunk(n), 0)));
        assert!(!delivery.ask(chunk(CHUNKS_DUE_MAX), 0));
        assert!(delivery.ask(chunk(1), 0), "what waits already needs no room");
        let mut sent = 0;
        while let Some(at) = delivery.due_at() {
            sent += delivery.take(at).len();
        }
        assert_eq!(sent, CHUNKS_DUE_MAX);
    }
}
