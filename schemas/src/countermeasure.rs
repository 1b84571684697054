//! The list of countermeasures: what to do about a fault, by kind, app, cause and how often it was tried.
//!
//! One pure function, [`Countermeasures::answer`], is the fault desk's answer at the center and what an edge falls
//! back on when no center answers: the same list and the same record give the same measure everywhere.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fault::{Kind, kind};
use crate::id::AppId;
use crate::json::Json;
use crate::measure::known;
pub use crate::measure::{By, Measure};

/// The most rules, and the most causes, of one list.
pub const RULES_MAX: usize = 256;

/// The most measures of one rule.
pub const MEASURES_MAX: usize = 16;

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Countermeasures {
    /// Raised by the center each time that the list is replaced. A file that is handed in may leave it out.
    #[serde(default)]
    pub version: u64,
    /// How causes are told; the first that fits is the cause.
    #[serde(default, rename = "cause")]
    pub causes: Vec<CauseRule>,
    /// What is done; the first rule that fits holds.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// How a cause is told from the record of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseRule {
    /// The cause that it identifies.
    pub cause: Kind,
    /// Kinds of fault: a name, `name.*` or `*`.
    pub kind: String,
    /// The app; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// What the fault's message contains; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is done about faults that fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Kinds of fault: a name, `name.*` or `*`.
    pub kind: String,
    /// The app; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// The cause: a name, `name.*`, or `unidentified`; none means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who decides: the center, or the edge by itself.
    #[serde(default)]
    pub by: By,
    /// For how long a fault that was cured counts when the next one like it is treated, in seconds.
    #[serde(default = "window_s")]
    pub window_s: u32,
    /// The measures, the mildest first. A fault that goes on gets the next one; at the end, the last one again.
    #[serde(deserialize_with = "known")]
    pub measures: Vec<Measure>,
}

fn window_s() -> u32 {
    600
}

/// What is asked of the list: the record of a fault, as far as the answer depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What was seen.
    pub kind: &'a Kind,
    /// The app it was seen in.
    pub app: &'a AppId,
    /// The fault's message.
    pub message: &'a str,
    /// Which attempt this is, from 1; cured faults within the rule's window count.
    pub attempt: u32,
}

/// What the list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Why: identified, or `unidentified`.
    pub cause: Kind,
    /// What to do.
    pub measure: Measure,
    /// Who decides it.
    pub by: By,
}

/// What of a list was read, and what needs a newer program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadList {
    /// The list, without what could not be read.
    pub list: Countermeasures,
    /// Each rule and cause that could not be read, in words.
    pub unread: Vec<String>,
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListError(pub String);

impl Countermeasures {
    /// Reads what a program of any version wrote. A rule or cause that is not known here is left out, and those after it
    /// hold all the same.
    pub fn read(list: &Json) -> Result<ReadList, serde_json::Error> {
        #[derive(Deserialize)]
        struct Parts {
            #[serde(default)]
            version: u64,
            #[serde(default)]
            cause: Vec<Json>,
            #[serde(default)]
            rule: Vec<Json>,
        }
        let Parts { version, cause, rule } = list.read()?;
        let mut unread = Vec::new();
        let causes = one_by_one("cause", &cause, &mut unread);
        let rules = one_by_one("rule", &rule, &mut unread);
        Ok(ReadList { list: Self { version, causes, rules }, unread })
    }

    /// What holds where a list says nothing, and until a person sets one: apps are started anew, then their alternate
    /// takes over; files that are not what was signed are fetched again, and those that the disk does not give are read
    /// again; everything else is told. Of equipment, and of
    /// an app that failed because of it, the edge tells at once: it closes such a fault itself when the device answers
    /// well again. Its version is 0, below every list's.
    pub fn standard() -> Self {
        let rule = |kind: &str, by, measures: &[Measure]| {
            let measures = measures.to_vec();
            Rule { kind: kind.to_owned(), app: None, cause: None, by, window_s: window_s(), measures }
        };
        let equipment = [
            kind::EQUIPMENT_UNREACHABLE,
            kind::EQUIPMENT_SLOW,
            kind::EQUIPMENT_REFUSED,
            kind::EQUIPMENT_RANGE,
        ];
        let cause = |cause: &str| {
            let message = Some(cause.to_owned());
            CauseRule { cause: Kind::of(cause), kind: "app.*".to_owned(), app: None, message }
        };
        let let_down = Some("equipment.*".to_owned());
        let rules = vec![
            Rule { cause: let_down, ..rule("app.*", By::Edge, &[Measure::Tell]) },
            rule(kind::STORAGE_BROKEN, By::Edge, &[Measure::Restart, Measure::Restart, Measure::Tell]),
            rule("integrity.*", By::Edge, &[Measure::Reinstall, Measure::Reinstall, Measure::Tell]),
            rule("equipment.*", By::Edge, &[Measure::Tell]),
            rule("app.*", By::Center, &[Measure::Restart, Measure::Restart, Measure::Replace, Measure::Tell]),
            rule("*", By::Center, &[Measure::Tell]),
        ];
        Self { version: 0, causes: equipment.map(cause).into(), rules }
    }

