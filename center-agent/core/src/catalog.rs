//! What may be run: the newest release of each app and script, and the one before it, which an edge may still hold.
//!
//! A release is refused if no publisher signed it, if it is older than the newest, or if it is another one of the
//! same version. The catalog follows from the documents alone, so every center makes the same one; its version is
//! the highest number among them. Chunks that are not of the catalog are not served.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::app::Version;
use flotilla_schemas::release::{CATALOG_BYTES_MAX, Catalog, Release, ScriptRelease};
use flotilla_schemas::sign::{Document as Signable, Keys, SignError};
use flotilla_schemas::{AppId, Artifact, Digest, EventsId, FleetId, ScriptId, ServiceId, Signed};
use serde::{Deserialize, Serialize};

use crate::document::{Body, Documents, Ver};
use crate::step::Chunk;

/// The document of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppDocument {
    /// The app.
    pub app: AppId,
    /// Its newest release.
    pub release: Signed<Release>,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Signed<Release>>,
}

/// The document of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptDocument {
    /// The script.
    pub script: ScriptId,
    /// Its newest release.
    pub release: Signed<ScriptRelease>,
    /// The apps that each of its event lists names.
    pub apps: BTreeMap<EventsId, BTreeSet<AppId>>,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Signed<ScriptRelease>>,
}

/// Why a release was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Not signed by a publisher of the fleet.
    #[error("publish the release: {0}")]
    Sign(#[from] SignError),
    /// A manifest that breaks its bounds, or lists that do not fit the release.
    #[error("publish {name}: {} errors", errors.len())]
    Rules {
        /// The app or script.
        name: String,
        /// Each of them.
        errors: Vec<String>,
    },
    /// A newer one is there.
    #[error("publish {name} {version}: {newest} is newer, and a release never goes back")]
    Downgrade {
        /// The app or script.
        name: String,
        /// The version offered.
        version: Version,
        /// The version that is there.
        newest: Version,
    },
    /// Another one of the same version is there.
    #[error("publish {name} {version}: another release of this version is there; give it a new version")]
    OtherContent {
        /// The app or script.
        name: String,
        /// The version.
        version: Version,
    },
    /// Services run with event lists that the release has no more.
    #[error("publish {name} {version}: services run with event lists that it lacks")]
    EventsInUse {
        /// The script.
        name: String,
        /// The version.
        version: Version,
        /// Service, edge and list of each.
        uses: Vec<String>,
    },
    /// No room.
    #[error("publish {name}: the catalog would be {bytes} bytes, more than {CATALOG_BYTES_MAX}")]
    Full {
        /// The app or script.
        name: String,
        /// The size that it would have.
        bytes: usize,
    },
}

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
                Body::Service(_) | Body::Countermeasures(_) => {}
            }
        }
        listing
    }

    fn add_app(&mut self, ver: &Ver, document: &AppDocument) {
        self.message.version = self.message.version.max(ver.n);
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
        self.message.version = self.message.version.max(ver.n);
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

/// What publishing a release comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Publication {
    /// It is there already.
    Known(Digest),
    /// The new document.
    New(Digest, Box<Body>),
}

/// Judges the release of an app against what is there.
pub fn judge_app(
    documents: &Documents,
    publishers: &Keys,
    signed: Signed<Release>,
) -> Result<Publication, PublishError> {
    let release = signed.open(publishers)?;
    let (app, version) = (release.app().clone(), release.manifest.version);
    let errors: Vec<String> = release.manifest.check().iter().map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(PublishError::Rules { name: app.to_string(), errors });
    }
    let before = documents.app(&app).map(|(_, held)| &held.release);
    if let Some(digest) = known(app.as_str(), version, &signed, before, |r: &Release| r.manifest.version)? {
        return Ok(Publication::Known(digest));
    }
    let before = before.cloned();
    let digest = signed.digest();
    Ok(Publication::New(digest, Box::new(Body::App(AppDocument { app, release: signed, before }))))
}

/// Judges the release of a script against what is there and who uses it.
pub fn judge_script(
    documents: &Documents,
    publishers: &Keys,
    signed: Signed<ScriptRelease>,
    apps: BTreeMap<EventsId, BTreeSet<AppId>>,
) -> Result<Publication, PublishError> {
    let release = signed.open(publishers)?;
    let (script, version) = (release.script.clone(), release.version);
    let name = script.to_string();
    if release.events.is_empty() || !release.events.keys().eq(apps.keys()) {
        let errors = vec!["its event lists are not the ones that were examined, or it has none".to_owned()];
        return Err(PublishError::Rules { name, errors });
    }
    let before = documents.script(&script).map(|(_, held)| &held.release);
    if let Some(digest) = known(&name, version, &signed, before, |r: &ScriptRelease| r.version)? {
        return Ok(Publication::Known(digest));
    }
    let uses: Vec<String> = uses(documents, &script)
        .filter(|(_, _, events)| !release.events.contains_key(events))
        .map(|(service, edge, events)| format!("{service} on {edge} runs with {events}"))
        .collect();
    if !uses.is_empty() {
        return Err(PublishError::EventsInUse { name, version, uses });
    }
    let before = before.cloned();
    let digest = signed.digest();
    let document = ScriptDocument { script, release: signed, apps, before };
    Ok(Publication::New(digest, Box::new(Body::Script(document))))
}

