//! `flotilla script check` as a person or a script runs it: exit codes, and where it says that what is wrong.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The sample that each case breaks in one place.
fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples")
}

struct Folder(TempDir);

impl Folder {
    /// The air conditioner's script, definition and event list.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for file in ["script.xml", "definition.dtd", "events-large.json"] {
            let sample = samples().join("scripts/air-conditioner").join(file);
            fs::copy(sample, folder.0.path().join(file)).unwrap();
        }
        folder
    }

    /// Replaces the one place where the text stands.
    fn broken(file: &str, from: &str, to: &str) -> Self {
        let folder = Self::new();
        let path = folder.0.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {file}");
        fs::write(&path, text.replace(from, to)).unwrap();
        folder
    }

    fn check(&self, more: &[&str]) -> Output {
        let args = ["script", "check", "--definition", "definition.dtd", "--events", "events-large.json"];
        let mut flotilla = Command::new(env!("CARGO_BIN_EXE_flotilla"));
        flotilla.args(args).args(more).arg("script.xml").current_dir(self.0.path()).output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_samples_are_right() {
    let app = samples().join("apps/aircon-north/app.wasm");
    let output = Folder::new().check(&["--app", app.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("script.xml: right"));
}

#[test]
fn an_alternate_has_to_do_what_is_wanted_of_the_app_that_names_it() {
    let app = |name: &str| samples().join("apps").join(name).join("app.wasm").display().to_string();
    let folder = Folder::broken("events-large.json", "\"operation\": \"stop\"", "\"operation\": \"halt\"");
    let said = stderr(&folder.check(&["--app", &app("aircon-north"), "--app", &app("aircon-south")]));
    assert_eq!(said.matches(": call halt: the app exports ").count(), 2, "{said}");
}

#[test]
fn ten_broken_ones_are_refused_each_at_its_place() {
    let cases = [
        // An element in the wrong order.
        (
            "script.xml",
            "<temperature>22</temperature>\n      <wind speed=\"medium\"/>",
            "<wind speed=\"medium\"/>\n      <temperature>22</temperature>",
            "script.xml:5:7: <wind>",
        ),
        // An unknown element.
        ("script.xml", "<stop/>", "<halt/>", "script.xml:18:5: <halt>"),
        // An unknown attribute.
        ("script.xml", "celsius=\"23\"", "celsius=\"23\" mode=\"eco\"", "script.xml:16:24: "),
        // An attribute that has to be there.
        ("script.xml", "<wind speed=\"low\"/>", "<wind/>", "script.xml:15:5: "),
        // A value that is not among those allowed.
        ("script.xml", "\"low\"", "\"gale\"", "script.xml:15:11: speed of <wind>"),
        // Text where there may be none.
        ("script.xml", "<control>", "<control>now", "script.xml:13:12: "),
        // A tag that is never closed.
        ("script.xml", "</control>", "", "script.xml:20:1: "),
        // A value out of the event list's range: right by the definition, wrong for this machine.
        ("script.xml", "<temperature>22<", "<temperature>35<", "script.xml:5:20: "),
        // A definition with an element that it does not declare.
        ("definition.dtd", "<!ELEMENT stop EMPTY>", "", "definition.dtd:25:1: <stop>"),
        // An event list that forgets a step event.
        ("events-large.json", "    \"end stop\": \"none\",\n", "", "events-large.json:5:3: \"end stop\""),
    ];
    let mut wrong = Vec::new();
    for (file, from, to, expected) in cases {
        let output = Folder::broken(file, from, to).check(&[]);
        let said = stderr(&output);
        if output.status.code() != Some(1)
            || !said.lines().next().is_some_and(|line| line.starts_with(expected))
        {
            wrong.push(format!("expected {expected} with exit 1, got {:?}:\n{said}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let folder = Folder::broken("script.xml", "\"low\"", "\"gale\"");
    fs::write(folder.0.path().join("events-large.json"), "{\"events\": 3}").unwrap();
    let said = stderr(&folder.check(&[]));
    assert!(said.contains("script.xml:15:11:") && said.contains("events-large.json:1:"), "{said}");
}

#[test]
fn a_result_in_json_is_one_object_on_standard_output() {
    let output = Folder::broken("script.xml", "<stop/>", "<halt/>").check(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["ok"], false);
    assert_eq!(
        (&result["diagnostics"][0]["line"], &result["diagnostics"][0]["col"]),
        (&18.into(), &5.into())
    );
}

#[test]
fn wrong_usage_exits_with_2_and_unreadable_files_with_1() {
    let folder = Folder::new();
    assert_eq!(folder.check(&["--no-such-option"]).status.code(), Some(2));
    fs::remove_file(folder.0.path().join("definition.dtd")).unwrap();
    fs::remove_file(folder.0.path().join("script.xml")).unwrap();
    let output = folder.check(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("definition.dtd") && stderr(&output).contains("script.xml"));
}

/// What a proof of the sample needs beside its files.
fn proving(folder: &Folder, more: &[&str]) -> Output {
    let app = |name: &str| samples().join("apps").join(name).join("app.wasm").display().to_string();
    let equipment = samples().join("scripts/air-conditioner/equipment.toml").display().to_string();
    let (north, south) = (app("aircon-north"), app("aircon-south"));
    let args = ["--prove", "--app", &north, "--app", &south, "--equipment", &equipment];
    folder.check(&[&args, more].concat())
}

#[test]
fn the_air_conditioner_is_proven_and_the_report_says_how_far() {
    let output = proving(&Folder::new(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("aircon-large  33 of 33 items, 100.0 %, by 2 scripts"), "{report}");
    assert!(report.contains("aircon-south for aircon-north"), "{report}");
}

#[test]
fn an_alternate_that_was_not_tried_is_named() {
    let north = samples().join("apps/aircon-north/app.wasm").display().to_string();
    let equipment = samples().join("scripts/air-conditioner/equipment.toml").display().to_string();
    let output = Folder::new().check(&["--prove", "--app", &north, "--equipment", &equipment]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("  not tried: aircon-south in place of aircon-north: it is not there\n"),
        "{report}"
    );
}

#[test]
fn a_proof_that_ends_before_its_end_says_plainly_what_it_did_not_come_to() {
    let output = proving(&Folder::new(), &["--scripts", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    let head = report.lines().find(|line| line.starts_with("aircon-large  ")).unwrap();
    assert!(head.ends_with("by 1 script; no more scripts were asked for"), "{report}");
    let covered: usize = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(report.matches("  not taken: ").count(), 33 - covered, "{report}");
    assert!(covered < 33 && report.contains("  not taken: <"), "{report}");
}

#[test]
fn a_definition_that_is_kept_in_several_files_is_proven_too() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.path().join(name);
    fs::create_dir(path("more")).unwrap();
    fs::rename(path("definition.dtd"), path("more/rules.mod")).unwrap();
    let rules = path("more/rules.mod").display().to_string();
    fs::write(path("definition.dtd"), format!("<!ENTITY % rules SYSTEM '{rules}'> %rules;")).unwrap();
    let output = proving(&folder, &[]);
    assert!(stderr(&output).contains("allow its own with --include DIR"), "{}", stderr(&output));
    let output = proving(&folder, &["--include", "more"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_limits_that_a_proof_gives_are_in_the_report() {
    let output = proving(&Folder::new(), &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let seen = report["proof"]["lists"][0]["casts"][0]["memory_bytes"]["aircon-north"].as_u64().unwrap();
    let limits = &report["limits"]["aircon-north"];
    assert_eq!(limits["memory_bytes"].as_u64(), Some((2 * seen).next_multiple_of(65536)), "{limits}");
    assert!(limits["deadline_ms"].as_u64().is_some_and(|ms| ms >= 1000), "{limits}");
}

#[test]
fn what_breaks_is_refused_with_the_shortest_script_in_a_file() {
    let folder = Folder::broken("events-large.json", "\"operation\": \"stop\"", "\"operation\": \"halt\"");
    let output = proving(&folder, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("aircon-north: call halt: the app exports hold,"), "{said}");
    assert!(said.contains("the shortest script that breaks it is in script.broken.xml"), "{said}");
    let script = fs::read_to_string(folder.0.path().join("script.broken.xml")).unwrap();
    let (script, mark) = script.split_once("<!--").unwrap();
    assert!(
        script.ends_with("    <temperature/>\n    <stop/>\n  </control>\n</air-conditioner-control>\n"),
        "{script}"
    );
    assert_eq!(mark, " made by flotilla to show what breaks -->\n");
    assert!(stderr(&proving(&folder, &[])).contains("is in script.broken.xml"), "it is written over");
    fs::write(folder.0.path().join("script.broken.xml"), "mine").unwrap();
    let said = stderr(&proving(&folder, &[]));
    assert!(
        said.contains("which is not in script.broken.xml (the file that is there is not of this"),
        "{said}"
    );
    assert!(said.contains("<stop/>"), "{said}");
    assert_eq!(fs::read_to_string(folder.0.path().join("script.broken.xml")).unwrap(), "mine");
}

#[test]
fn what_is_wrong_in_the_files_is_told_beside_what_breaks_in_json_too() {
    let folder = Folder::broken("script.xml", "<temperature>22<", "<temperature>35<");
    let path = folder.0.path().join("events-large.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replace("\"operation\": \"stop\"", "\"operation\": \"halt\"")).unwrap();
    let said = stderr(&proving(&folder, &[]));
    assert!(
        said.contains("script.xml:5:20: ") && said.contains("the shortest script that breaks it"),
        "{said}"
    );
    let output = proving(&folder, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["ok"], &report["refusal"]["script"]), (&false.into(), &"script.broken.xml".into()));
    let diagnostics = report["diagnostics"].as_array().unwrap();
    assert!(diagnostics.iter().any(|one| one["file"] == "script.xml" && one["line"] == 5), "{report}");
    let reasons = report["refusal"]["reasons"].to_string();
    assert!(reasons.contains("aircon-north: call halt: the app exports hold,"), "{report}");
}
