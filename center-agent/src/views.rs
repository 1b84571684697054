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
        let shown: Vec<_> =
            touched.iter().filter_map(|edge| Some((edge.clone(), show(core, edge)?))).collect();
        if !shown.is_empty() {
            self.0.write().unwrap_or_else(PoisonError::into_inner).extend(shown);
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
