//! How far a proof is, and why it fails.

/// How far a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Scripts that were run.
    pub scripts: u32,
    /// Items that they took.
    pub covered: usize,
    /// Items that there are.
    pub items: usize,
    /// A script that breaks the release was found and is being made shorter; this is its size in bytes.
    pub shrinking: Option<usize>,
}

/// Why a release is not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// All that is wrong as far as it shows, one thing each.
    pub reasons: Vec<String>,
    /// A script that breaks it, if one was found.
    pub broken: Option<Broken>,
}

/// A script that its definition allows and that breaks a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The script.
    pub script: String,
    /// What happens, where in it, with which apps, and what equipment does meanwhile.
    pub reason: String,
    /// Whether no shorter one was found that breaks the release in the same way; otherwise the search was cut off.
    pub shortest: bool,
}

impl Refusal {
    pub(super) fn of(reason: String) -> Self {
        Self { reasons: vec![reason], broken: None }
    }
}
