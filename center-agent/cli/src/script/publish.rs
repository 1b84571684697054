//! `flotilla script publish`: a script with its definition and event lists, proved against the published apps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use center_agent::api::types::{AppDetail, AppSummary};
use center_agent::prove::range::Offered;
use center_agent::prove::{self, ScriptFiles};
use clap::Args;
use flotilla_sandbox::FILE_BYTES_MAX;
use flotilla_schemas::app::Version;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::Proof;
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::{AppId, Artifact, EventsId, ScriptId, Signed};
use flotilla_script::limit::{DEFINITION_BYTES_MAX, EVENT_LIST_BYTES_MAX, SCRIPT_BYTES_MAX};
use flotilla_script::{Definition, Diagnostics, EventList};
use serde::Deserialize;

use super::inputs::NamedFile;
use super::proving::{self, Proving};
use crate::client::{Api, Client, ClientError};
use crate::publish::{self, PublishError, progress};
use crate::toml_file;

/// A script to publish.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  flotilla script publish ./air-conditioner --key fleet/publisher.key\n\n\
    The folder holds script.toml (script = \"NAME\", version = \"1.0.0\"), script.xml, definition.dtd, one or \
    more events*.json, and equipment.toml: the devices that it is proven on.")]
pub struct Publish {
    /// The folder
    pub dir: PathBuf,
    /// The publisher's key, which the fleet file names
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    #[command(flatten)]
    pub proving: Proving,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: Api,
}

/// The content of `script.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    script: ScriptId,
    version: Version,
}

/// What a release is made of.
struct Parts {
    header: Header,
    definition: NamedFile,
    text: NamedFile,
    events: BTreeMap<EventsId, NamedFile>,
    equipment: Option<NamedFile>,
    /// The apps that the event lists name.
    named: BTreeSet<AppId>,
}

/// Publishes.
pub fn run(publish: &Publish) -> Result<(), PublishError> {
    let key = publish::read_key(&publish.key)?;
    let client = publish.api.client()?;
    let parts = Parts::read(&publish.dir)?;
    let definition = Definition::parse(&parts.definition.name, &parts.definition.bytes)
        .map_err(|Diagnostics(found)| PublishError::unfit(&publish.dir, &found))?;
    let files = parts.files(&definition);
    let apps = published_apps(&client, &parts.named)?;
    let lists = prove::script(&files, &apps).map_err(|errors| PublishError::unfit(&publish.dir, &errors))?;
    progress("checked", format!("by its definition and {} event lists", lists.len()));
    let proof = parts.prove(&files, &client, &publish.proving, &apps)?;
    progress("proved", proving::summary(&proof));
    let proof = serde_json::to_vec(&proof)?;
    let release = parts.release(&proof);
    let signed = Signed::new(&release, &key)?;
    progress("signed", format!("with the key {}", key.id()));
    let files =
        [&parts.definition, &parts.text].into_iter().chain(parts.events.values()).chain(&parts.equipment);
    let files = files.map(|file| file.bytes.as_slice()).chain([proof.as_slice()]);
    publish::upload(&client, &files.collect::<Vec<_>>())?;
    let what = format!("{} {}", release.script, release.version);
    let published = client.publish("scripts", &signed)?;
    Ok(publish::published(&what, &published, publish.json)?)
}

impl Parts {
    fn read(dir: &Path) -> Result<Self, PublishError> {
        let header = toml_file::read(&dir.join("script.toml"))?;
        let file = |path: PathBuf, bytes_max: usize| -> Result<NamedFile, PublishError> {
            let bytes = publish::read(&path, bytes_max as u64)?;
            Ok(NamedFile { name: path.display().to_string(), bytes })
        };
        let mut parts = Self {
            header,
            definition: file(dir.join("definition.dtd"), DEFINITION_BYTES_MAX)?,
            text: file(dir.join("script.xml"), SCRIPT_BYTES_MAX)?,
            events: BTreeMap::new(),
            equipment: None,
            named: BTreeSet::new(),
        };
        let equipment = dir.join("equipment.toml");
        if equipment.exists() {
            parts.equipment = Some(file(equipment, FILE_BYTES_MAX)?);
        }
        let mut errors = Vec::new();
        for path in event_lists(dir)? {
            let file = file(path, EVENT_LIST_BYTES_MAX)?;
            match EventList::parse(&file.name, &file.bytes) {
                Ok(list) => errors.extend(parts.add(list, file)),
                Err(Diagnostics(found)) => errors.extend(found.iter().map(ToString::to_string)),
            }
        }
        if parts.events.is_empty() && errors.is_empty() {
            errors.push("there is no event list in it: events.json, or several named events*.json".into());
        }
        if errors.is_empty() { Ok(parts) } else { Err(PublishError::unfit(dir, &errors)) }
    }

