//! What publishers sign: releases of apps and of scripts, and the catalog that lists them.

mod name;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{Interface, Manifest, Version};
use crate::digest::{Artifact, Digest};
use crate::id::{AppId, EventsId, FleetId, MakerId, ScriptId};
use crate::publisher::OfMaker;
use crate::sign::{Document, Signed};

pub use name::ReleaseName;

/// The largest catalog, in bytes of JSON; a center refuses to publish what would make it larger.
pub const CATALOG_BYTES_MAX: usize = 900 * 1024;

/// How far the version of a catalog may jump past the highest that was seen: it is a sum of document numbers.
pub const CATALOG_JUMP_MAX: u64 = 1 << 32;

/// One version of an app, as its publisher signed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Who made it, what it may do, what it needs.
    pub manifest: Manifest,
    /// What it exports to scripts and imports from the edge, as read from the component at publication.
    pub interface: Interface,
    /// The component.
    pub wasm: Artifact,
    /// Machine code made from it, by the runtime it was made for; a runtime's name is the sandbox's.
    pub machine: BTreeMap<String, Artifact>,
}

impl Document for Release {
    const KIND: &'static str = "release";
}

impl OfMaker for Release {
    fn maker(&self) -> Option<&MakerId> {
        Some(&self.manifest.maker)
    }
}

impl Release {
    /// The app.
    pub fn app(&self) -> &AppId {
        &self.manifest.app
    }
}

/// One version of a script with its definition and its event lists, as its publisher signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptRelease {
    /// The script.
    pub script: ScriptId,
    /// Its version; a later one replaces it everywhere.
    pub version: Version,
    /// The definition, a DTD.
    pub definition: Artifact,
    /// The script, XML.
    pub text: Artifact,
    /// The event lists that it may be run with.
    pub events: BTreeMap<EventsId, Artifact>,
    /// The equipment that stood behind the apps when it was proven, `equipment.toml`; none where no app needs any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equipment: Option<Artifact>,
    /// What was proven of it, a [`Proof`](crate::proof::Proof) in JSON. Centers prove it again and compare.
    pub proof: Artifact,
}

impl Document for ScriptRelease {
    const KIND: &'static str = "script";
}

impl OfMaker for ScriptRelease {
    fn maker(&self) -> Option<&MakerId> {
        None
    }
}

/// Everything that may be run, retained on `catalog/targets` and signed by the center that published it; what is in
/// it is signed by publishers. Expiry is for a later, timed catalog: this one is valid until a higher version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Catalog {
    /// Version of this message's form: 1.
    pub v: u32,
    /// The fleet it is for.
    pub fleet: FleetId,
    /// The sum of the numbers of the documents that it is made of: so it grows with each publication, and what two
    /// centers published at once is greater than what either did. An edge never goes back.
    pub version: u64,
    /// Releases by the digest of their document; for each app the newest, and what is still desired.
    pub releases: BTreeMap<Digest, Signed<Release>>,
    /// Script releases by the digest of their document.
    pub scripts: BTreeMap<Digest, Signed<ScriptRelease>>,
}
