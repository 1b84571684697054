//! `flotilla script generate` as a person runs it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails and speaks by it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const AIR_CONDITIONER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/samples/scripts/air-conditioner/definition.dtd");

fn generate(definition: &str, out: &Path, more: &[&str]) -> Output {
    let mut flotilla = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    let args = ["script", "generate", "--definition", definition, "--out", out.to_str().unwrap()];
    flotilla.args(args).args(more).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The files of a folder, by name.
fn files(out: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Whether xmllint finds all files valid; nothing where it is missing, which in CI is a failure.
fn are_valid(definition: &str, files: &[PathBuf]) -> bool {
    let mut xmllint = Command::new("xmllint");
    match xmllint.args(["--nonet", "--noout", "--dtdvalid", definition]).args(files).status() {
        Ok(status) => status.success(),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "xmllint: {error}; install libxml2-utils");
            eprintln!("skipped: xmllint is missing; install libxml2-utils");
            true
        }
    }
}

#[test]
fn the_air_conditioner_is_covered_by_files_that_are_valid_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/scripts");
    let output = generate(AIR_CONDITIONER, &out, &["--cover"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        stdout(&output).contains("covered (100 %); stopped: everything is covered"),
        "{}",
        stdout(&output)
    );
    let files = files(&out);
    assert_eq!(files.first().unwrap().file_name().unwrap(), "script-0001.xml");
    assert!(are_valid(AIR_CONDITIONER, &files));
}

#[test]
fn as_many_random_scripts_come_as_were_asked_for_and_the_same_for_the_same_seed() {
    let texts = |seed: &str| {
        let dir = tempfile::tempdir().unwrap();
        let output = generate(AIR_CONDITIONER, dir.path(), &["--random", "12", "--seed", seed]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        files(dir.path()).iter().map(|file| fs::read_to_string(file).unwrap()).collect::<Vec<_>>()
    };
    let first = texts("1");
    assert_eq!(first.len(), 12);
    assert!(first == texts("1") && first != texts("2"));
}

#[test]
fn a_folder_with_something_in_it_is_left_alone_unless_forced() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("script-0001.xml");
    fs::write(&kept, "mine").unwrap();
    let output = generate(AIR_CONDITIONER, dir.path(), &["--cover"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("it is not empty") && error.contains("--force"), "{error}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "mine");
    assert_eq!(generate(AIR_CONDITIONER, dir.path(), &["--cover", "--force"]).status.code(), Some(0));
    assert!(fs::read_to_string(&kept).unwrap().starts_with("<air-conditioner-control"));
}

#[test]
fn json_says_what_each_script_covers_and_what_none_does() {
    let dir = tempfile::tempdir().unwrap();
    let definition = dir.path().join("d.dtd");
    // What lies below 64 levels is in no script.
    let links: String = (1..64).map(|i| format!("<!ELEMENT e{i} (e{})>", i + 1)).collect();
    fs::write(&definition, format!("<!ELEMENT r (a | e1)> <!ELEMENT a EMPTY> {links} <!ELEMENT e64 EMPTY>"))
        .unwrap();
    let output = generate(definition.to_str().unwrap(), &dir.path().join("out"), &["--cover", "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["scripts"][0]["covers"], serde_json::json!(["<a>", "<r>", "<r>: branch 1 <a>"]));
    assert_eq!((&result["covered"], &result["total"]), (&3.into(), &68.into()));
    assert_eq!(result["missing"].as_array().unwrap().len(), 65);
    assert_eq!(result["stopped"], "256 scripts in a row showed nothing new");
}

#[test]
fn several_roots_are_named_and_one_is_to_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let definition = dir.path().join("d.dtd");
    fs::write(&definition, "<!ELEMENT r EMPTY> <!ELEMENT s EMPTY>").unwrap();
    let definition = definition.to_str().unwrap();
    let error = String::from_utf8(generate(definition, &dir.path().join("1"), &["--cover"]).stderr).unwrap();
    assert!(error.contains("<r>, <s> could be; name one with --root"), "{error}");
    let output = generate(definition, &dir.path().join("2"), &["--cover", "--root", "s"]);
    assert!(stdout(&output).starts_with("1 script in"), "{output:?}");
    let output = generate(definition, &dir.path().join("3"), &["--cover", "--root", "t"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("the root <t> is not declared"));
}

#[test]
fn the_time_that_is_given_is_the_longest_that_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let output = generate(AIR_CONDITIONER, dir.path(), &["--random", "1000000", "--within", "0s"]);
    assert!(stdout(&output).starts_with("0 scripts in"), "{output:?}");
    assert!(stdout(&output).contains("stopped: 0s are over; --within gives more"), "{output:?}");
}
