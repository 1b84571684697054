//! The files of a check, each read once, and the proof that is made of them.

use std::path::Path;

use center_agent::prove::range::Offered;
use center_agent::prove::{File, ScriptFiles};
use flotilla_sandbox::FILE_BYTES_MAX;
use flotilla_schemas::app::Manifest;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;
use flotilla_schemas::proof::Proof;
use flotilla_script::limit::{DEFINITION_BYTES_MAX, EVENT_LIST_BYTES_MAX, SCRIPT_BYTES_MAX};
use flotilla_script::{Definition, EventList};
use serde::de::DeserializeOwned;

use super::check::Check;
use super::proving::ProvingError;
use crate::toml_file::{self, TomlError, read_bounded};

/// A file, and what diagnostics call it.
pub struct NamedFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl NamedFile {
    /// The file as it is proved.
    pub fn lent(&self) -> File<'_> {
        File { name: &self.name, bytes: &self.bytes }
    }
}

/// What a check reads.
pub struct Inputs<'c> {
    check: &'c Check,
    pub definition: NamedFile,
    pub script: NamedFile,
    pub events: Option<NamedFile>,
    /// In the order of the command line.
    pub apps: Vec<App>,
    equipment: Option<NamedFile>,
    countermeasures: Countermeasures,
}

/// A component, and the manifest beside it. A check does without one; a proof does not.
pub struct App {
    pub wasm: Vec<u8>,
    pub manifest: Option<Manifest>,
}

impl<'c> Inputs<'c> {
    /// Reads every file that the check names.
    ///
    /// # Errors
    /// Each that could not be read, and why.
    pub fn read(check: &'c Check) -> Result<Self, Vec<String>> {
        let mut reader = Reader::default();
        let countermeasures = match &check.countermeasures {
            Some(path) => reader.toml(path).unwrap_or_default(),
            None => Countermeasures::standard(),
        };
        let inputs = Self {
            check,
            definition: reader.file(&check.definition, DEFINITION_BYTES_MAX),
            script: reader.file(&check.script, SCRIPT_BYTES_MAX),
            events: check.events.as_deref().map(|path| reader.file(path, EVENT_LIST_BYTES_MAX)),
            apps: check.app.iter().map(|app| reader.app(&app.file, check.prove)).collect(),
            equipment: check.equipment.as_deref().map(|path| reader.file(path, FILE_BYTES_MAX)),
            countermeasures,
        };
        if reader.unreadable.is_empty() { Ok(inputs) } else { Err(reader.unreadable) }
    }

    /// Proves everything that the definition lets a script say with this list.
    pub fn prove(self, definition: &Definition, list: &EventList) -> Result<Proof, ProvingError> {
        let files = ScriptFiles {
            definition,
            text: self.script.lent(),
            events: self.events.iter().map(|file| (list.events.clone(), file.lent())).collect(),
            equipment: self.equipment.as_ref().map(NamedFile::lent),
        };
        let offered = |app: App| Some(Offered { manifest: app.manifest?, wasm: app.wasm });
        let apps: Vec<Offered> = self.apps.into_iter().filter_map(offered).collect();
        let stem = self.check.script.file_stem().unwrap_or_default().to_string_lossy();
        self.check.proving.prove(&stem, &files, &apps, &self.countermeasures)
    }
}

/// Reads on past what cannot be read.
#[derive(Default)]
struct Reader {
    unreadable: Vec<String>,
}

impl Reader {
    fn file(&mut self, path: &Path, bytes_max: usize) -> NamedFile {
        let name = path.display().to_string();
        let bytes = read_bounded(path, bytes_max as u64);
        let bytes =
            bytes.map_err(|error| self.unreadable.push(format!("{name}: {error}"))).unwrap_or_default();
        NamedFile { name, bytes }
    }

    fn toml<T: DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        let why = |error| match error {
            TomlError::Read { path, cause } => self.unreadable.push(format!("{}: {cause}", path.display())),
            TomlError::Content { errors, .. } => self.unreadable.extend(errors),
        };
        toml_file::read(path).map_err(why).ok()
    }

    fn app(&mut self, path: &Path, is_proven: bool) -> App {
        let beside = path.with_file_name("app.toml");
        let manifest = if is_proven || beside.exists() { self.toml(&beside) } else { None };
        App { wasm: self.file(path, ARTIFACT_BYTES_MAX as usize).bytes, manifest }
    }
}