    /// The cause of a fault, as far as the list can tell, or where it cannot, that of [`Countermeasures::standard`].
    pub fn cause(&self, question: &Question<'_>) -> Kind {
        let fits = |rule: &&CauseRule| {
            question.kind.is_in(&rule.kind)
                && rule.app.as_ref().is_none_or(|app| app == question.app)
                && rule.message.as_ref().is_none_or(|part| question.message.contains(part.as_str()))
        };
        let own = self.causes.iter().find(fits).map(|rule| rule.cause.clone());
        let standard = || Self::standard().causes.iter().find(fits).map(|rule| rule.cause.clone());
        own.or_else(standard).unwrap_or_else(Kind::unidentified)
    }

    /// The rule that holds for a fault of this cause: the list's own, or where it has none, that of
    /// [`Countermeasures::standard`].
    pub fn rule(&self, question: &Question<'_>, cause: &Kind) -> Option<Rule> {
        let fits = |rule: &Rule| {
            question.kind.is_in(&rule.kind)
                && rule.app.as_ref().is_none_or(|app| app == question.app)
                && rule.cause.as_ref().is_none_or(|pattern| cause.is_in(pattern))
        };
        let own = self.rules.iter().find(|rule| fits(rule)).cloned();
        own.or_else(|| Self::standard().rules.into_iter().find(fits))
    }

    /// What to do: the rule's measure for this attempt.
    pub fn answer(&self, question: &Question<'_>) -> Answered {
        let cause = self.cause(question);
        let Some(rule) = self.rule(question, &cause) else {
            return Answered { cause, measure: Measure::Tell, by: By::Center };
        };
        let rung = question.attempt.saturating_sub(1) as usize;
        let measure = rule.measures.get(rung).or(rule.measures.last()).copied().unwrap_or(Measure::Tell);
        Answered { cause, measure, by: rule.by }
    }

