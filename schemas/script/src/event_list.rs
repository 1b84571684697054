//! Event lists: which step event makes which app do what.
//!
//! A list is JSON and can be changed alone: the same script then runs other apps. Parsing refuses unknown and
//! repeated keys, and mappings that contradict themselves; [`EventList::check`] holds the list against the
//! definition, so that every step event is either mapped or explicitly `"none"`, and nothing is mapped in vain.

mod mapping;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::{AppId, DefinitionId, EventsId, Type};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::definition::{Definition, Element};
use crate::diagnostic::{Diagnostics, Position, Report, shown};
use crate::items::Place;
use crate::json;
use crate::limit::{ARGS_MAX, EVENT_LIST_BYTES_MAX};
use crate::step_event::{Phase, StepEvent};
use crate::text::decode;

pub use mapping::{Action, Arg, Mapping, Source};

/// Which step event makes which app do what.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventList {
    /// The list's own id.
    pub events: EventsId,
    /// The definition whose step events it maps.
    pub definition: DefinitionId,
    /// The root element of the scripts that it is for.
    pub root: String,
    /// What happens at each step event.
    pub steps: BTreeMap<StepEvent, Action>,
    #[serde(skip)]
    file: String,
    /// Where in the file its keys stand.
    #[serde(skip)]
    places: BTreeMap<String, Position>,
}

impl EventList {
    /// Reads an event list. `file` is what diagnostics call it. Of what is not JSON of the right shape the first
    /// error is told, of mappings that contradict themselves all are.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Diagnostics> {
        let mut report = Report::new(file);
        let read = |text: String| Ok((json::parse::<Self>(&text)?, json::keys(&text)));
        match decode(text, EVENT_LIST_BYTES_MAX).and_then(read) {
            Ok((list, places)) => {
                let list = Self { file: file.to_owned(), places, ..list };
                list.check_args(&mut report);
                report.finish().map(|()| list)
            }
            Err(problem) => Err(report.finish_with(problem)),
        }
    }

    /// Whether the list and the definition fit: its root is declared, each step event that scripts with this root
    /// can produce is mapped or `"none"`, nothing else is mapped, and each attribute that is used exists.
    pub fn check(&self, definition: &Definition) -> Result<(), Diagnostics> {
        let mut report = Report::new(&self.file);
        let elements = definition.reachable(&self.root);
        if elements.is_empty() {
            let message = format!("the root {} is not declared in the definition", shown(&self.root));
            report.add(self.place("root"), message);
        }
        let occurring = definition.step_events(&self.root);
        for event in occurring.iter().filter(|event| !self.steps.contains_key(event)) {
            report.add(self.place("steps"), format!("\"{event}\" is neither mapped nor \"none\""));
        }
        for event in self.steps.keys().filter(|event| !elements.is_empty() && !occurring.contains(event)) {
            let message = format!("\"{event}\" cannot occur in a script with the root <{}>", self.root);
            report.add(self.place(&event.to_string()), message);
        }
        for (event, mapping) in self.mappings() {
            let tags = elements.iter().filter(|(tag, element)| element.event_name(tag) == &*event.name);
            for (tag, element) in tags {
                self.check_attributes(event, mapping, tag, element, &mut report);
            }
        }
        report.finish()
    }

    /// The apps that the list calls, sorted.
    pub fn apps(&self) -> BTreeSet<AppId> {
        self.operations().map(|mapping| mapping.app.clone()).collect()
    }

    /// Every call that the list maps to, in the order of the step events: what an app must export, and with which
    /// types. An operation that several step events call comes several times.
    pub fn operations(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings().map(|(_, mapping)| mapping)
    }

    /// Where in scripts of this definition the list reads values, and what each of them may be.
    pub fn places(&self, definition: &Definition) -> BTreeMap<Place, Vec<&Type>> {
        let elements = definition.reachable(&self.root);
        let mut places: BTreeMap<Place, Vec<&Type>> = BTreeMap::new();
        for (event, mapping) in self.mappings() {
            let occurs = |tag: &str, element: &Element| element.step_events(tag).any(|one| one == *event);
            for (tag, _) in elements.iter().filter(|(tag, element)| occurs(tag, element)) {
                for arg in &mapping.args {
                    let attribute = match &arg.source {
                        Source::Const(_) => continue,
                        Source::Text => None,
                        Source::Attribute(name) => Some(name.clone()),
                    };
                    places.entry(Place { element: tag.to_string(), attribute }).or_default().push(&arg.ty);
                }
            }
        }
        places
    }

    fn mappings(&self) -> impl Iterator<Item = (&StepEvent, &Mapping)> {
        self.steps.iter().filter_map(|(event, action)| match action {
            Action::None => None,
            Action::Call(mapping) => Some((event, mapping)),
        })
    }

    fn check_args(&self, report: &mut Report) {
        for (event, mapping) in self.mappings() {
            if mapping.args.len() > ARGS_MAX {
                self.report(event, format!("there are more than {ARGS_MAX} arguments"), report);
            }
            let mut names = BTreeSet::new();
            for Arg { name, source, .. } in &mapping.args {
                if !names.insert(name) {
                    self.report(event, format!("argument {} is given twice", shown(name)), report);
                }
                if *source == Source::Text && event.phase != Phase::Text {
                    let message =
                        format!("argument {} is taken from text, which only text events have", shown(name));
                    self.report(event, message, report);
                }
            }
        }
    }

    fn check_attributes(
        &self,
        event: &StepEvent,
        mapping: &Mapping,
        tag: &str,
        element: &Element,
        report: &mut Report,
    ) {
        for arg in &mapping.args {
            if let Source::Attribute(attribute) = &arg.source
                && !element.attributes.contains_key(&**attribute)
            {
                let message =
                    format!("argument {}: <{tag}> has no attribute {}", shown(&arg.name), shown(attribute));
                self.report(event, message, report);
            }
        }
    }

    fn report(&self, event: &StepEvent, message: String, report: &mut Report) {
        report.add(self.place(&event.to_string()), format!("\"{event}\": {message}"));
    }

    fn place(&self, key: &str) -> Position {
        self.places.get(key).copied().unwrap_or(Position::START)
    }
}

