//! The decisions of an edge, without I/O.
//!
//! [`Core::handle`] takes what happened and the time, and gives back a [`Step`]: what to keep, and what to do once it
//! is kept. The driver in `edge-agent` and the simulation in `tests` drive the same code. A crash is dropping the
//! core; booting is [`Core::from_records`].
//!
//! ```text
//!             desired ──▶ wanted ──▶ program ──▶ calls             (what should be, what runs)
//!                                     │    ▲
//!                              failures    measures
//!                                     ▼    │
//!             answers ─────────────▶ fault                         (what went wrong, what is done about it)
//!                                       ▲
//!             devices ──────────▶ equipment
//!
//!             all of them ──▶ out ──▶ journal ──▶ batches          (what a center must know)
//!                              └────▶ effects, reports
//! ```
//!
//! Each room has its own state and its own tests; each is given the one way `out` to speak through; what one needs
//! of another it gives back, and `core` alone passes it on. Nothing here reads a clock, draws chance, or
//! iterates in an order that is not its own.

mod command;
mod config;
mod core;
mod door;
mod effect;
mod equipment;
mod fault;
mod found;
mod input;
mod journal;
mod open;
mod out;
mod program;
mod report;
#[cfg(test)]
mod samples;
mod wanted;

pub use crate::core::Core;
pub use config::Config;
pub use effect::{Act, Code, Effect, EffectId, Persist, Send, Step};
pub use equipment::{FLAP_MS, ILL_MAX, PROBE_MS as EQUIPMENT_PROBE_MS, REFUSAL_MS, WELL_MS, WELL_MS_MAX};
pub use found::Found;
pub use input::{Failure, Health, Input, Outcome, ScriptFiles};
pub use journal::{HISTORY_RECORDS, PROBE_MS, RESEND_MS, RESEND_MS_MAX, WINDOW_MAX};
