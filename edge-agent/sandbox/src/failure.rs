//! Failures: what went wrong in a call, told apart by kind.
//!
//! WebAssembly knows few traps, so some kinds are inferred. A guest that finds no memory aborts as if it had
//! panicked: the limiter's memory tells. A guest that recurses too deep often leaves its memory before its stack:
//! a full backtrace of few functions tells. What a panic said comes through the log, just before the trap.

use std::collections::BTreeSet;

use flotilla_schemas::fault::Kind;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::guest::Guest;

/// The kinds of failure. Traps are `app.trap.` and wasmtime's name for them in kebab case.
pub mod kind {
    /// The operation took longer than its deadline, by computing or by waiting.
    pub const DEADLINE: &str = "app.deadline";
    /// The app asked for more memory than its limit and could not go on.
    pub const MEMORY: &str = "app.memory";
    /// The app called itself too deep.
    pub const STACK: &str = "app.stack";
    /// The operation returned an error. The instance is as good as before.
    pub const ERROR: &str = "app.error";
    /// The host panicked under the app: the agent's own mistake.
    pub const HOST: &str = "app.host";
    /// There is no such operation, or not for such arguments. The instance is as good as before.
    pub const OPERATION: &str = "app.operation";
    /// The app stopped itself: a panic, an abort, a failed assertion.
    pub const TRAP_UNREACHABLE: &str = "app.trap.unreachable";
    /// The app broke the rules by which it passes values: text that is no text, a pointer out of its memory.
    pub const TRAP_VALUE: &str = "app.trap.value";
    /// As many instances run as the sandbox can hold.
    pub const SANDBOX_FULL: &str = "sandbox.full";
}

/// The most frames of a backtrace.
pub const BACKTRACE_FRAMES_MAX: usize = 32;

/// The longest message of a failure, in bytes; what is beyond is cut off.
pub const MESSAGE_BYTES_MAX: usize = 2048;

/// The most functions that a full backtrace may be made of to count as endless recursion.
const RECURSION_FUNCTIONS_MAX: usize = 8;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// What was seen; one of [`kind`].
    pub kind: Kind,
    /// What happened, for people: what the app said last, or else what the sandbox saw. At most
    /// [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
    /// The code of the fault that the operation returned, if it returned one.
    pub code: Option<String>,
    /// The app's functions from the innermost outwards, demangled, at most [`BACKTRACE_FRAMES_MAX`].
    pub backtrace: Vec<String>,
    /// Whether the instance can do no more: start another.
    pub spent: bool,
}

impl Failure {
    /// A failure that leaves the instance as it was.
    pub(crate) fn mild(kind: &str, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::of(kind),
            message: cut(message.into()),
            code: None,
            backtrace: Vec::new(),
            spent: false,
        }
    }

    /// A failure after which there is no instance.
    pub(crate) fn fatal(kind: &str, message: impl Into<String>) -> Self {
        Self { spent: true, ..Self::mild(kind, message) }
    }

    /// A call that took longer than it may.
    pub(crate) fn overdue(deadline_ms: u32) -> Self {
        Self::fatal(kind::DEADLINE, format!("it took longer than {deadline_ms} ms"))
    }

    /// What the engine saw, with what the guest's store knows about it.
    pub(crate) fn seen(error: &wasmtime::Error, guest: &Guest) -> Self {
        let backtrace = frames(error);
        let kind = classify(error, guest, &backtrace);
        let message = guest.last_error().map_or_else(|| error.root_cause().to_string(), str::to_owned);
        Self { backtrace, ..Self::fatal(&kind, message) }
    }
}

fn classify(error: &wasmtime::Error, guest: &Guest, backtrace: &[String]) -> String {
    if error.is::<PoolConcurrencyLimitError>() {
        return kind::SANDBOX_FULL.to_owned();
    }
    let known = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => kind::DEADLINE,
        Some(Trap::StackOverflow) => kind::STACK,
        Some(Trap::MemoryOutOfBounds) if is_recursion(backtrace) => kind::STACK,
        Some(Trap::UnreachableCodeReached) | None if guest.exhausted() => kind::MEMORY,
        Some(Trap::UnreachableCodeReached) => kind::TRAP_UNREACHABLE,
        None => kind::TRAP_VALUE,
        Some(other) => return format!("app.trap.{}", kebab(&format!("{other:?}"))),
    };
    known.to_owned()
}

fn is_recursion(backtrace: &[String]) -> bool {
    let functions: BTreeSet<&String> = backtrace.iter().collect();
    backtrace.len() == BACKTRACE_FRAMES_MAX && functions.len() <= RECURSION_FUNCTIONS_MAX
}

fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frame = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => cut(format!("{:#}", rustc_demangle::demangle(name))),
        None => format!("function {}", frame.func_index()),
    };
    backtrace.frames().iter().take(BACKTRACE_FRAMES_MAX).map(frame).collect()
}

/// `IntegerDivisionByZero` as `integer-division-by-zero`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
    }
    kebab
}

pub(crate) fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    message
}
