//! The version of a document: a counter that needs no clock.
//!
//! Versions are compared by era, number, author. A number is one more than the highest that was seen anywhere in
//! what a center signed; a jump of more than [`JUMP_MAX`] is a mistake or an attack and is refused.

use flotilla_schemas::CenterId;
use flotilla_schemas::desired::{JUMP_MAX, Key};
use serde::{Deserialize, Serialize};

/// Which of two versions of a document holds: the greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ver {
    /// The fleet file's era.
    pub era: u32,
    /// One more than the highest number that the author had seen anywhere.
    pub n: u64,
    /// The center that took the document.
    pub author: CenterId,
}

impl Ver {
    /// The key of a slot whose value comes from this version, outside any rollout.
    pub fn key(&self) -> Key {
        Key { era: self.era, n: self.n, author: self.author.clone(), run: 0, phase: 0 }
    }
}

/// A number that is out of reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("believe the document number {n}: it is more than {JUMP_MAX} past {seen}, the highest seen")]
pub struct Jump {
    /// The number.
    pub n: u64,
    /// The highest that was believed before.
    pub seen: u64,
}
