//! Warnings that a stranger could cause: each source is written about once in a while, and counted in between.

use std::collections::BTreeMap;

use flotilla_schemas::EdgeId;

use crate::step::Note;

/// The least time between two warnings with the same message about the same source, in milliseconds.
pub const WARNING_MS: u64 = 10_000;

/// The most sources that are told apart; beyond, all are one.
pub const SOURCES_MAX: usize = 1024;

/// The warnings written lately: when, and how many were left out since.
#[derive(Debug, Clone, Default)]
pub struct Warnings {
    sources: BTreeMap<(&'static str, Option<EdgeId>), (u64, u64)>,
}

impl Warnings {
    /// The warning, unless one like it was written a moment ago.
    pub fn about(
        &mut self,
        message: &'static str,
        edge: Option<&EdgeId>,
        subject: impl ToString,
        error: impl ToString,
        mono_ms: u64,
    ) -> Option<Note> {
        let mut source = (message, edge.cloned());
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            source.1 = None;
        }
        let left_out = match self.sources.get_mut(&source) {
            Some((at, left_out)) if *at + WARNING_MS > mono_ms => {
                *left_out += 1;
                return None;
            }
            Some((_, left_out)) => *left_out,
            None => 0,
        };
        self.sources.insert(source, (mono_ms, 0));
        let (subject, error) = (subject.to_string(), error.to_string());
        Some(Note { warn: true, message, edge: edge.cloned(), subject, error, left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_about_once_in_a_while_and_counted() {
        let mut warnings = Warnings::default();
        let (e1, e2): (EdgeId, EdgeId) = ("e1".parse().unwrap(), "e2".parse().unwrap());
        assert!(warnings.about("m", Some(&e1), "", "", 0).is_some());
        assert!(warnings.about("m", Some(&e1), "", "", 1).is_none());
        assert!(warnings.about("m", Some(&e1), "", "", 2).is_none());
        assert!(warnings.about("m", Some(&e2), "", "", 3).is_some());
        assert_eq!(warnings.about("m", Some(&e1), "", "", WARNING_MS).unwrap().left_out, 2);
    }

    #[test]
    fn too_many_sources_are_one() {
        let mut warnings = Warnings::default();
        let about = |warnings: &mut Warnings, n: usize| {
            let edge = format!("e{n}").parse().unwrap();
            warnings.about("m", Some(&edge), "", "", 0).is_some()
        };
        assert!((0..SOURCES_MAX).all(|n| about(&mut warnings, n)));
        assert!(about(&mut warnings, SOURCES_MAX) && !about(&mut warnings, SOURCES_MAX + 1));
    }
}
