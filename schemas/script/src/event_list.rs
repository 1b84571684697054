//! Event lists: which step event makes which app do what.
//!
//! A list is JSON and can be changed alone: the same script then runs other apps. Parsing refuses unknown and
//! repeated keys, and mappings that contradict themselves; [`EventList::check`] holds the list against the
//! definition, so that every step event is either mapped or explicitly `"none"`, and nothing is mapped in vain.

mod mapping;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::{AppId, DefinitionId, EventsId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Position, Report};
use crate::json;
use crate::limit::EVENT_LIST_BYTES_MAX;
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
    pub(crate) file: String,
    #[serde(skip)]
    text: String,
}

impl EventList {
    /// Reads an event list. `file` is what diagnostics call it. Of what is not JSON of the right shape the first
    /// error is told, of mappings that contradict themselves all are.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Diagnostics> {
        let mut report = Report::new(file);
        let parsed =
            decode(text, EVENT_LIST_BYTES_MAX).and_then(|text| Ok((json::parse::<Self>(&text)?, text)));
        match parsed {
            Ok((list, text)) => {
                let list = Self { file: file.to_owned(), text, ..list };
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
        let occurring = definition.step_events(&self.root);
        if occurring.is_empty() {
            report.add(
                self.place("root"),
                format!("the root <{}> is not declared in the definition", self.root),
            );
            return report.finish();
        }
        for event in occurring.iter().filter(|event| !self.steps.contains_key(event)) {
            report.add(self.place("steps"), format!("\"{event}\" is neither mapped nor \"none\""));
        }
        for event in self.steps.keys().filter(|event| !occurring.contains(event)) {
            let message = format!("\"{event}\" cannot occur in a script with the root <{}>", self.root);
            report.add(self.place(&event.to_string()), message);
        }
        for (event, mapping) in self.mappings().filter(|(event, _)| occurring.contains(event)) {
            self.check_attributes(event, mapping, definition, &mut report);
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

    fn mappings(&self) -> impl Iterator<Item = (&StepEvent, &Mapping)> {
        self.steps.iter().filter_map(|(event, action)| match action {
            Action::None => None,
            Action::Call(mapping) => Some((event, mapping)),
        })
    }

    fn check_args(&self, report: &mut Report) {
        for (event, mapping) in self.mappings() {
            let at = self.place(&event.to_string());
            let mut names = BTreeSet::new();
            for arg in &mapping.args {
                if !names.insert(&arg.name) {
                    report.add(at, format!("\"{event}\": argument {} is given twice", arg.name));
                }
                if arg.source == Source::Text && event.phase != Phase::Text {
                    let message = format!(
                        "\"{event}\": argument {} is taken from a text, which only text events have",
                        arg.name
                    );
                    report.add(at, message);
                }
            }
        }
    }

    fn check_attributes(
        &self,
        event: &StepEvent,
        mapping: &Mapping,
        definition: &Definition,
        report: &mut Report,
    ) {
        for (tag, element) in definition.tags(&self.root, &event.name) {
            for arg in &mapping.args {
                if let Source::Attribute(attribute) = &arg.source
                    && !element.attributes.contains_key(attribute)
                {
                    let message =
                        format!("\"{event}\": argument {}: <{tag}> has no attribute {attribute}", arg.name);
                    report.add(self.place(&event.to_string()), message);
                }
            }
        }
    }

    fn place(&self, key: &str) -> Position {
        json::place(&self.text, key)
    }
}
