//! What may be run: the newest release of each app and script, and the one before it, which an edge may still hold.
//!
//! The catalog follows from the documents alone, so every center makes the same one; its version is the sum of
//! their numbers, so that what two centers published at once is greater than what either did. Chunks that are not of the catalog are not served.

pub mod publication;

use std::collections::BTreeMap;

use flotilla_schemas::app::Version;
use flotilla_schemas::release::{Catalog, Release, ReleaseName, ScriptRelease};
use flotilla_schemas::{AppId, Artifact, Digest, FleetId, ScriptId};

use crate::document::{AppDocument, Body, Documents, ScriptDocument, Ver};

/// A release in the catalog, read once.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<R> {
    /// The version of the document that brought it.
    pub ver: Ver,
    /// The digest of its text.
    pub digest: Digest,
    /// What it says.
    pub release: R,
}

/// A part of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The artifact that it is part of.
    pub artifact: Digest,
    /// Where in it, in chunks from 0.
    pub index: usize,
}

/// The catalog, ready to be asked.
#[derive(Debug, Clone)]
pub struct Listing {
    message: Catalog,
    apps: BTreeMap<AppId, Listed<Release>>,
    scripts: BTreeMap<ScriptId, Listed<ScriptRelease>>,
    chunks: BTreeMap<Digest, (Digest, usize)>,
}

impl Listing {
    /// Makes the catalog from the documents. A document whose release cannot be read is left out.
    pub fn of(fleet: &FleetId, documents: &Documents) -> Self {
        let (releases, scripts) = (BTreeMap::new(), BTreeMap::new());
        let message = Catalog { v: 1, fleet: fleet.clone(), version: 0, releases, scripts };
        let (apps, scripts, chunks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut listing = Self { message, apps, scripts, chunks };
        for (_, document) in documents.all() {
            match &document.body {
                Body::App(app) => listing.add_app(&document.ver, app),
                Body::Script(script) => listing.add_script(&document.ver, script),
                Body::Service(_) | Body::Countermeasures(_) | Body::Edge(_) => {}
            }
        }
        listing
    }

    fn add_app(&mut self, ver: &Ver, document: &AppDocument) {
        self.message.version = self.message.version.saturating_add(ver.n);
        for signed in [Some(&document.release), document.before.as_ref()].into_iter().flatten() {
            let Ok(release) = signed.read() else { continue };
            let digest = signed.digest();
            let artifacts = std::iter::once(&release.wasm).chain(release.machine.values());
            artifacts.for_each(|artifact| self.add_chunks(artifact));
            self.message.releases.insert(digest, signed.clone());
            // The newest comes first, and the first stays.
            let listed = Listed { ver: ver.clone(), digest, release };
            self.apps.entry(document.app.clone()).or_insert(listed);
        }
    }

    fn add_script(&mut self, ver: &Ver, document: &ScriptDocument) {
        self.message.version = self.message.version.saturating_add(ver.n);
        for signed in [Some(&document.release), document.before.as_ref()].into_iter().flatten() {
            let Ok(release) = signed.read() else { continue };
            let digest = signed.digest();
            let artifacts = [&release.definition, &release.text].into_iter().chain(release.events.values());
            artifacts.for_each(|artifact| self.add_chunks(artifact));
            self.message.scripts.insert(digest, signed.clone());
            let listed = Listed { ver: ver.clone(), digest, release };
            self.scripts.entry(document.script.clone()).or_insert(listed);
        }
    }

    fn add_chunks(&mut self, artifact: &Artifact) {
        for (index, chunk) in artifact.chunks.iter().enumerate() {
            self.chunks.insert(*chunk, (artifact.digest, index));
        }
    }

    /// The message for edges.
    pub fn message(&self) -> &Catalog {
        &self.message
    }

    /// The newest release of an app.
    pub fn app(&self, app: &AppId) -> Option<&Listed<Release>> {
        self.apps.get(app)
    }

    /// The newest version of an app or a script, and its size in bytes; none of what is not listed.
    pub fn newest(&self, name: &ReleaseName) -> Option<(Version, u64)> {
        match name {
            ReleaseName::App(app) => {
                let release = &self.app(app)?.release;
                Some((release.manifest.version, release.wasm.size))
            }
            ReleaseName::Script(script) => {
                let release = &self.script(script)?.release;
                let files = [&release.definition, &release.text].into_iter().chain(release.events.values());
                Some((release.version, files.map(|file| file.size).sum()))
            }
            ReleaseName::Environment(_) | ReleaseName::Agent(_) => None,
        }
    }

    /// The newest release of each app, by name.
    pub fn apps(&self) -> impl Iterator<Item = (&AppId, &Listed<Release>)> {
        self.apps.iter()
    }

    /// The newest release of a script.
    pub fn script(&self, script: &ScriptId) -> Option<&Listed<ScriptRelease>> {
        self.scripts.get(script)
    }

    /// The newest release of each script, by name.
    pub fn scripts(&self) -> impl Iterator<Item = (&ScriptId, &Listed<ScriptRelease>)> {
        self.scripts.iter()
    }

    /// Where a chunk is found, if it is of the catalog.
    pub fn chunk(&self, digest: &Digest) -> Option<Chunk> {
        let (artifact, index) = *self.chunks.get(digest)?;
        Some(Chunk { digest: *digest, artifact, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{World, app};

    #[test]
    fn the_catalog_has_the_newest_and_the_one_before_it() {
        let mut world = World::default();
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            world.publish(app("a", version, &[]));
        }
        let listing = world.present().catalog;
        assert_eq!((listing.message().version, listing.message().releases.len()), (3, 2));
        let newest = listing.app(&"a".parse().unwrap()).unwrap();
        assert_eq!(newest.release.manifest.version.to_string(), "1.2.0");
        let chunk = newest.release.wasm.chunks[0];
        assert_eq!(listing.chunk(&chunk).unwrap().artifact, newest.release.wasm.digest);
        assert_eq!(listing.chunk(&Digest::of(b"other")), None);
    }
}
