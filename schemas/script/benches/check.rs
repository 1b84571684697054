//! Checking and interpreting the largest script, against `xmllint --noout --dtdvalid` in the same run.
//!
//! Ours is everything between bytes and plan: reading the text, scanning, validating, the second parser's opinion,
//! the walk and the plan. Theirs is the process as a whole, and beside it what is left without its start: the
//! difference to a script of a few bytes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench prints and fails"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flotilla_script::limit::SCRIPT_BYTES_MAX;
use flotilla_script::{Definition, EventList, Script};

const DEFINITION: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd");
const COOLING: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/script.xml");
const LARGE: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/events-large.json");

/// How often each is timed.
const RUNS: u32 = 100;

/// What the control part of the sample does, over and over with a comment on each, in as many bytes as a script may
/// have and nearly as many elements.
fn script() -> String {
    let (head, tail) = COOLING.split_once("<control>").unwrap();
    let tail = &tail[tail.find("<stop/>").unwrap()..];
    let step = |i: usize| {
        let (speed, celsius) = (["low", "medium", "high"][i % 3], 16 + i % 15);
        format!(
            "    <!-- Step {i}: as the day before, unless the windows are open; the room is read first, then \
            brought to what is wanted, and the machine is left to itself for the hour. -->\n    \
            <room-temperature/>\n    <wind speed=\"{speed}\"/>\n    <hold celsius=\"{celsius}\" tolerance=\"1.5\"/>\n    \
            <temperature>{celsius}</temperature>\n"
        )
    };
    let mut text = format!("{head}<control>\n");
    for i in 0.. {
        let more = step(i);
        if text.len() + more.len() + tail.len() > SCRIPT_BYTES_MAX {
            break;
        }
        text.push_str(&more);
    }
    text + tail
}

/// Processor time so far, in ticks of a hundredth of a second: ours, and that of the processes that we waited for.
fn ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |from: usize| fields[from..from + 2].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    (ticks(11), ticks(13))
}

/// The processor time of one run: what else the machine does is not in it.
fn mean(mut run: impl FnMut()) -> Duration {
    let before = ticks();
    (0..RUNS).for_each(|_| run());
    let after = ticks();
    let spent = after.0 + after.1 - before.0 - before.1;
    Duration::from_millis(spent * 10) / RUNS
}

/// The process over a script that is valid.
fn xmllint(folder: &Path, script: &str) -> Option<Duration> {
    std::fs::write(folder.join("s.xml"), script).unwrap();
    let mut command = Command::new("xmllint");
    command.args(["--nonet", "--noout", "--dtdvalid", "d.dtd", "s.xml"]).current_dir(folder);
    command.output().ok()?;
    Some(mean(|| assert!(command.output().unwrap().status.success())))
}

fn main() {
    let script = script();
    let definition = Definition::parse("d.dtd", DEFINITION.as_bytes()).unwrap();
    let list = EventList::parse("e.json", LARGE.as_bytes()).unwrap();
    let parse = || Script::parse("s.xml", script.as_bytes(), &definition).unwrap();
    let steps = parse().plan(&list).unwrap().len();
    let check = mean(|| drop(parse()));
    let whole = mean(|| drop(parse().plan(&list).unwrap()));
    println!("{} bytes, {steps} step events; processor time, the mean of {RUNS} runs", script.len());
    println!("check {check:?}, check and plan {whole:?}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.dtd"), DEFINITION).unwrap();
    let (Some(theirs), Some(start)) = (xmllint(folder.path(), &script), xmllint(folder.path(), COOLING))
    else {
        return println!("xmllint is missing, so there is nothing to compare with; install libxml2-utils");
    };
    let ratio = |theirs: Duration| whole.as_secs_f64() / theirs.as_secs_f64();
    let work = theirs.saturating_sub(start);
    println!("xmllint {theirs:?}, of that {work:?} for the script's size");
    println!("ours is {:.2} of xmllint's process, {:.2} of its work alone", ratio(theirs), ratio(work));
}