    /// Whether the list can be used: bounds, patterns, no rule without a measure. All errors, not the first.
    pub fn check(&self) -> Result<(), Vec<ListError>> {
        let mut errors = Vec::new();
        let mut wrong = |text: String| errors.push(ListError(text));
        if self.rules.len() > RULES_MAX || self.causes.len() > RULES_MAX {
            wrong(format!("more than {RULES_MAX} rules or causes"));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            let at = at + 1;
            if !is_pattern(&rule.kind) {
                wrong(format!("rule {at}: kind {:?} is not a name, name.* or *", rule.kind));
            }
            if rule.cause.as_ref().is_some_and(|cause| !is_pattern(cause)) {
                wrong(format!("rule {at}: cause {:?} is not a name, name.* or *", rule.cause));
            }
            if rule.measures.is_empty() || rule.measures.len() > MEASURES_MAX {
                wrong(format!("rule {at}: {} measures, not 1 to {MEASURES_MAX}", rule.measures.len()));
            }
        }
        for (at, cause) in self.causes.iter().enumerate() {
            if !is_pattern(&cause.kind) {
                wrong(format!("cause {}: kind {:?} is not a name, name.* or *", at + 1, cause.kind));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

fn one_by_one<T: DeserializeOwned>(what: &str, parts: &[Json], unread: &mut Vec<String>) -> Vec<T> {
    let mut read = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match part.read() {
            Ok(part) => read.push(part),
            Err(error) => unread.push(format!("{what} {} needs a newer agent: {error}", at + 1)),
        }
    }
    read
}

fn is_pattern(text: &str) -> bool {
    let stem = text.strip_suffix(".*").unwrap_or(text);
    text == "*" || stem.parse::<Kind>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, measures: &[Measure]) -> Rule {
        let measures = measures.to_vec();
        Rule { kind: kind.into(), app: None, cause: None, by: By::Center, window_s: 60, measures }
    }

    fn ask(list: &Countermeasures, kind: &str, attempt: u32) -> Answered {
        let (kind, app) = (kind.parse().unwrap(), AppId::new("a").unwrap());
        list.answer(&Question { kind: &kind, app: &app, message: "reading 999 implausible", attempt })
    }

    #[test]
    fn measures_escalate_and_the_last_one_stays() {
        let rules = vec![rule("app.trap.*", &[Measure::Restart, Measure::Replace])];
        let list = Countermeasures { rules, ..Countermeasures::default() };
        let measures: Vec<_> = (0..5).map(|n| ask(&list, "app.trap.unreachable", n).measure).collect();
        assert_eq!(measures[..3], [Measure::Restart, Measure::Restart, Measure::Replace]);
        assert_eq!(measures[3..], [Measure::Replace, Measure::Replace]);
        assert_eq!(ask(&list, "storage.full", 1).measure, Measure::Tell);
    }

    #[test]
    fn an_identified_cause_has_a_rule_of_its_own() {
        let cause = "equipment.nonsense".parse().unwrap();
        let causes =
            vec![CauseRule { cause, kind: "app.*".into(), app: None, message: Some("implausible".into()) }];
        let known = Rule { cause: Some("equipment.*".into()), ..rule("*", &[Measure::Replace]) };
        let unknown = Rule { cause: Some("unidentified".into()), ..rule("*", &[Measure::Restart]) };
        let list = Countermeasures { version: 1, causes, rules: vec![known, unknown] };
        assert_eq!(ask(&list, "app.error", 1).measure, Measure::Replace);
        assert_eq!(ask(&list, "script.invalid", 1).cause, Kind::unidentified());
        assert_eq!(ask(&list, "script.invalid", 1).measure, Measure::Restart);
    }

    #[test]
    fn an_app_that_its_equipment_let_down_is_not_replaced_unless_a_list_says_so() {
        let (kind, app) = ("app.error".parse().unwrap(), AppId::new("a").unwrap());
        let message = "aircon/room: equipment.slow; slow: it did not answer";
        let question = Question { kind: &kind, app: &app, message, attempt: 3 };
        let answered = Countermeasures::default().answer(&question);
        assert_eq!(
            (answered.cause.as_str(), answered.measure, answered.by),
            ("equipment.slow", Measure::Tell, By::Edge)
        );
        let rules = vec![rule("app.*", &[Measure::Restart])];
        let own = Countermeasures { rules, ..Countermeasures::default() }.answer(&question);
        assert_eq!((own.cause.as_str(), own.measure), ("equipment.slow", Measure::Restart));
    }

    #[test]
    fn a_rule_of_a_newer_program_is_left_out_and_the_others_hold() {
        let text = br#"{"version": 7, "later": 1, "rule": [
            {"kind": "app.*", "only-on": "north", "measures": ["restart"]},
            {"kind": "app.*", "measures": ["restart", "rewind"]},
            {"kind": "app.*", "measures": ["replace"]}]}"#;
        let ReadList { list, unread } = Countermeasures::read(&Json::parse(text).unwrap()).unwrap();
        assert_eq!((list.version, list.rules.len(), unread.len()), (7, 1, 2));
        assert!(unread[1].starts_with("rule 2 needs a newer agent: unknown measure `rewind`"), "{unread:?}");
        assert_eq!(ask(&list, "app.error", 1).measure, Measure::Replace);
        let error = serde_json::from_slice::<Countermeasures>(text).unwrap_err().to_string();
        assert!(error.contains("unknown field `later`"), "a file is refused by name: {error}");
    }

    #[test]
    fn a_file_that_the_disk_does_not_give_is_never_thrown_away() {
        let list = Countermeasures::standard();
        let measures = (1..9).map(|attempt| ask(&list, kind::STORAGE_BROKEN, attempt).measure);
        assert!(measures.into_iter().all(|measure| matches!(measure, Measure::Restart | Measure::Tell)));
    }

    #[test]
    fn every_fault_of_a_list_is_named() {
        let rules = vec![rule("app*", &[Measure::Tell]), rule("a", &[])];
        let list = Countermeasures { rules, ..Countermeasures::default() };
        assert_eq!(list.check().unwrap_err().len(), 2);
    }
}