/// Each service, edge and event list that a script runs with.
fn uses<'a>(
    documents: &'a Documents,
    script: &'a ScriptId,
) -> impl Iterator<Item = (&'a ServiceId, &'a flotilla_schemas::EdgeId, &'a EventsId)> {
    documents.services().filter(move |service| service.script == *script).flat_map(|service| {
        let running = |(edge, on): (&'a _, &'a crate::service::On)| {
            on.run.as_ref().map(|run| (&service.service, edge, &run.events))
        };
        service.on.iter().filter_map(running)
    })
}

/// The digest if the very same release is there; an error if it may not follow the one that is.
fn known<R: Signable>(
    name: &str,
    version: Version,
    offered: &Signed<R>,
    held: Option<&Signed<R>>,
    version_of: impl Fn(&R) -> Version,
) -> Result<Option<Digest>, PublishError> {
    let Some(held) = held else { return Ok(None) };
    let newest = held.read().map(|release| version_of(&release)).unwrap_or(version);
    let name = name.to_owned();
    match version.cmp(&newest) {
        _ if held.text == offered.text => Ok(Some(held.digest())),
        std::cmp::Ordering::Less => Err(PublishError::Downgrade { name, version, newest }),
        std::cmp::Ordering::Equal => Err(PublishError::OtherContent { name, version }),
        std::cmp::Ordering::Greater => Ok(None),
    }
}

/// Whether the catalog with this document in it still fits.
pub fn judge_size(fleet: &FleetId, documents: &Documents, body: &Body) -> Result<(), PublishError> {
    let mut with = documents.clone();
    with.decide(body.clone(), 0);
    let bytes = serde_json::to_vec(Listing::of(fleet, &with).message()).map_or(usize::MAX, |text| text.len());
    let name = match body {
        Body::App(app) => app.app.to_string(),
        Body::Script(script) => script.script.to_string(),
        Body::Service(_) | Body::Countermeasures(_) => return Ok(()),
    };
    if bytes > CATALOG_BYTES_MAX { Err(PublishError::Full { name, bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{app, fleet, publisher, script};

    fn documents() -> Documents {
        Documents::new("c1".parse().unwrap(), 1)
    }

    fn publish(documents: &mut Documents, signed: Signed<Release>) -> Result<bool, PublishError> {
        match judge_app(documents, &fleet().publisher_keys(), signed)? {
            Publication::Known(_) => Ok(false),
            Publication::New(_, body) => {
                documents.decide(*body, 0);
                Ok(true)
            }
        }
    }

    #[test]
    fn a_release_goes_forward_only_and_publishing_it_twice_is_publishing_it_once() {
        let mut documents = documents();
        assert_eq!(publish(&mut documents, app("a", "1.1.0", &[])), Ok(true));
        assert_eq!(publish(&mut documents, app("a", "1.1.0", &[])), Ok(false));
        let older = publish(&mut documents, app("a", "1.0.9", &[]));
        assert!(matches!(older, Err(PublishError::Downgrade { .. })), "{older:?}");
        let other = publish(&mut documents, app("a", "1.1.0", &["b"]));
        assert!(matches!(other, Err(PublishError::OtherContent { .. })), "{other:?}");
        assert_eq!(publish(&mut documents, app("a", "1.2.0", &[])), Ok(true));
    }

    #[test]
    fn a_release_is_taken_only_as_a_publisher_signed_it() {
        let mut stranger = app("a", "1.0.0", &[]);
        stranger.text = stranger.text.replace("1.0.0", "1.0.1");
        assert!(matches!(publish(&mut documents(), stranger), Err(PublishError::Sign(_))));
    }

    #[test]
    fn the_catalog_has_the_newest_and_the_one_before_it() {
        let mut documents = documents();
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            publish(&mut documents, app("a", version, &[])).unwrap();
        }
        let listing = Listing::of(&fleet().fleet, &documents);
        assert_eq!((listing.message().version, listing.message().releases.len()), (3, 2));
        let newest = listing.app(&"a".parse().unwrap()).unwrap();
        assert_eq!(newest.release.manifest.version.to_string(), "1.2.0");
        let chunk = newest.release.wasm.chunks[0];
        assert_eq!(listing.chunk(&chunk).unwrap().artifact, newest.release.wasm.digest);
        assert_eq!(listing.chunk(&Digest::of(b"other")), None);
    }

    #[test]
    fn a_catalog_that_would_be_too_large_is_refused_by_name() {
        let mut release = app("a", "1.0.0", &[]).read().unwrap();
        release.wasm.chunks = vec![Digest::of(b""); CATALOG_BYTES_MAX / 64];
        let signed = Signed::new(&release, &publisher()).unwrap();
        let Publication::New(_, body) = judge_app(&documents(), &fleet().publisher_keys(), signed).unwrap()
        else {
            panic!("known");
        };
        let error = judge_size(&fleet().fleet, &documents(), &body).unwrap_err();
        assert!(matches!(&error, PublishError::Full { name, .. } if name == "a"), "{error}");
    }

    #[test]
    fn a_script_release_must_have_the_lists_that_were_examined() {
        let (signed, mut apps) = script("s", "1.0.0", &[("small", &["a"])]);
        apps.insert("large".parse().unwrap(), BTreeSet::new());
        let refused = judge_script(&documents(), &fleet().publisher_keys(), signed, apps);
        assert!(matches!(refused, Err(PublishError::Rules { .. })));
    }
}
