//! Who belongs to the fleet: the keys of edges are decided on, gateways replaced and retired.

use flotilla_schemas::report::Status;
use flotilla_schemas::time::Now;
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{EdgeId, Topic};

use super::Core;
use crate::answer::{Answer, Refusal};
use crate::desk::FaultRow;
use crate::document::{Body, EdgeDocument, Standing};
use crate::registry::RegistryError;
use crate::retained::Cause;
use crate::row::{Row, Write};
use crate::step::Step;

/// The most topics of one retired edge that are kept empty.
pub const EMPTIED_MAX: usize = 1024;

impl Core {
    /// Whether the key that a status shows speaks for its edge; the first other key after a replacement does from then on.
    pub(super) fn admit(&mut self, status: &Status, now: Now, step: &mut Step) -> Result<(), RegistryError> {
        let edge = &status.meta.edge;
        match self.documents.edge(edge) {
            None => Ok(()),
            Some(document) if document.knows(&status.key) => Ok(()),
            Some(document) if self.swept && document.awaits(&status.key) => {
                let (edge, key) = (edge.clone(), status.key.clone());
                step.note("edge replaced, its new key pinned", Some(&edge), "");
                self.hold(Body::Edge(EdgeDocument { edge, key, standing: Standing::Member }), now, step);
                Ok(())
            }
            Some(_) => Err(RegistryError::OtherKey(edge.clone())),
        }
    }

    /// Decides on the key that an edge has shown, if nobody has. Not before the sweep is over: somebody may have.
    pub(super) fn take_on(&mut self, edge: &EdgeId, now: Now, step: &mut Step) {
        let undecided = self.swept && self.documents.edge(edge).is_none();
        let Some(known) = self.registry.get(edge).filter(|_| undecided) else { return };
        let (edge, key) = (edge.clone(), known.key.clone());
        step.note("edge taken on, its key pinned", Some(&edge), "");
        self.hold(Body::Edge(EdgeDocument { edge, key, standing: Standing::Member }), now, step);
    }

    pub(super) fn take_on_all(&mut self, now: Now, step: &mut Step) {
        let edges: Vec<EdgeId> = self.registry.all().map(|(edge, _)| edge.clone()).collect();
        edges.iter().for_each(|edge| self.take_on(edge, now, step));
    }

    /// What people decide about an edge. Deciding it again changes nothing.
    pub(super) fn stand(
        &mut self,
        edge: EdgeId,
        standing: Standing,
        now: Now,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        let shown = |known: &crate::registry::Edge| EdgeDocument {
            edge: edge.clone(),
            key: known.key.clone(),
            standing: Standing::Member,
        };
        let held = self.documents.edge(&edge).cloned().or_else(|| self.registry.get(&edge).map(shown));
        let Some(held) = held else {
            let known = self.registry.all().map(|(id, _)| id.clone()).collect();
            return Err(Refusal::Edge { edge, known });
        };
        let document = EdgeDocument { standing, ..held.clone() };
        if document != held {
            self.hold(Body::Edge(document.clone()), now, step);
        }
        Ok(Answer::Edge(document))
    }

    /// What follows from the document of an edge: whoever shows another key is forgotten, and what a retired edge has
    /// left at the broker is emptied.
    pub(super) fn settle(&mut self, document: &EdgeDocument, cause: Cause, step: &mut Step) {
        let edge = &document.edge;
        match document.standing {
            Standing::Retired => self.clear(edge, cause, step),
            Standing::Member | Standing::Replaced => self.retained.leave(edge),
        }
        if self.registry.get(edge).is_some_and(|known| !document.knows(&known.key)) {
            let row = self.registry.remove(edge).map(|row| Write::Remove(Row::Edge(row).key()));
            step.persist.extend(row);
        }
        self.retain_desired(edge, cause);
    }

    fn clear(&mut self, edge: &EdgeId, cause: Cause, step: &mut Step) {
        use EdgeTopic::{Avail, Fault, Inventory, Notice, Release, Status};
        let known = self.registry.get(edge).map(|known| known.releases.keys().cloned().collect::<Vec<_>>());
        let releases = known.unwrap_or_default();
        let faults = self.faults.of(edge).filter(|row| row.is_open()).filter_map(|row| row.seen.as_ref());
        let faults = faults.map(|fault| Fault(fault.app.clone(), fault.kind.clone()));
        let own = [Avail, Status, Inventory, Notice].into_iter().chain(releases.iter().cloned().map(Release));
        let own = own.chain(faults).map(|rest| Topic::Edge(edge.clone(), rest));
        let ours = releases.iter().map(|name| Topic::Distribution(name.clone(), edge.clone()));
        let topics: Vec<Topic> = own.chain(ours).collect();
        topics.into_iter().for_each(|topic| self.retained.want(topic, Vec::new(), cause));
        let removed = self.faults.remove(edge).into_iter();
        step.persist.extend(removed.map(|row: FaultRow| Write::Remove(Row::Fault(row).key())));
    }

    pub(super) fn is_retired(&self, edge: &EdgeId) -> bool {
        self.documents.edge(edge).is_some_and(|document| document.standing == Standing::Retired)
    }

    /// What a retired edge retains is emptied, and means nothing.
    pub(super) fn empty(&mut self, edge: &EdgeId, topic: &Topic) {
        use EdgeTopic::{Avail, Fault, Inventory, Notice, Release, Status};
        let Topic::Edge(_, Avail | Status | Inventory | Notice | Release(_) | Fault(..)) = topic else {
            return;
        };
        if self.retained.count_of(edge) < EMPTIED_MAX {
            self.retained.want(topic.clone(), Vec::new(), Cause::Heard);
        }
    }
}
