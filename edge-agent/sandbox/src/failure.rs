//! What went wrong in a call, told apart by kind.
//!
//! WebAssembly knows few traps, so some kinds are inferred. A guest that finds no memory aborts as if it had
//! panicked: the limiter's memory tells. A guest that recurses too deep often leaves its memory before its stack:
//! a full backtrace of few functions tells. What a panic said comes through the log, just before the trap.

use std::collections::BTreeSet;

use flotilla_schemas::fault::{BACKTRACE_FRAMES_MAX, Failure, cut, kind};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::guest::Guest;

/// The most functions that a full backtrace may be made of to count as endless recursion.
const RECURSION_FUNCTIONS_MAX: usize = 8;

/// A call that took longer than it may.
pub(crate) fn overdue(deadline_ms: u32) -> Failure {
    Failure::new(kind::DEADLINE, format!("it took longer than {deadline_ms} ms"))
}

/// What the engine saw, with what the guest's store knows about it.
pub(crate) fn seen(error: &wasmtime::Error, guest: &Guest) -> Failure {
    let backtrace = frames(error);
    let kind = classify(error, guest, &backtrace);
    let message = guest.last_error().map_or_else(|| error.root_cause().to_string(), str::to_owned);
    Failure { backtrace, ..Failure::new(&kind, message) }
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
        Some(other) => return kind::trap(&kebab(&format!("{other:?}"))),
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
