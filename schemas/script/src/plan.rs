//! Plans: what a script makes apps do, all of it known before the first operation runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_schemas::{AppId, Type, Value};

use crate::diagnostic::{Diagnostics, Position, Report};
use crate::event_list::{Action, Arg, EventList, Source};
use crate::limit::PLAN_BYTES_MAX;
use crate::script::{Script, Visit};
use crate::step_event::{Phase, StepEvent};

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
        let report = Report::new(&self.file);
        let mut planner = Planner { list, actions: BTreeMap::new(), report, unmapped: false, bytes: 0 };
        if self.root() != list.root {
            let message = format!("the root is <{}>; the event list is for <{}>", self.root(), list.root);
            let at = self.walk().next().map_or(Position::START, |visit| visit.at);
            planner.report.add(at, message);
            return planner.finish(Vec::new());
        }
        let mut steps = Vec::with_capacity(self.events.len());
        for visit in self.walk() {
            steps.extend(planner.step(&visit));
            if planner.bytes > PLAN_BYTES_MAX {
                planner
                    .report
                    .add(visit.at, format!("the plan has more than {PLAN_BYTES_MAX} bytes of arguments"));
                break;
            }
        }
        planner.finish(steps)
    }
}

struct Planner<'l> {
    list: &'l EventList,
    /// The step events so far and what the list says of them, by phase and where the script keeps the tag's name:
    /// it has few names, and each often.
    actions: BTreeMap<(Phase, *const u8), (StepEvent, Option<&'l Action>)>,
    report: Report,
    unmapped: bool,
    bytes: usize,
}

