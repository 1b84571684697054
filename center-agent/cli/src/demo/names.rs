//! What the demo calls its parts.

use flotilla_schemas::EdgeId;

/// The fleet's name: a fleet that uses the same broker has another one.
pub const FLEET: &str = "demo";

/// The center's id.
pub const CENTER: &str = "c1";

/// The small gateway's id.
const SMALL: &str = "e4";

/// Whether an edge is a small gateway: no scripts, no disk, and memory for one of its apps at a time.
pub fn is_small(edge: &EdgeId) -> bool {
    edge.as_str() == SMALL
}
