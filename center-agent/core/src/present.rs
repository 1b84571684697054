//! What is there when something is judged or joined.

use crate::catalog::Listing;
use crate::document::Documents;
use crate::registry::Registry;

/// What is there when something is judged or joined.
#[derive(Clone, Copy)]
pub struct Present<'a> {
    /// What was decided so far.
    pub documents: &'a Documents,
    /// What was published.
    pub catalog: &'a Listing,
    /// Who is there.
    pub registry: &'a Registry,
}
