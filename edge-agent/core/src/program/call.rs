//! The calls of one run, all of them known before the first is made.
//!
//! A build without the feature `scripts` holds no scanner, validator or event list; it plans apps' own operations
//! alone, and a script that reaches it all the same is refused.

use flotilla_schemas::fault::Failure;
use flotilla_schemas::{AppId, Value};

use crate::input::ScriptFiles;

/// A call that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub app: AppId,
    pub operation: String,
    pub args: Vec<Value>,
    /// Where the script asks for it: `line:column event`.
    pub place: Option<String>,
}

/// The whole walk of a script, checked against its definition and resolved by its event list.
#[cfg(feature = "scripts")]
pub(crate) fn plan(files: &ScriptFiles) -> Result<Vec<Call>, Failure> {
    use flotilla_schemas::fault::kind;
    use flotilla_script::{Definition, Diagnostics, EventList, PlanError, Script};

    let invalid = |error: Diagnostics| Failure::new(kind::SCRIPT_INVALID, error.to_string());
    let definition = Definition::parse("definition.dtd", &files.definition).map_err(invalid)?;
    let events = EventList::parse("events.json", &files.events).map_err(invalid)?;
    let script = Script::parse("script.xml", &files.text, &definition).map_err(invalid)?;
    let steps = script.plan(&events).map_err(|error| match error {
        PlanError::Unmapped(error) => Failure::new(kind::SCRIPT_UNMAPPED, error.to_string()),
        PlanError::Invalid(error) => Failure::new(kind::SCRIPT_INVALID, error.to_string()),
    })?;
    let call = |step: flotilla_script::Step| {
        let place = Some(format!("{}:{} {}", step.line, step.col, step.event));
        step.call.map(|call| Call { app: call.app, operation: call.operation, args: call.args, place })
    };
    Ok(steps.into_iter().filter_map(call).collect())
}

/// Nothing is planned: this build reads no scripts.
#[cfg(not(feature = "scripts"))]
pub(crate) fn plan(_: &ScriptFiles) -> Result<Vec<Call>, Failure> {
    use super::waits::Waits;
    Err(Failure::new(flotilla_schemas::fault::kind::SCRIPT_INVALID, Waits::NoScripts.to_string()))
}

#[cfg(all(test, feature = "scripts"))]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_is_not_as_its_definition_says_gives_no_calls() {
        let files = ScriptFiles {
            definition: b"<!ELEMENT go EMPTY>".to_vec(),
            events: br#"{"root": "go", "map": {}}"#.to_vec(),
            text: b"<stop/>".to_vec(),
        };
        let failure = plan(&files).unwrap_err();
        assert!(failure.kind.as_str().starts_with("script."), "{failure:?}");
    }
}
