//! The parts as processes: an edge that lives, and whoever looks at it or started it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn flotilla(dir: &Path, args: &str) -> Command {
    let mut flotilla = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    flotilla.args(args.split(' ')).current_dir(dir);
    flotilla
}

fn run(dir: &Path, args: &str) -> Output {
    flotilla(dir, args).output().unwrap()
}

/// An edge without a broker, tied to its standard input, that has said that it started.
fn living_edge(dir: &Path) -> Child {
    assert!(run(dir, "fleet init fleet").status.success());
    let args = "edge --id e1 --fleet fleet/fleet.json --broker mqtt://127.0.0.1:1 --data e1";
    let mut edge = flotilla(dir, args)
        .env("FLOTILLA_TIE_TO_STDIN", "1")
        .env("RUST_LOG", "info")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(edge.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("edge started")));
    // The pipe is emptied to its end, so that the edge never waits for a reader of its log.
    std::thread::spawn(move || log.for_each(drop));
    edge
}

#[test]
fn a_part_ends_with_whoever_started_it_and_its_journal_is_read_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut edge = living_edge(dir.path());
    let refused = run(dir.path(), "journal e1");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is in use by a running agent"));
    drop(edge.stdin.take());
    assert!(edge.wait().unwrap().success());
    let journal = run(dir.path(), "journal e1");
    assert!(journal.status.success());
    assert!(String::from_utf8(journal.stdout).unwrap().contains("; journal "));
}

#[test]
fn a_part_that_cannot_start_names_everything_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let output =
        run(dir.path(), "edge --id e1 --fleet no-fleet.json --data e1 --equipment no-equipment.toml");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no-fleet.json") && said.contains("no-equipment.toml"), "{said}");
}

#[test]
fn who_has_seen_enough_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut init = flotilla(dir.path(), "fleet init fleet").stdout(Stdio::piped()).spawn().unwrap();
    drop(init.stdout.take());
    assert!(init.wait().unwrap().success());
}
