//! Plans: what a script makes apps do, all of it known before the first operation runs.

use flotilla_schemas::{AppId, Type, Value};

use crate::diagnostic::{Diagnostics, Position, Report};
use crate::event_list::{Action, Arg, EventList, Source};
use crate::script::{Script, Visit};
use crate::step_event::StepEvent;

/// One step event of a script and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The step event.
    pub event: StepEvent,
    /// The line of the script where it stands, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub col: u32,
    /// What is called; nothing if the event list says `"none"`.
    pub call: Option<Call>,
}

/// A call of an operation. Each value is of the type and within the range that the event list gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The app.
    pub app: AppId,
    /// The operation that it exports.
    pub operation: String,
    /// The values, in the order in which the operation takes them.
    pub args: Vec<Value>,
}

/// Why a script does not run with an event list. The diagnostics are of the script's file and hold all that is
/// wrong, not only what decided the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A step event is not in the list, so nobody has said what it does.
    #[error("{0}")]
    Unmapped(Diagnostics),
    /// Every step event is in the list, but a value is missing or not of its type, or the root is not the list's.
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl Script {
    /// All steps in document order, their values read and checked. The same script and list give the same plan.
    ///
    /// ```
    /// use flotilla_script::{Definition, EventList, Script};
    /// let definition = Definition::parse("d.dtd", b"<!ELEMENT temperature (#PCDATA)>").unwrap();
    /// let script = Script::parse("s.xml", b"<temperature> 21 </temperature>", &definition).unwrap();
    /// let list = EventList::parse("e.json", br#"{
    ///     "events": "large", "definition": "d", "root": "temperature",
    ///     "steps": {
    ///         "start temperature": "none",
    ///         "text temperature": {
    ///             "app": "aircon", "operation": "set-temperature",
    ///             "args": [{ "name": "celsius", "from": "text", "type": "number", "min": 16, "max": 30 }]
    ///         },
    ///         "end temperature": "none"
    ///     }
    /// }"#).unwrap();
    /// list.check(&definition).unwrap();
    /// let steps = script.plan(&list).unwrap();
    /// let events: Vec<String> = steps.iter().map(|step| step.event.to_string()).collect();
    /// assert_eq!(events, ["start temperature", "text temperature", "end temperature"]);
    /// assert_eq!(steps[1].call.as_ref().unwrap().operation, "set-temperature");
    /// ```
    pub fn plan(&self, list: &EventList) -> Result<Vec<Step>, PlanError> {
        let mut planner = Planner { list, report: Report::new(&self.file), unmapped: false };
        if self.root() != list.root {
            let message = format!("the root is <{}>; the event list is for <{}>", self.root(), list.root);
            let at = self.walk.first().map_or(Position::START, |visit| visit.at);
            planner.report.add(at, message);
            return planner.finish(Vec::new());
        }
        let steps = self.walk.iter().filter_map(|visit| planner.step(visit)).collect();
        planner.finish(steps)
    }
}

struct Planner<'l> {
    list: &'l EventList,
    report: Report,
    unmapped: bool,
}

impl Planner<'_> {
    fn step(&mut self, visit: &Visit) -> Option<Step> {
        let Visit { event, at, .. } = visit;
        let call = match self.list.steps.get(event) {
            Some(Action::None) => None,
            Some(Action::Call(mapping)) => {
                let args = mapping.args.iter().map(|arg| self.value(visit, arg)).collect();
                Some(Call { app: mapping.app.clone(), operation: mapping.operation.clone(), args })
            }
            None => {
                self.unmapped = true;
                self.report.add(*at, format!("\"{event}\" is not in the event list {}", self.list.events));
                return None;
            }
        };
        Some(Step { event: event.clone(), line: at.line, col: at.col, call })
    }

    /// The value of an argument. Where it has none, a diagnostic stands for it and the plan is not made.
    fn value(&mut self, visit: &Visit, arg: &Arg) -> Value {
        let (at, what, read) = match &arg.source {
            Source::Const(value) => return value.clone(),
            Source::Text => {
                (visit.at, "the text".to_owned(), visit.text.as_deref().map(|text| arg.ty.read(text)))
            }
            Source::Attribute(name) => {
                let attribute = visit.tag.attributes.iter().find(|attribute| attribute.name == *name);
                let at = attribute.map_or(visit.at, |attribute| attribute.at);
                (at, name.clone(), attribute.map(|attribute| arg.ty.read(&attribute.value)))
            }
        };
        let message = match read {
            Some(Ok(value)) => return value,
            None if matches!(arg.ty, Type::Option { .. }) => return Value::None,
            Some(Err(error)) => format!("{what} of <{}>: {error}", visit.tag.name),
            None => format!("<{}> lacks {what}; expected {}", visit.tag.name, arg.ty),
        };
        self.report.add(at, message);
        Value::None
    }

    fn finish(self, steps: Vec<Step>) -> Result<Vec<Step>, PlanError> {
        let kind = if self.unmapped { PlanError::Unmapped } else { PlanError::Invalid };
        self.report.finish().map(|()| steps).map_err(kind)
    }
}
