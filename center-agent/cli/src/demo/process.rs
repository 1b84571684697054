//! A part of the demo as a real process: this very program with another command.
//!
//! It is tied to us by its standard input, so it never outlives us, and its log goes to a file that a person can
//! read. It has a process group of its own: Ctrl-C reaches us alone, and we end the parts in order.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::agent::TIE_ENV;

/// How long a process may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of a log's end is read for its tail, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;

/// How many lines a tail has.
const TAIL_LINES: usize = 15;

/// A running part.
#[derive(Debug)]
pub struct Process {
    /// Its name: `center`, `e1`.
    pub name: String,
    /// Where its log goes.
    pub log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts this program with these arguments, in this folder.
    pub fn start<S: AsRef<OsStr>>(name: &str, dir: &Path, args: &[S]) -> io::Result<Self> {
        let log = dir.join(format!("log/{name}.log"));
        let output = File::create(&log)?;
        let child = Command::new(std::env::current_exe()?)
            .args(args)
            .current_dir(dir)
            .env(TIE_ENV, "1")
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Lets it end, by force if it does not.
    pub async fn end(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(END_TIMEOUT, self.child.wait()).await.is_err() {
            // It is gone already, or it is killed.
            let _ = self.child.kill().await;
        }
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end_of_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("x.log");
        let text: String = (1..=5000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, text).unwrap();
        let tail = tail(&log);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 5000"));
    }
}
