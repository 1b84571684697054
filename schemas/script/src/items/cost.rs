//! What a part of a script needs at least.

use crate::limit::ELEMENTS_MAX;

/// What a part of a script needs at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost {
    /// How many levels of elements.
    pub height: usize,
    /// How many elements, if each is made as low as it can be, and among the lowest as small.
    pub elements: usize,
}

impl Cost {
    /// Of nothing.
    pub const NONE: Self = Self { height: 0, elements: 0 };
    /// Of what is not settled yet.
    pub const UNKNOWN: Self = Self { height: usize::MAX, elements: usize::MAX };

    /// Whether there is room for it, if so many levels are left.
    pub fn fits(self, levels: usize) -> bool {
        self.height <= levels && self.elements <= ELEMENTS_MAX
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { height: self.height.max(other.height), elements: self.elements.saturating_add(other.elements) }
    }

    pub(super) fn within_an_element(self) -> Self {
        Self { height: self.height.saturating_add(1), elements: self.elements.saturating_add(1) }
    }
}
