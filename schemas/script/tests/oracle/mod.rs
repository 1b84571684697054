//! Another implementation's verdict: `xmllint --noout --dtdvalid`, from Debian's libxml2-utils.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether there is one; in CI there must be.
pub fn has_xmllint() -> bool {
    let found = Command::new("xmllint").arg("--version").output().is_ok();
    found || skips("xmllint is missing, so there is nothing to compare with; install libxml2-utils")
}

/// Says that a test is skipped, and why; in CI that is a failure.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skips(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// Whether `xmllint` finds each script valid by the definition in this file of the folder.
pub fn verdicts(folder: &Path, definition: &str, scripts: &[String]) -> Vec<bool> {
    let names: Vec<String> = (0..scripts.len()).map(|i| format!("s{i:05}.xml")).collect();
    for (name, script) in names.iter().zip(scripts) {
        fs::write(folder.join(name), script).unwrap();
    }
    let mut xmllint = Command::new("xmllint");
    xmllint.args(["--nonet", "--noout", "--dtdvalid", definition]).args(&names).current_dir(folder);
    let output = String::from_utf8_lossy(&xmllint.output().unwrap().stderr).into_owned();
    let errors: BTreeSet<&str> =
        output.lines().filter(|line| is_error(line)).filter_map(|line| line.split(':').next()).collect();
    names.iter().map(|name| !errors.contains(name.as_str())).collect()
}

/// `s00001.xml:2: parser error : …` or `s00001.xml:2: element a: validity error : …`. Namespaces are no part of
/// validity.
fn is_error(line: &str) -> bool {
    line.contains(" error : ") && !line.contains(": namespace error : ")
}
