//! Scripts and their definitions: what may be said, whether it was said rightly, and what it makes apps do.
//!
//! ```text
//! definition.dtd ── Definition::parse ──┐
//!                                       ▼
//! script.xml ── scanner ── validator ── tree ── Script ── plan ── [Step]
//!                                                           ▲
//! events.json ── EventList::parse ── check(&Definition) ────┘
//! ```
//!
//! A [`Definition`] is a DTD. A [`Script`] is an XML document that it allows, read as a walk: every start tag, text
//! and end tag is a [`StepEvent`]. An [`EventList`] maps each step event to an app's operation or to `none`, and
//! [`Script::plan`] joins the two into steps whose values are read and checked before the first of them runs.
//! What is not in the list does not happen.
//!
//! All text is hostile: every size and count has its bound in [`limit`], nothing outside the text is ever fetched,
//! and whatever is refused is refused with a [`Diagnostic`] that names the place. The package is pure: bytes in,
//! values out.

mod automaton;
mod chance;
mod coverage;
mod cursor;
mod definition;
mod diagnostic;
mod draft;
mod event_list;
mod generator;
mod items;
mod json;
pub mod limit;
mod literal;
mod plan;
mod scanner;
mod script;
mod shrink;
mod step_event;
mod text;
mod tree;
mod validator;

pub use coverage::Coverage;
pub use definition::Definition;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use event_list::{Action, Arg, EventList, Mapping, Source};
pub use generator::{Budget, End, Generated, Generator};
pub use items::{ItemId, Items, ItemsError, Place, Values};
pub use plan::{Call, PlanError, Step};
pub use script::Script;
pub use shrink::Shrink;
pub use step_event::{Phase, StepEvent, StepEventError};
