//! The decisions of an edge, without I/O.
//!
//! [`Core::handle`] takes what happened and the time, and gives back a [`Step`]: what to keep, and what to do once it
//! is kept. The driver in `edge-agent` and the simulation in `tests` drive the same code. A crash is dropping the
//! core; booting is [`Core::from_records`].
//!
//! ```text
//!             desired ──▶ slots ──▶ install ──▶ run ──▶ calls          (what should be, what is here, what happens)
//!                                     ▲          │
//!             chunks ──▶ download ────┘          ▼
//!             answers ─────────────▶ fault ◀── failures ──▶ restore    (what went wrong, what is done about it)
//!                                     │
//!             devices ────────────────┤
//!                                     ▼
//!                                  journal ──▶ batches                 (what a center must know)
//! ```
//!
//! Nothing here reads a clock, draws chance, or iterates in an order that is not its own.

mod app;
mod command;
mod core;
mod desired;
mod download;
mod effect;
mod equipment;
mod fault;
mod input;
mod install;
mod journal;
mod message;
mod open;
mod plan;
mod profile;
mod record;
mod report;
mod restore;
mod run;
mod service;
mod turn;

pub use crate::core::{Core, Found};
pub use effect::{Act, Code, Effect, EffectId, Persist, Send, Step};
pub use equipment::{FLAP_MS, ILL_MAX, PROBE_MS as EQUIPMENT_PROBE_MS, REFUSAL_MS, WELL_MS, WELL_MS_MAX};
pub use input::{Config, Failure, Health, Input, Outcome, ScriptFiles};
pub use journal::{HISTORY_RECORDS, PROBE_MS, RESEND_MS, RESEND_MS_MAX, WINDOW_MAX};
