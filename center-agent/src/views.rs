//! What people see of edges and their faults, ready to be read beside the driver.
//!
//! The driver brings up to date what a step touched, before it answers anyone: whoever decided something sees what came
//! of it. Who reads takes references and lets the driver go on; however many edges there are, it is held for as long as
//! that takes. What concerns one thing alone is asked of the core itself ([`Desk::look`](crate::Desk::look)).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use center_core::Core;
use center_core::view::{EdgeSummary, FaultView};
use flotilla_schemas::EdgeId;

/// What is shown of one edge.
#[derive(Debug, Clone)]
struct Shown {
    edge: Arc<EdgeSummary>,
    /// The oldest first.
    faults: Vec<Arc<FaultView>>,
}

/// The views of all edges.
#[derive(Debug, Default)]
pub struct Views(RwLock<BTreeMap<EdgeId, Shown>>);

impl Views {
    /// Brings up to date what is shown of these edges.
    pub fn refresh(&self, core: &Core, touched: &BTreeSet<EdgeId>) {
        let shown: Vec<_> = touched.iter().map(|edge| (edge, show(core, edge))).collect();
        if shown.is_empty() {
            return;
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (edge, shown) in shown {
            match shown {
                Some(shown) => _ = all.insert(edge.clone(), shown),
                None => _ = all.remove(edge),
            }
        }
    }

    /// Whether an edge ever showed itself.
    pub fn knows(&self, edge: &EdgeId) -> bool {
        self.read().contains_key(edge)
    }

    /// All edges, by name.
    pub fn edges(&self) -> Vec<Arc<EdgeSummary>> {
        self.read().values().map(|shown| shown.edge.clone()).collect()
    }

    /// Faults, of one edge or of all, open or closed or both; the oldest first.
    pub fn faults(&self, edge: Option<&EdgeId>, open: Option<bool>) -> Vec<Arc<FaultView>> {
        let all = self.read();
        let of_one = edge.map(|edge| all.get(edge).into_iter());
        let of_all = edge.is_none().then(|| all.values());
        let shown = of_one.into_iter().flatten().chain(of_all.into_iter().flatten());
        let faults = shown.flat_map(|shown| &shown.faults);
        let mut faults: Vec<_> =
            faults.filter(|fault| open.is_none_or(|open| open == fault.open)).cloned().collect();
        drop(all);
        faults.sort_by_key(|fault| fault.opened_ts);
        faults
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<EdgeId, Shown>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show(core: &Core, edge: &EdgeId) -> Option<Shown> {
    let faults = core.faults(Some(edge), None).into_iter().map(Arc::new).collect();
    Some(Shown { edge: Arc::new(core.summary(edge)?), faults })
}

#[cfg(test)]
mod tests {
    use center_core::{Config, Row};
    use flotilla_schemas::fleet::Fleet;
    use flotilla_schemas::sign::SecretKey;
    use flotilla_schemas::time::Now;
    use flotilla_schemas::{Digest, FleetId};
    use serde_json::json;

    use super::*;

    fn core(rows: Vec<Row>) -> Core {
        let (fleet, centers) = (FleetId::default(), Vec::new());
        let fleet =
            Fleet { fleet, era: 1, durable: 1, centers, operators: Vec::new(), publishers: Vec::new() };
        let (center, session) = ("c1".parse().unwrap(), "s".parse().unwrap());
        let config = Config { center, fleet, session, agent: "0".into(), records: 0 };
        Core::from_records(config, rows, Now::new(0, 0))
    }

    fn edge() -> Row {
        let key = SecretKey::from_seed("e1".parse().unwrap(), [1; 32]).public();
        let status = json!({
            "v": 1, "edge": "e1", "session": "s1", "seq": 1, "ts": 0, "clock_ok": true, "fleet": FleetId::default(),
            "key": key, "mode": "operating", "services": 0, "apps_loaded": 0, "faults_open": 0, "journal_epoch": "x",
            "journal_head_0": 0, "journal_head_1": 0, "journal_head_2": 0, "journal_unacked": 0,
            "desired_digest": Digest::of(b""), "n_max": 0, "catalog": 0, "memory_bytes": 0, "disk_free_bytes": 0,
            "runtime": "r", "agent": "0",
        });
        serde_json::from_value(json!({ "edge": { "key": key, "status": status, "heard_ts": 0 } })).unwrap()
    }

    #[test]
    fn an_edge_is_shown_for_as_long_as_the_core_knows_it() {
        let (views, id) = (Views::default(), "e1".parse().unwrap());
        let touched = BTreeSet::from([EdgeId::clone(&id)]);
        views.refresh(&core(vec![edge()]), &touched);
        assert!(views.knows(&id) && views.edges().len() == 1);
        views.refresh(&core(Vec::new()), &touched);
        assert!(!views.knows(&id) && views.edges().is_empty());
    }
}