impl Planner<'_> {
    fn step(&mut self, visit: &Visit) -> Option<Step> {
        let at = visit.at;
        let (event, action) =
            self.actions.entry((visit.phase, visit.tag.name.as_ptr())).or_insert_with(|| {
                let event = StepEvent { phase: visit.phase, name: Arc::clone(visit.tag.event_name()) };
                let action = self.list.steps.get(&event);
                (event, action)
            });
        let event = event.clone();
        let call = match action {
            Some(Action::None) => None,
            Some(Action::Call(mapping)) => {
                let args: Vec<Value> = mapping.args.iter().map(|arg| self.value(visit, arg)).collect();
                self.bytes += args.iter().map(bytes).sum::<usize>();
                Some(Call { app: mapping.app.clone(), operation: mapping.operation.clone(), args })
            }
            None => {
                self.unmapped = true;
                self.report.add(at, format!("\"{event}\" is not in the event list {}", self.list.events));
                return None;
            }
        };
        Some(Step { event, line: at.line, col: at.col, call })
    }

    /// The value of an argument. Where it has none, a diagnostic stands for it and the plan is not made.
    fn value(&mut self, visit: &Visit, arg: &Arg) -> Value {
        let (at, what, read) = match &arg.source {
            Source::Const(value) => return value.clone(),
            Source::Text => (visit.at, "the text", visit.text.map(|text| arg.ty.read(text))),
            Source::Attribute(name) => {
                let attribute = visit.tag.attribute(name);
                let at = attribute.map_or(visit.at, |attribute| attribute.at);
                (at, name.as_str(), attribute.map(|attribute| arg.ty.read(&attribute.value)))
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

/// What a value takes in memory, roughly.
fn bytes(value: &Value) -> usize {
    let content = match value {
        Value::None | Value::Bool(_) | Value::Integer(_) | Value::Number(_) => 0,
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(bytes).sum(),
        Value::Record(fields) => fields.iter().map(|(name, value)| name.len() + bytes(value)).sum(),
    };
    size_of::<Value>() + content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definition;

    const DEFINITION: &str = "
        <!ELEMENT r (#PCDATA | t | wind)*> <!ELEMENT t (#PCDATA)> <!ELEMENT wind EMPTY>
        <!ATTLIST wind speed CDATA #IMPLIED kind CDATA 'warm'>
        <!ATTLIST t step-event NMTOKEN #FIXED 'temperature'>";

    fn plan(script: &str, steps: &str) -> Result<Vec<Step>, PlanError> {
        let definition = Definition::parse("d", DEFINITION.as_bytes()).unwrap();
        let list = format!(
            "{{\"events\": \"large\", \"definition\": \"d\", \"root\": \"r\", \"steps\": {{{steps}}}}}"
        );
        let list = EventList::parse("e", list.as_bytes()).unwrap();
        Script::parse("s", script.as_bytes(), &definition).unwrap().plan(&list)
    }

    fn none(events: &[&str]) -> String {
        events.iter().map(|event| format!("\"{event}\": \"none\", ")).collect()
    }

    fn call(event: &str, args: &str) -> String {
        format!(
            "{}\"{event}\": {{\"app\": \"a\", \"operation\": \"o\", \"args\": [{args}]}}",
            none(&["start r", "end r", "end wind"])
        )
    }

    #[test]
    fn a_plan_is_the_script_in_document_order() {
        let all = [
            "start r",
            "text r",
            "end r",
            "start temperature",
            "text temperature",
            "end temperature",
            "start wind",
        ];
        let steps = plan("<r>\n a<t> 2 </t><!-- -->\n<wind/>b</r>", &(none(&all) + "\"end wind\": \"none\""))
            .unwrap();
        let steps: Vec<String> =
            steps.iter().map(|step| format!("{}:{} {}", step.line, step.col, step.event)).collect();
        let expected = [
            "1:1 start r",
            "2:2 text r",
            "2:3 start temperature",
            "2:7 text temperature",
            "2:9 end temperature",
            "3:1 start wind",
            "3:1 end wind",
            "3:8 text r",
            "3:9 end r",
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn arguments_come_from_texts_attributes_and_constants() {
        let args = r#"{"name": "a", "from": "@speed", "type": "number", "max": 9},
            {"name": "b", "from": "@kind", "type": "choice", "of": ["warm", "cold"]},
            {"name": "c", "const": [1, 2], "type": "list", "of": {"type": "integer"}},
            {"name": "d", "from": "@kind", "type": "text"}"#;
        let steps = plan("<r><wind speed=' 2.5 '/></r>", &call("start wind", args)).unwrap();
        let warm = || Value::Text("warm".into());
        let list = Value::List(vec![Value::Integer(1), Value::Integer(2)]);
        let args = vec![Value::Number(2.5), warm(), list, warm()];
        let call = Call { app: AppId::new("a").unwrap(), operation: "o".into(), args };
        assert_eq!(steps[1].call, Some(call));
        assert_eq!(steps[0].call, None);
    }

    #[test]
    fn an_attribute_that_is_absent_is_none_if_its_type_is_optional() {
        let arg = r#"{"name": "a", "from": "@speed", "type": "option", "of": {"type": "integer"}}"#;
        let steps = plan("<r><wind/><wind speed='3'/></r>", &call("start wind", arg)).unwrap();
        let args: Vec<&Value> =
            steps.iter().filter_map(|step| step.call.as_ref()).flat_map(|call| &call.args).collect();
        assert_eq!(args, [&Value::None, &Value::Integer(3)]);
    }

    #[test]
    fn values_that_do_not_fit_are_all_told_where_they_stand() {
        let arg = r#"{"name": "a", "from": "@speed", "type": "integer", "min": 1, "max": 5}"#;
        let error = plan("<r><wind speed='9'/>\n<wind/><wind  speed='x'/></r>", &call("start wind", arg))
            .unwrap_err();
        assert!(matches!(error, PlanError::Invalid(_)));
        let expected = [
            "s:1:10: speed of <wind>: 9 is not a whole number from 1 to 5",
            "s:2:1: <wind> lacks speed; expected a whole number from 1 to 5",
            "s:2:15: speed of <wind>: \"x\" is not a whole number from 1 to 5",
        ];
        assert_eq!(error.to_string().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_step_event_that_is_not_in_the_list_is_told_apart_from_values() {
        let arg = r#"{"name": "a", "from": "@speed", "type": "integer"}"#;
        let error = plan("<r><wind speed='x'/>\n<t/></r>", &call("start wind", arg)).unwrap_err();
        assert!(matches!(error, PlanError::Unmapped(_)));
        let expected = [
            "s:1:10: speed of <wind>: \"x\" is not a whole number",
            "s:2:1: \"start temperature\" is not in the event list large",
            "s:2:1: \"end temperature\" is not in the event list large",
        ];
        assert_eq!(error.to_string().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_script_with_another_root_than_the_lists_is_refused() {
        let error = plan("<wind/>", "").unwrap_err();
        assert!(matches!(error, PlanError::Invalid(_)));
        assert_eq!(error.to_string(), "s:1:1: the root is <wind>; the event list is for <r>");
    }

    #[test]
    fn a_plan_whose_arguments_grow_beyond_the_limit_is_refused() {
        let text = "x".repeat(4096);
        let steps = call("start wind", &format!(r#"{{"name": "a", "const": "{text}", "type": "text"}}"#));
        let calls = PLAN_BYTES_MAX / (text.len() + size_of::<Value>());
        assert!(plan(&format!("<r>{}</r>", "<wind/>".repeat(calls)), &steps).is_ok());
        let error = plan(&format!("<r>\n{}\n<wind/></r>", "<wind/>".repeat(calls)), &steps).unwrap_err();
        assert_eq!(error.to_string(), "s:3:1: the plan has more than 8388608 bytes of arguments");
    }
}
