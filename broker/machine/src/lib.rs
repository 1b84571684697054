//! What agents and the broker need of the machine that they run on: its clocks, and its disk, which may fail.
//!
//! Nothing here knows what is kept or decided. The only user of redb: whoever has a database has it through a
//! [`DatabaseFile`], so that no error of the disk outlives its cause.

mod clock;
#[cfg(feature = "disk")]
mod database;
#[cfg(feature = "testing")]
pub mod testing;

pub use clock::{Clock, wall_ms};
#[cfg(feature = "disk")]
pub use database::{DatabaseError, DatabaseFile, Redb};
#[cfg(feature = "disk")]
pub use redb;
