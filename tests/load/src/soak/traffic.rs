//! Who comes and goes, and what edges and the center send one another.

/// Lanes, each with its share of the edges.
pub const LANES: usize = 3;
/// Of an edge's messages one in so many is answered.
pub const ANSWER_EVERY: u64 = 5;
/// One of so many edges comes and goes.
pub const ROAMER_EVERY: usize = 10;

/// The number that a payload begins with.
pub fn number_in(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Whether the edge of this number comes and goes.
pub fn roams(number: usize) -> bool {
    number.is_multiple_of(ROAMER_EVERY)
}
