//! The WebAssembly sandbox in which apps run.
//!
//! A [`Sandbox`] is one engine with one configuration. It makes machine code from a component (with the feature
//! `compiler`), reads what the component can do ([`Sandbox::inspect`]), and loads machine code as a [`Program`]
//! that holds exactly what its [`Grants`](flotilla_schemas::app::Grants) allow. A program starts [`Instance`]s; an
//! instance answers calls of its operations until it fails in a way that leaves it [spent](Instance::is_spent).
//! Whatever goes wrong in there ends as a [`Failure`](flotilla_schemas::fault::Failure) with the kind of fault that it is, and never reaches the
//! agent around it or another app.
//!
//! The edge behind the app is a [`Host`]; a [`Simulator`] stands for the devices of one. Nothing here verifies
//! signatures: machine code is trusted as it is, so the caller checks those very bytes first.
//!
//! Instances are driven by a tokio runtime with its time enabled.

mod bindings;
mod check;
mod convert;
mod engine;
mod equipment;
mod failure;
mod guest;
mod host;
mod interface;
mod program;
#[cfg(feature = "compiler")]
pub mod prove;
mod target;

pub use check::{CheckError, Wanted, check};
#[cfg(feature = "compiler")]
pub use engine::CompileError;
pub use engine::{INSTANCES_MAX, Sandbox, SandboxError, SandboxLimits};
pub use equipment::{
    Access, Answer, Behaviour, Device, ENTRIES_MAX, EquipmentError, EquipmentFile, FILE_BYTES_MAX, Keys,
    MAX_AGE_MS_MAX, Point, PointSection, Section, Simulated, Simulator, TIMEOUT_MS, TIMEOUT_MS_MAX,
};
pub use guest::{
    EVENT_FIELDS_MAX, EVENTS_PER_CALL_MAX, KEY_BYTES_MAX, KV_BYTES_MAX, KV_CHANGES_PER_CALL_MAX,
    KV_VALUE_BYTES_MAX, LOG_BYTES_MAX, LOG_MESSAGES_PER_CALL_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, Used,
    WRITES_PER_CALL_MAX,
};
pub use host::{Host, HostError, Level, Reply};
#[cfg(feature = "compiler")]
pub use interface::Compiled;
pub use interface::InterfaceError;
pub use program::{Instance, LoadError, Program};
pub use target::{Target, TargetError};