    /// Adds an event list, unless there is one of its name already.
    fn add(&mut self, list: EventList, file: NamedFile) -> Option<String> {
        if let Some(other) = self.events.get(&list.events) {
            return Some(format!("{}: it has the same name as {}: {}", file.name, other.name, list.events));
        }
        self.named.extend(list.apps());
        self.events.insert(list.events, file);
        None
    }

    fn files<'a>(&'a self, definition: &'a Definition) -> ScriptFiles<'a> {
        ScriptFiles {
            definition,
            text: self.text.lent(),
            events: self.events.iter().map(|(id, list)| (id.clone(), list.lent())).collect(),
            equipment: self.equipment.as_ref().map(NamedFile::lent),
        }
    }

    /// Proves it with the published apps, and with what the center does about faults.
    fn prove(
        &self,
        files: &ScriptFiles<'_>,
        client: &Client,
        proving: &Proving,
        published: &BTreeMap<AppId, Release>,
    ) -> Result<Proof, PublishError> {
        let offered = |release: &Release| -> Result<Offered, ClientError> {
            Ok(Offered { manifest: release.manifest.clone(), wasm: client.blob(&release.wasm)? })
        };
        let apps = prove::taking_part(self.named.iter(), published);
        let apps = apps.into_values().map(offered).collect::<Result<Vec<_>, _>>()?;
        let countermeasures: Countermeasures = client.get("countermeasures")?;
        Ok(proving.prove(self.header.script.as_str(), files, &apps, &countermeasures)?)
    }

    fn release(&self, proof: &[u8]) -> ScriptRelease {
        ScriptRelease {
            script: self.header.script.clone(),
            version: self.header.version,
            definition: Artifact::of(&self.definition.bytes),
            text: Artifact::of(&self.text.bytes),
            events: self.events.iter().map(|(id, list)| (id.clone(), Artifact::of(&list.bytes))).collect(),
            equipment: self.equipment.as_ref().map(|file| Artifact::of(&file.bytes)),
            proof: Artifact::of(proof),
        }
    }
}

/// The folder's event lists, in the order of their names.
fn event_lists(dir: &Path) -> Result<Vec<PathBuf>, PublishError> {
    let failed = |cause| PublishError::Read { path: dir.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("events") && name.ends_with(".json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The newest releases of these apps and of those that may stand in for them, as far as they are published.
fn published_apps(client: &Client, named: &BTreeSet<AppId>) -> Result<BTreeMap<AppId, Release>, ClientError> {
    let published: Vec<AppSummary> = client.get("apps")?;
    let alternates = published.iter().filter(|app| named.contains(&app.app)).flat_map(|app| &app.alternates);
    let wanted: BTreeSet<&AppId> = named.iter().chain(alternates).collect();
    let wanted = published.iter().map(|app| &app.app).filter(|app| wanted.contains(app));
    wanted
        .map(|app| {
            let detail: AppDetail = client.get(&format!("apps/{app}"))?;
            Ok((app.clone(), detail.document))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/scripts")
    }

    #[test]
    fn the_samples_are_read_whole() {
        let parts = Parts::read(&samples().join("air-conditioner")).unwrap();
        let lists: Vec<&str> = parts.events.keys().map(EventsId::as_str).collect();
        assert_eq!(lists, ["aircon-large", "aircon-small"]);
        assert_eq!(
            parts.named.iter().map(AppId::as_str).collect::<Vec<_>>(),
            ["aircon-north", "aircon-south"]
        );
        assert_eq!(Parts::read(&samples().join("meter")).unwrap().header.script.as_str(), "meter");
    }

    fn copy_of_meter() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(samples().join("meter")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        dir
    }

    #[test]
    fn two_lists_of_one_name_are_refused() {
        let dir = copy_of_meter();
        std::fs::copy(dir.path().join("events.json"), dir.path().join("events-2.json")).unwrap();
        let error = Parts::read(dir.path()).err().unwrap().to_string();
        assert!(
            error.contains("events.json: it has the same name as") && error.contains("events-2.json"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_a_list_is_refused() {
        let dir = copy_of_meter();
        std::fs::remove_file(dir.path().join("events.json")).unwrap();
        let error = Parts::read(dir.path()).err().unwrap().to_string();
        assert!(error.contains("there is no event list in it"), "{error}");
    }
}
