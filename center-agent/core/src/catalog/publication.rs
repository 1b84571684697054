//! Whether a release is published: judged against what is there and who uses it.
//!
//! A release is refused if no publisher of its maker signed it, if its app was another maker's before, if it is older
//! than the newest, if it is another one of the same version, if a service would lose its event list, or if the catalog would grow too large. The very same release
//! may be published again and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::app::Version;
use flotilla_schemas::publisher::Publishers;
use flotilla_schemas::release::{CATALOG_BYTES_MAX, Release, ScriptRelease};
use flotilla_schemas::sign::{Document as Signable, SignError};
use flotilla_schemas::{AppId, Digest, EdgeId, EventsId, FleetId, MakerId, ScriptId, ServiceId, Signed};

use super::Listing;
use crate::document::{AppDocument, Body, Documents, ScriptDocument, Work};

/// Why a release was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Not signed by a publisher of the fleet whose key is good for its maker.
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
    /// An app stays its maker's.
    #[error(
        "publish {app}: it is made by {maker}, and no release makes it another maker's; give yours another name"
    )]
    OtherMaker {
        /// The app.
        app: AppId,
        /// Whose it is.
        maker: MakerId,
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
    publishers: &Publishers,
    signed: Signed<Release>,
) -> Result<Publication, PublishError> {
    let release = publishers.open(&signed)?;
    let (app, version) = (release.app().clone(), release.manifest.version);
    let errors: Vec<String> = release.manifest.check().iter().map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(PublishError::Rules { name: app.to_string(), errors });
    }
    let before = documents.app(&app).map(|(_, held)| &held.release);
    let maker = before.and_then(|held| held.read().ok()).map(|held| held.manifest.maker);
    if let Some(maker) = maker.filter(|maker| *maker != release.manifest.maker) {
        return Err(PublishError::OtherMaker { app, maker });
    }
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
    publishers: &Publishers,
    signed: Signed<ScriptRelease>,
    apps: BTreeMap<EventsId, BTreeSet<AppId>>,
) -> Result<Publication, PublishError> {
    let release = publishers.open(&signed)?;
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
) -> impl Iterator<Item = (&'a ServiceId, &'a EdgeId, &'a EventsId)> {
    let runs = Work::Script(script.clone());
    documents.services().flat_map(move |service| {
        let runs = runs.clone();
        let entries = documents.entries(service).filter(move |(_, on)| on.work == runs);
        entries.filter_map(move |(edge, on)| Some((service, edge, on.run.as_ref()?.events.as_ref()?)))
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
        Body::Service(_) | Body::Countermeasures(_) | Body::Edge(_) => return Ok(()),
    };
    if bytes > CATALOG_BYTES_MAX { Err(PublishError::Full { name, bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{app, app_of, bounded, fleet, publisher, script};

    fn documents() -> Documents {
        Documents::new("c1".parse().unwrap(), 1)
    }

    fn publish(documents: &mut Documents, signed: Signed<Release>) -> Result<bool, PublishError> {
        match judge_app(documents, &fleet().publishers(), signed)? {
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
    fn a_release_is_taken_only_with_a_key_of_its_maker_and_an_app_stays_its_makers() {
        let mut documents = documents();
        let bounded = bounded();
        let others = publish(&mut documents, app_of("south", &bounded, "a", "1.0.0", &[])).unwrap_err();
        let said = "publish the release: it is signed by north, whose key is good for north, not for south";
        assert_eq!(others.to_string(), said);
        assert_eq!(publish(&mut documents, app_of("south", &publisher(), "a", "1.0.0", &[])), Ok(true));
        let taken = publish(&mut documents, app_of("north", &bounded, "a", "1.1.0", &[])).unwrap_err();
        assert!(taken.to_string().starts_with("publish a: it is made by south"), "{taken}");
        assert_eq!(publish(&mut documents, app_of("north", &bounded, "b", "1.0.0", &[])), Ok(true));
    }

    #[test]
    fn a_script_is_of_no_one_maker_and_needs_a_key_that_is_good_for_all() {
        let (signed, apps) = script("s", "1.0.0", &[("large", &["a"])]);
        let signed = Signed::new(&signed.read().unwrap(), &bounded()).unwrap();
        let refused = judge_script(&documents(), &fleet().publishers(), signed, apps).unwrap_err();
        assert!(refused.to_string().ends_with("good for north, not for all makers"), "{refused}");
    }

    #[test]
    fn a_catalog_that_would_be_too_large_is_refused_by_name() {
        let mut release = app("a", "1.0.0", &[]).read().unwrap();
        release.wasm.chunks = vec![Digest::of(b""); CATALOG_BYTES_MAX / 64];
        let signed = Signed::new(&release, &publisher()).unwrap();
        let Publication::New(_, body) = judge_app(&documents(), &fleet().publishers(), signed).unwrap()
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
        let refused = judge_script(&documents(), &fleet().publishers(), signed, apps);
        assert!(matches!(refused, Err(PublishError::Rules { .. })));
    }
}
