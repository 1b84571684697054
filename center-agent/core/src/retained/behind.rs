//! Edges that do not have what the broker was told to give them.
//!
//! A broker may drop a message for one client and keep it for others. An edge's status says what it holds; if that is
//! not what it should hold for as long as [`BEHIND_MS`], which is longer than anything takes on its way, it is sent
//! again.

use std::collections::BTreeMap;

use flotilla_schemas::EdgeId;

/// How long an edge may show something else before it is sent again, in milliseconds.
pub const BEHIND_MS: u64 = 20_000;

/// Since when each edge has been behind, in milliseconds of running time.
#[derive(Debug, Clone, Default)]
pub struct Behind(BTreeMap<EdgeId, u64>);

impl Behind {
    /// An edge shows now that it is behind, or that it is not; whether what it lacks is to be sent again.
    pub fn shows(&mut self, edge: &EdgeId, is_behind: bool, now_ms: u64) -> bool {
        if !is_behind {
            self.0.remove(edge);
            return false;
        }
        let since = *self.0.entry(edge.clone()).or_insert(now_ms);
        let overdue = now_ms >= since + BEHIND_MS;
        if overdue {
            self.0.remove(edge);
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_edge_that_stays_behind_is_sent_to_again() {
        let (mut behind, edge) = (Behind::default(), "e1".parse().unwrap());
        assert!(!behind.shows(&edge, true, 0));
        assert!(!behind.shows(&edge, false, BEHIND_MS));
        assert!(!behind.shows(&edge, true, BEHIND_MS + 1));
        assert!(behind.shows(&edge, true, 2 * BEHIND_MS + 1));
        assert!(!behind.shows(&edge, true, 2 * BEHIND_MS + 2));
    }
}
