//! What machine code is made for: a processor and a system, by the name that a runtime's name carries.
//!
//! The C library is no part of it: machine code of apps calls none, so a static musl gateway runs what was made for
//! its processor on any desk.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::str::FromStr;

/// The version of wasmtime that this is built with, as the workspace pins it.
pub(crate) const WASMTIME: &str = "48.0.8";

/// The number of the engine's configuration: one more with every change of it or of what wasmtime is built with.
const CONFIGURATION: u32 = 2;

/// The targets, each with the triple that stands for the plain architecture.
const TARGETS: [(&str, &str); 4] = [
    ("aarch64-linux", "aarch64-unknown-linux-gnu"),
    ("aarch64-macos", "aarch64-apple-darwin"),
    ("x86_64-linux", "x86_64-unknown-linux-gnu"),
    ("x86_64-macos", "x86_64-apple-darwin"),
];

/// A processor and system that machine code can be made for.
///
/// ```
/// use flotilla_sandbox::Target;
/// let target: Target = "aarch64-linux".parse().unwrap();
/// assert!(target.runtime().contains("/aarch64-linux/"));
/// let error = "arm".parse::<Target>().unwrap_err().to_string();
/// assert_eq!(error, r#""arm" is not a target: aarch64-linux, aarch64-macos, x86_64-linux, x86_64-macos"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    name: &'static str,
    pub(crate) triple: &'static str,
}

/// A name that is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a target: {}", TARGETS.map(|(name, _)| name).join(", "))]
pub struct TargetError {
    /// What was said.
    pub name: String,
}

impl Target {
    /// This program's own; none where machine code is made for this very processor alone.
    pub fn own() -> Option<Self> {
        own_name().parse().ok()
    }

    /// The runtime that loads machine code for this target.
    pub fn runtime(self) -> String {
        runtime(self.name)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let found = TARGETS.into_iter().find(|(name, _)| *name == text);
        let (name, triple) = found.ok_or_else(|| TargetError { name: text.chars().take(80).collect() })?;
        Ok(Self { name, triple })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn own_name() -> String {
    format!("{ARCH}-{OS}")
}

fn runtime(target: &str) -> String {
    format!("wasmtime-{WASMTIME}/{target}/{CONFIGURATION}")
}

/// The runtime of this program.
pub(crate) fn own_runtime() -> String {
    runtime(&own_name())
}

/// This program's own triple without the extras of this very processor, which wasmtime would otherwise make use of.
/// wasmtime wants it to name the C library that it is built with.
pub(crate) fn own_triple() -> Option<String> {
    let triple = Target::own()?.triple;
    Some(if cfg!(target_env = "musl") { triple.replace("-gnu", "-musl") } else { triple.to_owned() })
}
