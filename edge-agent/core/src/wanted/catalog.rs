//! The catalog: what the digests that are desired stand for. The one place that opens it; everybody else asks here.
//!
//! A document of it is verified once, because a digest never means anything else.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::Digest;
use flotilla_schemas::publisher::{OfMaker, Publishers};
use flotilla_schemas::release::{Catalog as Listed, Release, ScriptRelease};
use flotilla_schemas::sign::{SignError, Signed};

use crate::out::Out;

/// What a document is looked up in, and what was verified of it.
pub(crate) struct Catalog {
    publishers: Publishers,
    listed: Option<Listed>,
    apps: BTreeMap<Digest, Arc<Release>>,
    scripts: BTreeMap<Digest, Arc<ScriptRelease>>,
}

/// Why the catalog gives no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CatalogError {
    /// It lists none of this digest.
    #[error("the catalog lists no {kind} {}", digest.short())]
    Unlisted { kind: &'static str, digest: Digest },
    /// It lists another document under this digest.
    #[error("the catalog lists another {kind} as {}", digest.short())]
    Other { kind: &'static str, digest: Digest },
    /// No publisher of the fleet signed it, or it cannot be read.
    #[error("the {kind} {} is refused: {error}", digest.short())]
    Refused { kind: &'static str, digest: Digest, error: SignError },
}

impl Catalog {
    /// None yet; its documents must be signed by one of these.
    pub fn new(publishers: Publishers) -> Self {
        Self { publishers, listed: None, apps: BTreeMap::new(), scripts: BTreeMap::new() }
    }

    /// The catalog that was kept.
    pub fn found(&mut self, listed: Listed) {
        self.listed = Some(listed);
    }

    /// Takes a newer catalog of this fleet in place of the former.
    pub fn take(&mut self, listed: Listed, out: &mut Out) {
        if listed.fleet != out.config.fleet.fleet || listed.version <= self.version() {
            return;
        }
        out.keep("catalog", &listed);
        self.apps.retain(|digest, _| listed.releases.contains_key(digest));
        self.scripts.retain(|digest, _| listed.scripts.contains_key(digest));
        self.listed = Some(listed);
    }

    /// Its version; 0 without one.
    pub fn version(&self) -> u64 {
        self.listed.as_ref().map_or(0, |listed| listed.version)
    }

    /// The keys that a document must be signed by.
    pub fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    /// The app release of this digest, verified.
    pub fn release(&mut self, digest: Digest) -> Result<Arc<Release>, CatalogError> {
        let listed = self.listed.as_ref().map(|listed| &listed.releases);
        look_up(&mut self.apps, listed, digest, &self.publishers)
    }

    /// The script release of this digest, verified.
    pub fn script(&mut self, digest: Digest) -> Result<Arc<ScriptRelease>, CatalogError> {
        let listed = self.listed.as_ref().map(|listed| &listed.scripts);
        look_up(&mut self.scripts, listed, digest, &self.publishers)
    }

    /// An app release as its publisher signed it.
    pub fn signed_release(&self, digest: Digest) -> Result<Signed<Release>, CatalogError> {
        listed(self.listed.as_ref().map(|listed| &listed.releases), digest).cloned()
    }

    /// A script release as its publisher signed it.
    pub fn signed_script(&self, digest: Digest) -> Result<Signed<ScriptRelease>, CatalogError> {
        listed(self.listed.as_ref().map(|listed| &listed.scripts), digest).cloned()
    }

    /// The app releases that were looked up so far.
    pub fn known(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.apps.values()
    }
}

fn listed<T: OfMaker>(
    documents: Option<&BTreeMap<Digest, Signed<T>>>,
    digest: Digest,
) -> Result<&Signed<T>, CatalogError> {
    let signed = documents.and_then(|documents| documents.get(&digest));
    signed.ok_or(CatalogError::Unlisted { kind: T::KIND, digest })
}

fn look_up<T: OfMaker>(
    verified: &mut BTreeMap<Digest, Arc<T>>,
    documents: Option<&BTreeMap<Digest, Signed<T>>>,
    digest: Digest,
    publishers: &Publishers,
) -> Result<Arc<T>, CatalogError> {
    if let Some(document) = verified.get(&digest) {
        return Ok(document.clone());
    }
    let (kind, signed) = (T::KIND, listed(documents, digest)?);
    if signed.digest() != digest {
        return Err(CatalogError::Other { kind, digest });
    }
    let opened = publishers.open(signed);
    let document = Arc::new(opened.map_err(|error| CatalogError::Refused { kind, digest, error })?);
    verified.insert(digest, document.clone());
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_document_is_given_under_its_own_digest_and_by_a_publishers_key_alone() {
        let (good, foreign) = (samples::app("meter").signed(), samples::app("other").signed_by("stranger"));
        let mut catalog = samples::catalog(1, [good.clone(), foreign.clone()]);
        let mut listed = catalog.listed.clone().unwrap();
        let absent = Digest::of(b"absent");
        listed.releases.insert(absent, good.clone());
        catalog.found(listed);
        assert_eq!(catalog.release(good.digest()).unwrap().app().as_str(), "meter");
        assert!(matches!(catalog.release(absent), Err(CatalogError::Other { .. })));
        assert!(matches!(catalog.release(foreign.digest()), Err(CatalogError::Refused { .. })));
        let unknown = catalog.release(Digest::of(b"unknown"));
        assert!(matches!(unknown, Err(CatalogError::Unlisted { .. })));
    }

    #[test]
    fn only_a_newer_catalog_of_this_fleet_takes_the_place_of_one() {
        let mut out = samples::out();
        let mut catalog = samples::catalog(2, [samples::app("meter").signed()]);
        for (fleet, version, taken) in [("other", 9, false), ("simulated", 2, false), ("simulated", 3, true)]
        {
            let listed = Listed {
                v: 1,
                fleet: fleet.parse().unwrap(),
                version,
                releases: BTreeMap::new(),
                scripts: BTreeMap::new(),
            };
            catalog.take(listed, &mut out);
            assert_eq!(catalog.version() == version && !out.take_step().persist.is_empty(), taken);
        }
        assert_eq!(catalog.known().count(), 0);
    }
}
