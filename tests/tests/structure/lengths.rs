//! How long the files and the functions of a package are, in lines, tests left out.

use std::fmt;
use std::path::Path;

use crate::modules::{Crate, Module};
use crate::source::{Token, item};

/// What [`Lengths`] shows, in its columns.
pub const HEAD: &str = "files median   90% longest                functions median 90% longest";

/// The files and functions of a package, each with its length, the shortest first.
pub struct Lengths {
    files: Vec<(usize, String)>,
    functions: Vec<(usize, String)>,
}

impl Lengths {
    /// Of a package's crates.
    pub fn of(crates: &[Crate]) -> Self {
        let modules = || crates.iter().flat_map(Crate::modules);
        let mut lengths = Self {
            files: modules().map(file).collect(),
            functions: modules().flat_map(|module| functions(&module.tokens)).collect(),
        };
        lengths.files.sort();
        lengths.functions.sort();
        lengths
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |all: &[(usize, String)], percent: usize| {
            all.get(all.len().saturating_sub(1) * percent / 100).cloned().unwrap_or_default()
        };
        for all in [&self.files, &self.functions] {
            let ((median, _), (most, _), (longest, name)) = (at(all, 50), at(all, 90), at(all, 100));
            write!(f, "{:>5} {median:>6} {most:>5} {:<23}", all.len(), format!("{longest:>3} {name}"))?;
        }
        Ok(())
    }
}

/// A file up to the last line that is not a test's.
fn file(module: &Module) -> (usize, String) {
    let lines = module.tokens.last().map_or(0, |token| token.line);
    let folder = module.file.parent().and_then(Path::file_name).unwrap_or_default();
    let name = module.file.file_name().unwrap_or_default();
    (lines, format!("{}/{}", folder.display(), name.display()))
}

/// The functions that have a body, from `fn` to its end.
fn functions(tokens: &[Token]) -> impl Iterator<Item = (usize, String)> {
    let begins = |at: &usize| tokens[*at].text == "fn" && tokens[at + 1].text != "(";
    let whole = (0..tokens.len()).filter(begins).map(|at| item(&tokens[at..]));
    whole.filter_map(|function| match function {
        [first, name, .., last] if last.text == "}" => Some((last.line - first.line + 1, name.text.clone())),
        _ => None,
    })
}
