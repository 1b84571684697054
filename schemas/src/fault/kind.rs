//! The names of kinds that this build itself raises. Each is written here and nowhere else in it.

/// An app's files are not what was signed.
pub const MISMATCH: &str = "integrity.mismatch";
/// No machine code fits this edge, and it cannot make any.
pub const RUNTIME: &str = "app.runtime";
/// An app needs more memory than this edge gives all of its apps.
pub const TOO_LARGE: &str = "app.too-large";
/// An app that is called is not in memory.
pub const UNLOADED: &str = "app.unloaded";
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
/// What the app wants to set was not set, and no device is to blame.
pub const WRITE: &str = "app.write";
/// The app stopped itself: a panic, an abort, a failed assertion.
pub const TRAP_UNREACHABLE: &str = "app.trap.unreachable";
/// The app broke the rules by which it passes values: text that is no text, a pointer out of its memory.
pub const TRAP_VALUE: &str = "app.trap.value";
/// As many instances run as the sandbox can hold.
pub const SANDBOX_FULL: &str = "sandbox.full";
/// A script, definition or event list does not hold together.
pub const SCRIPT_INVALID: &str = "script.invalid";
/// A step event is not in the event list.
pub const SCRIPT_UNMAPPED: &str = "script.unmapped";
/// The disk took longer than anybody waits.
pub const STORAGE_SLOW: &str = "storage.slow";
/// The disk does not do what it is told, and is not full as far as is known.
pub const STORAGE_BROKEN: &str = "storage.broken";
/// The disk takes no more.
pub const STORAGE_FULL: &str = "storage.full";
/// A device cannot be reached.
pub const EQUIPMENT_UNREACHABLE: &str = "equipment.unreachable";
/// A device did not answer in time.
pub const EQUIPMENT_SLOW: &str = "equipment.slow";
/// A device refused what it was asked.
pub const EQUIPMENT_REFUSED: &str = "equipment.refused";
/// A device answered what is beyond its range, or has no such address.
pub const EQUIPMENT_RANGE: &str = "equipment.range";
/// Records could not be given to the broker.
pub const JOURNAL_UNSENT: &str = "journal.unsent";
/// A center holds other records at the same positions: this disk was restored or cloned.
pub const JOURNAL_FORK: &str = "journal.fork";

/// The kind of any other trap, by its name in kebab case.
///
/// ```
/// use flotilla_schemas::fault::kind;
/// assert_eq!(kind::trap("unreachable"), kind::TRAP_UNREACHABLE);
/// ```
pub fn trap(name: &str) -> String {
    format!("app.trap.{name}")
}
