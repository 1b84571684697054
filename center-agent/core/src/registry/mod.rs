//! The edges: who they are, whether they are there, and what they say of themselves.
//!
//! Until there is enrolment, the first key that an edge id shows is its own, unless people decide otherwise; another is
//! refused. An edge
//! counts as online from a live status or its `online`, until its last will or until three statuses are overdue.

mod edge;

use std::collections::BTreeMap;

use flotilla_schemas::EdgeId;
use flotilla_schemas::report::{Inventory, ReleaseRow, Status};
use flotilla_schemas::time::Now;

use edge::{inventory_bytes, row_bytes};

pub use edge::{EDGE_BYTES_MAX, Edge, EdgeRow};

/// The most edges of one center; a further one is refused.
pub const EDGES_MAX: usize = 100_000;

/// How long an edge counts as online without a word: three statuses and their jitter, in milliseconds.
pub const SILENCE_MS_MAX: u64 = 100_000;

/// The least time between two questions to an edge what it holds, in milliseconds.
pub const ASK_MS_MIN: u64 = 60_000;

/// Why a status was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The id belongs to another key.
    #[error("take the status of {0}: it shows another key than the one that was pinned for it")]
    OtherKey(EdgeId),
    /// It never showed a key.
    #[error("hear {0}: it is unknown")]
    Unknown(EdgeId),
    /// It says too much.
    #[error("keep what {edge} says that it has: it would be {bytes} bytes, more than {EDGE_BYTES_MAX}")]
    TooMuch {
        /// The edge.
        edge: EdgeId,
        /// What would be kept of it.
        bytes: usize,
    },
    /// There are as many edges as may be.
    #[error("take on {0}: there are {EDGES_MAX} edges already")]
    Full(EdgeId),
}

/// What a status changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The edge was not known.
    New,
    /// Its session, mode or journal is another.
    Changed,
    /// Nothing that must be kept.
    Same,
}

/// All edges.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    edges: BTreeMap<EdgeId, Edge>,
}

impl Registry {
    /// Takes an edge that is on disk: known, and not heard yet.
    pub fn load(&mut self, row: EdgeRow) {
        let EdgeRow { key, status, heard_ts } = row;
        let id = status.meta.edge.clone();
        let (inventory, releases) = (None, BTreeMap::new());
        let edge =
            Edge { key, status, heard_ts, online: false, inventory, releases, heard_ms: 0, asked_ms: None };
        self.edges.insert(id, edge);
    }

    /// Takes a status whose signature was verified by the key that it shows. A live one is a sign of life.
    pub fn status(&mut self, status: Status, live: bool, now: Now) -> Result<Heard, RegistryError> {
        let id = status.meta.edge.clone();
        let Some(edge) = self.edges.get_mut(&id) else {
            if self.edges.len() >= EDGES_MAX {
                return Err(RegistryError::Full(id));
            }
            self.load(EdgeRow { key: status.key.clone(), status, heard_ts: now.wall_ms });
            self.life(&id, live, now);
            return Ok(Heard::New);
        };
        if edge.key != status.key {
            return Err(RegistryError::OtherKey(id));
        }
        let (old, new) = (&edge.status, &status);
        if old.meta.session == new.meta.session && old.meta.seq > new.meta.seq {
            return Ok(Heard::Same);
        }
        let same = (&old.meta.session, old.mode, &old.journal_epoch)
            == (&new.meta.session, new.mode, &new.journal_epoch);
        edge.status = status;
        self.life(&id, live, now);
        Ok(if same { Heard::Same } else { Heard::Changed })
    }

    fn life(&mut self, id: &EdgeId, live: bool, now: Now) {
        if let Some(edge) = self.edges.get_mut(id).filter(|_| live) {
            (edge.online, edge.heard_ms, edge.heard_ts) = (true, now.mono_ms, now.wall_ms);
        }
    }

    /// Takes an edge's `online` or `offline`. True if that changed something.
    pub fn avail(&mut self, id: &EdgeId, online: bool, now: Now) -> bool {
        let Some(edge) = self.edges.get_mut(id) else { return false };
        edge.heard_ms = now.mono_ms;
        std::mem::replace(&mut edge.online, online) != online
    }

    /// Takes what an edge says that it has.
    pub fn inventory(&mut self, inventory: Inventory) -> Result<(), RegistryError> {
        let id = &inventory.meta.edge;
        let edge = self.edges.get_mut(id).ok_or_else(|| RegistryError::Unknown(id.clone()))?;
        let before = edge.inventory.as_ref().map_or(0, inventory_bytes);
        room(id, edge.bytes() - before + inventory_bytes(&inventory))?;
        edge.inventory = Some(inventory);
        Ok(())
    }

    /// Takes an edge's row of a release.
    pub fn release(&mut self, row: ReleaseRow) -> Result<(), RegistryError> {
        let id = &row.meta.edge;
        let edge = self.edges.get_mut(id).ok_or_else(|| RegistryError::Unknown(id.clone()))?;
        let before = edge.releases.get(&row.release).map_or(0, row_bytes);
        room(id, edge.bytes() - before + row_bytes(&row))?;
        edge.releases.insert(row.release.clone(), row);
        Ok(())
    }

