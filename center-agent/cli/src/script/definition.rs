//! Reading a definition that is kept in several files.
//!
//! A published definition is one file. People keep large ones in several, so these are read from the definition's
//! own folder, and from folders that the operator names; nothing else is opened, and nothing is fetched.

use std::io;
use std::path::{Component, Path, PathBuf};

use flotilla_script::limit::DEFINITION_BYTES_MAX;
use flotilla_script::{Definition, Diagnostics};

use crate::toml_file::read_bounded;

/// Why there is no definition.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It is not right.
    #[error("use the definition:\n{0}")]
    Wrong(Diagnostics),
}

/// Reads a definition and the files that it consists of.
pub fn read(path: &Path, include: &[PathBuf]) -> Result<Definition, DefinitionError> {
    let text = read_bounded(path, DEFINITION_BYTES_MAX as u64)
        .map_err(|cause| DefinitionError::Read { path: path.to_owned(), cause })?;
    parse(path, &text, include).map_err(DefinitionError::Wrong)
}

/// Reads the files that a definition consists of, whose own text is given.
pub fn parse(path: &Path, text: &[u8], include: &[PathBuf]) -> Result<Definition, Diagnostics> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let load = |id: &str| {
        let file = locate(Path::new(id), folder, include)?;
        read_bounded(&file, DEFINITION_BYTES_MAX as u64).map_err(|error| error.to_string())
    };
    Definition::parse_with(&path.display().to_string(), text, load)
}

/// The file that a system identifier names, if it lies where files may be read from.
fn locate(id: &Path, folder: &Path, include: &[PathBuf]) -> Result<PathBuf, String> {
    if id.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(folder.join(id));
    }
    let is_in = |include: &&PathBuf| match (include.canonicalize(), id.parent().map(Path::canonicalize)) {
        (Ok(include), Some(Ok(parent))) => include == parent,
        _ => false,
    };
    match include.iter().find(is_in) {
        Some(_) => Ok(id.to_owned()),
        None => Err("it is not in the definition's folder; allow its own with --include DIR".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A definition that consists of what this identifier names.
    fn elements(id: &str, include: &[&str]) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| dir.path().join(name);
        for name in ["own/more", "other"] {
            fs::create_dir_all(folder(name)).unwrap();
            fs::write(folder(name).join("part.mod"), "<!ELEMENT part EMPTY>").unwrap();
        }
        let id = id.replace("DIR", dir.path().to_str().unwrap());
        let path = folder("own").join("d.dtd");
        fs::write(&path, format!("<!ENTITY % part SYSTEM '{id}'> %part;")).unwrap();
        let include: Vec<PathBuf> = include.iter().map(|name| folder(name)).collect();
        let read = read(&path, &include).map_err(|error| error.to_string())?;
        Ok(read.elements().map(str::to_owned).collect())
    }

    #[test]
    fn a_definition_is_read_with_the_files_of_its_folder_and_of_those_that_are_named() {
        assert_eq!(elements("more/part.mod", &[]).unwrap(), ["part"]);
        assert_eq!(elements("DIR/other/part.mod", &["more", "other"]).unwrap(), ["part"]);
    }

    #[test]
    fn no_other_file_is_opened() {
        let refusal = "it is not in the definition's folder; allow its own with --include DIR";
        for id in ["../other/part.mod", "DIR/other/part.mod", "/etc/passwd", "more/../../other/part.mod"] {
            let error = elements(id, &["own"]).unwrap_err();
            assert!(error.contains(refusal), "{id}: {error}");
        }
        for id in ["http://localhost/part.mod", "file:///etc/passwd", "missing.mod"] {
            let error = elements(id, &["other"]).unwrap_err();
            assert!(error.contains("No such file"), "{id}: {error}");
        }
    }
}