#[cfg(test)]
mod tests {
    use flotilla_schemas::Value;

    use super::*;
    use crate::limit::NAME_BYTES_MAX;

    const DEFINITION: &str = "
        <!ELEMENT r (t | wind | breeze)*> <!ELEMENT t (#PCDATA)> <!ELEMENT wind EMPTY> <!ELEMENT breeze EMPTY>
        <!ELEMENT unused EMPTY>
        <!ATTLIST wind speed CDATA #REQUIRED> <!ATTLIST breeze step-event NMTOKEN #FIXED 'wind'>";

    /// A list of these steps, one a line from line 2 on.
    fn list(root: &str, steps: &[&str]) -> String {
        let head =
            format!("{{\"events\": \"e\", \"definition\": \"d\", \"root\": \"{root}\", \"steps\": {{\n");
        head + &steps.join(",\n") + "}}"
    }

    fn parse(steps: &[&str]) -> Result<EventList, String> {
        EventList::parse("e", list("r", steps).as_bytes()).map_err(|errors| errors.to_string())
    }

    fn call(event: &str, arg: &str) -> String {
        format!("\"{event}\": {{\"app\": \"a\", \"operation\": \"o\", \"args\": [{arg}]}}")
    }

    #[test]
    fn a_list_says_what_it_calls() {
        let arg = r#"{"name": "x", "from": "text", "type": "integer", "max": 3}, {"name": "y", "const": null, "type": "option", "of": {"type": "bool"}}"#;
        let steps =
            ["\"start t\": \"none\"", &call("text t", arg), r#""end t": {"app": "b", "operation": "p"}"#];
        let list = parse(&steps).unwrap();
        assert_eq!(list.apps().iter().map(AppId::as_str).collect::<Vec<_>>(), ["a", "b"]);
        let operations: Vec<(&str, usize)> =
            list.operations().map(|m| (&*m.operation, m.args.len())).collect();
        assert_eq!(operations, [("o", 2), ("p", 0)]);
        let args = &list.operations().next().unwrap().args;
        let integer = Type::Integer { min: i64::MIN, max: 3 };
        assert_eq!(args[0], Arg { name: "x".into(), source: Source::Text, ty: integer });
        assert_eq!(args[1].source, Source::Const(Value::None));
    }

    #[test]
    fn what_is_not_a_list_is_refused_with_line_and_column() {
        let cases = [
            ("\"start t\": nothing", "e:2:13: expected ident"),
            (
                "\"start t\": \"all\"",
                "e:2:16: invalid value: string \"all\", expected \"none\" or an object with `app`, `operation` and `args`",
            ),
            (
                "\"start t\": 1",
                "e:2:12: invalid type: integer `1`, expected \"none\" or an object with `app`, `operation` and `args`",
            ),
            (
                "\"begin t\": \"none\"",
                "e:2:9: \"begin t\" is not a step event: `start NAME`, `text NAME` or `end NAME`",
            ),
            ("\"start t\": \"none\",\n\"start t\": \"none\"", "e:3:9: the key \"start t\" occurs twice"),
            ("\"start t\": {\"app\": \"a\"}", "e:2:23: missing field `operation`"),
            (
                "\"start t\": {\"app\": \"A\", \"operation\": \"o\"}",
                "e:2:22: \"A\" is not an app id: 1 to 64 characters of a-z, 0-9 and -",
            ),
            (
                "\"start t\": {\"aps\": \"a\"}",
                "e:2:17: unknown field `aps`, expected one of `app`, `operation`, `args`",
            ),
            ("\"start t\": {\"app\": \"a\", \"app\": \"a\"}", "e:2:29: the key \"app\" occurs twice"),
        ];
        for (steps, error) in cases {
            assert_eq!(parse(&[steps]).unwrap_err(), error, "{steps}");
        }
        let unknown = list("r", &[]).replace("\"root\"", "\"roots\": 1, \"root\"");
        let error = EventList::parse("e", unknown.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "e:1:42: unknown field `roots`, expected one of `events`, `definition`, `root`, `steps`"
        );
    }

    #[test]
    fn an_argument_that_contradicts_itself_is_refused() {
        let cases = [
            (r#"{"name": "x", "from": "text", "type": "bool", "min": 1}"#, "unknown field `min`"),
            (r#"{"name": "x", "form": "text", "type": "bool"}"#, "unknown field `form`"),
            (r#"{"name": "x", "from": "text", "type": "boolean"}"#, "unknown variant `boolean`"),
            (r#"{"name": "x", "from": "text"}"#, "missing field `type`"),
            (r#"{"name": "x", "type": "bool"}"#, "argument `x`: expected either `from` or `const`"),
            (
                r#"{"name": "x", "from": "text", "const": true, "type": "bool"}"#,
                "argument `x`: expected either `from` or `const`",
            ),
            (
                r#"{"name": "x", "from": "@", "type": "bool"}"#,
                "argument `x`: `from` is \"text\" or \"@\" and an attribute's name",
            ),
            (
                r#"{"name": "x", "const": 3, "type": "integer", "max": 2}"#,
                "argument `x`: 3 is not a whole number of at most 2",
            ),
        ];
        for (arg, error) in cases {
            let found = parse(&[&call("text t", arg)]).unwrap_err();
            assert!(found.starts_with("e:2:") && found.contains(error), "{arg}: {found}");
        }
    }

    #[test]
    fn mappings_that_cannot_be_carried_out_are_all_told() {
        let text = r#"{"name": "x", "from": "text", "type": "bool"}"#;
        let attribute = r#"{"name": "x", "from": "@a", "type": "bool"}"#;
        let twice = format!("{attribute}, {attribute}");
        let error = parse(&[&call("start t", text), &call("end t", &twice)]).unwrap_err();
        let expected = [
            "e:2:1: \"start t\": argument `x` is taken from text, which only text events have",
            "e:3:1: \"end t\": argument `x` is given twice",
        ];
        assert_eq!(error.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_list_of_the_limits_is_read_and_one_beyond_is_not() {
        let args = |n: usize| {
            let arg = |i| format!(r#"{{"name": "x{i}", "const": true, "type": "bool"}}"#);
            parse(&[&call("start t", &(0..n).map(arg).collect::<Vec<_>>().join(","))]).map(drop)
        };
        assert_eq!(args(ARGS_MAX), Ok(()));
        assert_eq!(args(ARGS_MAX + 1), Err("e:2:1: \"start t\": there are more than 16 arguments".into()));
        let named = |n: usize| parse(&[&format!("\"start {}\": \"none\"", "n".repeat(n))]).map(drop);
        assert_eq!(named(NAME_BYTES_MAX), Ok(()));
        assert!(named(NAME_BYTES_MAX + 1).unwrap_err().contains("is not a step event"));
        let empty = list("r", &[]).len();
        let padded =
            |n: usize| EventList::parse("e", (list("r", &[]) + &" ".repeat(n - empty)).as_bytes()).map(drop);
        assert_eq!(padded(EVENT_LIST_BYTES_MAX), Ok(()));
        let error = padded(EVENT_LIST_BYTES_MAX + 1).unwrap_err().to_string();
        assert_eq!(error, "e:1:1: the file is larger than 262144 bytes");
    }

    #[test]
    fn a_list_says_where_it_reads_values_in_every_element_of_the_step_event() {
        let definition = Definition::parse("d", DEFINITION.as_bytes()).unwrap();
        let args = r#"{"name": "x", "from": "@speed", "type": "integer"}, {"name": "y", "const": 1, "type": "integer"}"#;
        let list = parse(&[
            &call("start wind", args),
            &call("text wind", r#"{"name": "x", "from": "text", "type": "text"}"#),
            &call("text t", r#"{"name": "x", "from": "text", "type": "text"}"#),
        ]);
        let list = list.unwrap();
        let places: Vec<(String, usize)> = list
            .places(&definition)
            .into_iter()
            .map(|(place, types)| {
                (format!("{}@{}", place.element, place.attribute.unwrap_or_default()), types.len())
            })
            .collect();
        let place = |text: &str| (text.to_owned(), 1);
        assert_eq!(places, [place("breeze@speed"), place("t@"), place("wind@speed")]);
    }

    #[test]
    fn json_that_is_nested_too_deep_is_refused() {
        let deep = list("r", &[&format!("\"start t\": {}", "[".repeat(100_000))]);
        let error = EventList::parse("e", deep.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("recursion limit exceeded"), "{error}");
    }

    #[test]
    fn a_list_maps_every_step_event_of_its_definition_and_no_other() {
        let definition = Definition::parse("d", DEFINITION.as_bytes()).unwrap();
        let check = |root: &str, steps: &[&str]| {
            let list = EventList::parse("e", list(root, steps).as_bytes()).unwrap();
            list.check(&definition).map_or_else(|errors| errors.to_string(), |()| String::new())
        };
        let whole = ["start r", "end r", "start t", "text t", "end t", "start wind", "end wind"];
        let whole = whole.map(|event| format!("\"{event}\": \"none\""));
        let mut steps: Vec<&str> = whole.iter().map(String::as_str).collect();
        assert_eq!(check("r", &steps), "");
        assert_eq!(check("q", &steps), "e:1:36: the root `q` is not declared in the definition");

        let speed = call("start wind", r#"{"name": "x", "from": "@speed", "type": "text"}"#);
        steps.splice(3..6, ["\"start unused\": \"none\"", "\"text wind\": \"none\"", &speed]);
        let expected = [
            "e:1:49: \"end t\" is neither mapped nor \"none\"",
            "e:1:49: \"text t\" is neither mapped nor \"none\"",
            "e:5:1: \"start unused\" cannot occur in a script with the root <r>",
            "e:6:1: \"text wind\" cannot occur in a script with the root <r>",
            "e:7:1: \"start wind\": argument `x`: <breeze> has no attribute `speed`",
        ];
        let mut errors: Vec<String> = check("r", &steps).lines().map(str::to_owned).collect();
        errors.sort();
        assert_eq!(errors, expected);
    }

    #[test]
    fn the_schema_says_what_the_parser_takes() {
        let schema = serde_json::to_value(schemars::schema_for!(EventList)).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["events", "definition", "root", "steps"]));
        assert_eq!(schema["$defs"]["Arg"]["unevaluatedProperties"], false);
        let names: Vec<&String> = schema["$defs"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["Action", "AppId", "Arg", "DefinitionId", "EventsId", "Mapping", "Type", "Value"]);
    }
}