    /// Whether an edge may be asked now what it holds; it counts as asked then.
    pub fn ask(&mut self, id: &EdgeId, now: Now) -> bool {
        let Some(edge) = self.edges.get_mut(id) else { return false };
        let rested = edge.asked_ms.is_none_or(|at| now.mono_ms >= at + ASK_MS_MIN);
        if rested {
            edge.asked_ms = Some(now.mono_ms);
        }
        rested
    }

    /// Takes from `online` the edges that were silent for too long, and names them.
    pub fn fall_silent(&mut self, now: Now) -> Vec<EdgeId> {
        let silent = |edge: &Edge| edge.online && edge.heard_ms + SILENCE_MS_MAX <= now.mono_ms;
        let mut fallen = Vec::new();
        for (id, edge) in self.edges.iter_mut().filter(|(_, edge)| silent(edge)) {
            edge.online = false;
            fallen.push(id.clone());
        }
        fallen
    }

    /// Forgets an edge; what was on disk of it.
    pub fn remove(&mut self, id: &EdgeId) -> Option<EdgeRow> {
        let row = self.row(id)?;
        self.edges.remove(id);
        Some(row)
    }

    /// What is to be on disk of an edge.
    pub fn row(&self, id: &EdgeId) -> Option<EdgeRow> {
        let Edge { key, status, heard_ts, .. } = self.edges.get(id)?;
        Some(EdgeRow { key: key.clone(), status: status.clone(), heard_ts: *heard_ts })
    }

    /// An edge.
    pub fn get(&self, id: &EdgeId) -> Option<&Edge> {
        self.edges.get(id)
    }

    /// All edges, by name.
    pub fn all(&self) -> impl Iterator<Item = (&EdgeId, &Edge)> {
        self.edges.iter()
    }

    /// How many there are, and how many are online.
    pub fn count(&self) -> (u32, u32) {
        let online = self.edges.values().filter(|edge| edge.online).count();
        (self.edges.len() as u32, online as u32)
    }
}

fn room(edge: &EdgeId, bytes: usize) -> Result<(), RegistryError> {
    let edge = || edge.clone();
    if bytes <= EDGE_BYTES_MAX { Ok(()) } else { Err(RegistryError::TooMuch { edge: edge(), bytes }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{edge_key, row, status};

    fn at(mono_ms: u64) -> Now {
        Now::new(mono_ms, 1_800_000_000_000)
    }

    #[test]
    fn the_first_key_is_pinned_and_another_refused() {
        let mut registry = Registry::default();
        assert_eq!(registry.status(status("e1", 1), true, at(0)), Ok(Heard::New));
        let mut thief = status("e1", 2);
        thief.key = edge_key("e2").public();
        let refused = registry.status(thief.clone(), true, at(1));
        assert_eq!(refused, Err(RegistryError::OtherKey("e1".parse().unwrap())));
        let mut again = Registry::default();
        again.load(registry.row(&"e1".parse().unwrap()).unwrap());
        assert!(again.status(thief, true, at(1)).is_err());
    }

    #[test]
    fn an_edge_takes_no_more_room_than_its_share_however_much_it_says() {
        let mut registry = Registry::default();
        let id: EdgeId = "e1".parse().unwrap();
        registry.status(status("e1", 1), true, at(0)).unwrap();
        let taken =
            (0..1000).filter(|n| registry.release(row("e1", &format!("a{n}"), "1.0.0")).is_ok()).count();
        assert!((400..1000).contains(&taken), "{taken}");
        assert!(registry.get(&id).unwrap().bytes() <= EDGE_BYTES_MAX);
        assert!(registry.release(row("e1", "a0", "1.0.1")).is_ok(), "what is there may change");
        let long = "x".repeat(EDGE_BYTES_MAX);
        assert!(matches!(registry.release(row("e1", "a0", &long)), Err(RegistryError::TooMuch { .. })));
        assert!(registry.release(row("e2", "a0", "1.0.0")).is_err(), "nobody knows it");
    }

    #[test]
    fn an_older_status_of_the_same_run_changes_nothing() {
        let mut registry = Registry::default();
        registry.status(status("e1", 2), true, at(0)).unwrap();
        registry.status(status("e1", 1), true, at(0)).unwrap();
        assert_eq!(registry.get(&"e1".parse().unwrap()).unwrap().status.meta.seq, 2);
    }

    #[test]
    fn an_edge_is_online_until_its_will_or_its_silence() {
        let mut registry = Registry::default();
        let id: EdgeId = "e1".parse().unwrap();
        registry.status(status("e1", 1), false, at(0)).unwrap();
        assert_eq!(registry.count(), (1, 0), "a retained status is no sign of life");
        registry.status(status("e1", 2), true, at(5)).unwrap();
        assert_eq!(registry.count(), (1, 1));
        assert!(registry.avail(&id, false, at(6)));
        assert_eq!(registry.count(), (1, 0));
        registry.status(status("e1", 3), true, at(10)).unwrap();
        assert!(registry.fall_silent(at(9 + SILENCE_MS_MAX)).is_empty());
        assert_eq!(registry.fall_silent(at(10 + SILENCE_MS_MAX)), [id]);
        assert_eq!(registry.count(), (1, 0));
    }
}
