//! Reading a TOML file so that every bad key is named at once, each with its line.
//!
//! A deserializer stops at its first error. So what it complains about is cut out of the text and the rest is read
//! again, until nothing more can be learnt that way. Lines are cut, never moved, so the numbers stay right.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The largest TOML file that is read, in bytes.
pub const TOML_BYTES_MAX: u64 = 1024 * 1024;

/// The most errors that are gathered from one file.
pub const TOML_ERRORS_MAX: usize = 32;

/// Why a TOML file was not read.
#[derive(Debug, thiserror::Error)]
pub enum TomlError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It is not what was expected.
    #[error("use {path}:\n  {}", .errors.join("\n  "))]
    Content {
        /// The file.
        path: PathBuf,
        /// All that is wrong, as `FILE:LINE: what`.
        errors: Vec<String>,
    },
}

/// Reads a file of at most `bytes_max` bytes; a larger one is an error, not memory.
pub fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if size > bytes_max {
        return Err(io::Error::other(format!("it has {size} bytes, more than {bytes_max}")));
    }
    fs::read(path)
}

/// Reads a TOML file; all that is wrong with it at once.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, TomlError> {
    let failed = |cause| TomlError::Read { path: path.to_owned(), cause };
    let bytes = read_bounded(path, TOML_BYTES_MAX).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| failed(io::Error::other(error.utf8_error())))?;
    parse(&text).map_err(|errors| {
        let named = |(line, message)| match line {
            Some(line) => format!("{}:{line}: {message}", path.display()),
            None => format!("{}: {message}", path.display()),
        };
        TomlError::Content { path: path.to_owned(), errors: errors.into_iter().map(named).collect() }
    })
}

/// What is wrong, with its line (from 1) if it has one.
type Fault = (Option<usize>, String);

/// Reads the text; all that is wrong with it, in the order of its lines.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Fault>> {
    let mut rest = text.to_owned();
    let mut faults: Vec<Fault> = Vec::new();
    loop {
        match toml::from_str(&rest) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => break,
            // What is missing may have been cut out a moment ago: then it was named already.
            Err(error) if is_missing(&error) && !faults.is_empty() => break,
            Err(error) => {
                let start = error.span().filter(|_| !is_missing(&error)).map(|span| span.start);
                let line =
                    start.and_then(|start| rest.get(..start)).map(|before| before.matches('\n').count());
                faults.push((line.map(|line| line + 1), error.message().to_owned()));
                match line.and_then(|line| without(&rest, line)) {
                    Some(shorter) if faults.len() < TOML_ERRORS_MAX => rest = shorter,
                    _ => break,
                }
            }
        }
    }
    faults.sort_by_key(|(line, _)| *line);
    Err(faults)
}

fn is_missing(error: &toml::de::Error) -> bool {
    error.message().starts_with("missing field")
}

/// The text with this line (from 0) emptied; with the heading of a table, all that belongs to it.
fn without(text: &str, line: usize) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let is_heading = |line: &&str| line.trim_start().starts_with('[');
    let cut = lines.get(line..)?;
    let count = match cut.first() {
        Some(first) if is_heading(first) => {
            cut.iter().skip(1).position(is_heading).map_or(cut.len(), |at| at + 1)
        }
        Some(first) if !first.is_empty() => 1,
        _ => return None,
    };
    lines.get_mut(line..line + count)?.fill("");
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::app::Manifest;

    const GOOD: &str = "app = 'a'\nmaker = 'm'\nversion = '1.0.0'\nresidence = 'resident'\n";

    fn errors(text: &str) -> Vec<Fault> {
        parse::<Manifest>(text).unwrap_err()
    }

    #[test]
    fn every_bad_key_is_named_with_its_line() {
        let text = "app = 'A'\nmakers = 'm'\nmaker = 'm'\nversion = '1'\n[grant]\nkv = true\n[limits]\ndeadline = 1\n";
        let lines: Vec<_> = errors(text).into_iter().map(|(line, _)| line.unwrap()).collect();
        assert_eq!(lines, [1, 2, 4, 5, 8], "{:?}", errors(text));
    }

    #[test]
    fn a_missing_key_is_named_when_nothing_else_is_wrong() {
        assert!(parse::<Manifest>(GOOD).is_ok());
        let errors = errors(&GOOD.replace("maker = 'm'\n", ""));
        assert_eq!(errors, [(None, "missing field `maker`".to_owned())]);
    }

    #[test]
    fn text_that_is_not_toml_is_one_error_with_its_line() {
        let errors = errors("app = 'a'\nmaker = = 3\n");
        assert_eq!(errors[0].0, Some(2));
    }

    #[test]
    fn errors_are_bounded() {
        let text: String = (0..100).map(|n| format!("bad{n} = 1\n")).collect();
        assert_eq!(errors(&text).len(), TOML_ERRORS_MAX);
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_by_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.toml");
        fs::File::create(&path).unwrap().set_len(TOML_BYTES_MAX + 1).unwrap();
        let error = read::<Manifest>(&path).unwrap_err();
        assert!(crate::output::chain(&error).contains("more than 1048576"), "{error}");
    }
}
