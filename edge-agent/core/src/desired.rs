//! What should be: slots joined by maximum, and the catalog that says what their digests stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::countermeasure::{Countermeasures, ReadList};
use flotilla_schemas::desired::{Desired, Item, JUMP_MAX, SLOTS_MAX, Slot, Wanted};
use flotilla_schemas::publisher::{OfMaker, Publishers};
use flotilla_schemas::release::{Catalog, Release, ScriptRelease};
use flotilla_schemas::sign::Signed;
use flotilla_schemas::{Digest, Json, ServiceId};

use crate::core::Core;
use crate::run::Run;

/// Documents of the catalog that were verified, by their digests; verified once, because a digest never means
/// anything else.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    apps: BTreeMap<Digest, Arc<Release>>,
    scripts: BTreeMap<Digest, Arc<ScriptRelease>>,
}

impl Releases {
    /// The app releases.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.apps.values()
    }
}

impl Core {
    pub(crate) fn take_catalog(&mut self, catalog: Catalog) {
        let current = self.catalog.as_ref().map_or(0, |catalog| catalog.version);
        if catalog.fleet != self.config.fleet.fleet || catalog.version <= current {
            return;
        }
        self.keep("catalog".to_owned(), &catalog);
        self.releases.apps.retain(|digest, _| catalog.releases.contains_key(digest));
        self.releases.scripts.retain(|digest, _| catalog.scripts.contains_key(digest));
        self.catalog = Some(catalog);
    }

    /// The app release of this digest, verified; in words why there is none.
    pub(crate) fn release(&mut self, digest: Digest) -> Result<Arc<Release>, String> {
        let documents = self.catalog.as_ref().map(|catalog| &catalog.releases);
        look_up(&mut self.releases.apps, documents, digest, &self.publishers)
    }

    /// The script release of this digest, verified; in words why there is none.
    pub(crate) fn script_release(&mut self, digest: Digest) -> Result<Arc<ScriptRelease>, String> {
        let documents = self.catalog.as_ref().map(|catalog| &catalog.scripts);
        look_up(&mut self.releases.scripts, documents, digest, &self.publishers)
    }

    pub(crate) fn take_desired(&mut self, desired: Desired) {
        if let Err(reason) = self.may_take(&desired) {
            return self.warn(format!("a desired state is refused: {reason}"));
        }
        for (slot, item) in desired.items {
            if let Err(reason) = self.may_join(&slot, &item) {
                self.warn(format!("slot {} is refused: {reason}", String::from(slot)));
                continue;
            }
            if self.slots.get(&slot).is_none_or(|current| item.replaces(current)) {
                self.join(slot, item);
            }
        }
    }

    fn may_take(&self, desired: &Desired) -> Result<(), String> {
        if desired.fleet != self.config.fleet.fleet {
            return Err(format!("it is for the fleet {}", desired.fleet));
        }
        if desired.edge != self.config.edge {
            return Err(format!("it is for the edge {}", desired.edge));
        }
        if desired.edge_epoch != self.epoch {
            return Err(format!(
                "it is for the state {} of this edge, not {}",
                desired.edge_epoch, self.epoch
            ));
        }
        Ok(())
    }

    fn may_join(&self, slot: &Slot, item: &Item) -> Result<(), String> {
        if item.key().era < self.config.fleet.era {
            return Err(format!(
                "its era {} is below the fleet file's {}",
                item.key().era,
                self.config.fleet.era
            ));
        }
        let n_max = self.n_max();
        if n_max > 0 && item.key().n > n_max.saturating_add(JUMP_MAX) {
            return Err(format!("its number {} jumps past {n_max} by more than {JUMP_MAX}", item.key().n));
        }
        if !self.slots.contains_key(slot) && self.slots.len() >= SLOTS_MAX {
            return Err(format!("the edge has {SLOTS_MAX} slots already"));
        }
        Ok(())
    }

    /// What an item asks for, if its slot may hold that and this agent knows all of it. What is held back stays what it
    /// was; its key holds all the same.
    pub(crate) fn understood(&mut self, slot: &Slot, item: &Item) -> Option<Wanted> {
        let reason = match (slot, item.wanted()) {
            (Slot::Other(_), _) => "it needs a newer agent".to_owned(),
            (_, Ok(Wanted::Gone)) => return Some(Wanted::Gone),
            (Slot::Policy, Ok(wanted @ Wanted::Policy(_)))
            | (Slot::Service(_), Ok(wanted @ Wanted::Service(_))) => return Some(wanted),
            (_, Ok(_)) => "its value is of another kind than the slot".to_owned(),
            (_, Err(newer)) => newer.to_string(),
        };
        self.warn(format!("slot {} is held back: {reason}", String::from(slot.clone())));
        None
    }

    pub(crate) fn adopt_policy(&mut self, list: &Json) {
        match Countermeasures::read(list) {
            Ok(ReadList { list, unread }) => {
                self.policy = list;
                unread.into_iter().for_each(|error| self.warn(format!("of the countermeasures, {error}")));
            }
            Err(error) => self.warn(format!("the countermeasures are held back: {error}")),
        }
    }

    fn join(&mut self, slot: Slot, item: Item) {
        self.keep(format!("slot/{}", String::from(slot.clone())), &item);
        let n = item.key().n;
        match (&slot, self.understood(&slot, &item)) {
            (Slot::Policy, Some(Wanted::Policy(list))) => {
                self.adopt_policy(&list);
                self.record_event("countermeasures-adopted", [("list-ver", self.policy.version.into())]);
            }
            (Slot::Service(id), Some(wanted)) => {
                self.record_event("service-wanted", [("service", id.as_str().into()), ("n", n.into())]);
                self.want_service(id.clone(), wanted);
            }
            (_, _) => {}
        }
        self.slots.insert(slot, item);
        self.reports.status_soon();
    }

    /// The highest document number that was seen; 0 before the first.
    pub(crate) fn n_max(&self) -> u64 {
        self.slots.values().map(|item| item.key().n).max().unwrap_or(0)
    }

    pub(crate) fn want_service(&mut self, id: ServiceId, wanted: Wanted) {
        let service = match wanted {
            Wanted::Service(service) => Some(service),
            Wanted::Gone | Wanted::Policy(_) => None,
        };
        self.service(id.clone()).want(service);
        let service = self.service(id.clone());
        if service.is_ended() {
            self.service_ended(&id);
        } else if service.wanted.is_none() && service.run.as_ref().is_some_and(Run::fetches) {
            // Its file may never come.
            self.end_run(&id);
        }
    }
}

fn look_up<T: OfMaker>(
    verified: &mut BTreeMap<Digest, Arc<T>>,
    documents: Option<&BTreeMap<Digest, Signed<T>>>,
    digest: Digest,
    publishers: &Publishers,
) -> Result<Arc<T>, String> {
    if let Some(document) = verified.get(&digest) {
        return Ok(document.clone());
    }
    let kind = T::KIND;
    let signed = documents.and_then(|documents| documents.get(&digest));
    let signed = signed.ok_or_else(|| format!("the catalog lists no {kind} {}", digest.short()))?;
    if signed.digest() != digest {
        return Err(format!("the catalog lists another {kind} as {}", digest.short()));
    }
    let document = publishers
        .open(signed)
        .map_err(|error| format!("the {kind} {} is refused: {error}", digest.short()))?;
    let document = Arc::new(document);
    verified.insert(digest, document.clone());
    Ok(document)
}
