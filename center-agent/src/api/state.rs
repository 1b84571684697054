//! What handlers work with, and how much of what is expensive they do at once.

use std::sync::Arc;

use flotilla_sandbox::Sandbox;
use flotilla_schemas::Digest;
use flotilla_schemas::publisher::Publishers;

use super::turns::Turns;
use crate::desk::Desk;
use crate::shelf::Shelf;
use crate::store::Store;
use crate::views::Views;

/// The most uploads and checks of an app at once; others wait.
pub(super) const HEAVY_MAX: usize = 2;

/// The most proofs of a script at once. One takes a processor for as long as it lasts.
pub(super) const PROVING_MAX: usize = 1;

/// What handlers work with.
#[derive(Clone)]
pub(super) struct Api {
    /// The token's digest: comparing digests tells nothing about the token.
    pub token: Digest,
    pub publishers: Arc<Publishers>,
    pub desk: Desk,
    pub views: Arc<Views>,
    pub store: Store,
    pub shelf: Arc<Shelf>,
    pub sandbox: Sandbox,
    pub heavy: Turns,
    pub proving: Turns,
}
