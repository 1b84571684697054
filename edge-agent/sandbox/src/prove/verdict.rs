//! What a run came to: faults that failing equipment brought about and somebody is to answer, or a defect.
//!
//! With equipment that is well nothing may fail. With equipment that fails an app may fail too, but only in ways that
//! were foreseen: it touches nothing that it was not granted, returns no fault that its manifest does not declare,
//! and the list of countermeasures has a rule for what is seen that is not the one for everything (`*`).

use flotilla_schemas::countermeasure::{Countermeasures, Measure, Question};
use flotilla_schemas::fault::{Kind, kind};
use flotilla_schemas::proof::SeenFault;
use flotilla_schemas::{AppId, PointId};

use super::cast::Cast;
use super::play::{Failed, Played};
use super::stage::Failing;
use crate::host::HostError;

/// Why a fault is a defect that failing equipment came to.
const UNANSWERED: &str = "the list of countermeasures has no rule for it but the one for everything";

/// Why one of the equipment's is.
const UNCAUSED: &str = "nothing was made to fail: the equipment's own file lets it come to that";

/// Why a run breaks a release.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Defect {
    /// It failed, in this way.
    Failed(Box<Failed>, String),
    /// Equipment did not answer an app well, in this way, which is wrong for this reason.
    Equipment(AppId, PointId, Kind, &'static str),
}

impl Defect {
    /// Whether it is the same thing that is wrong, wherever in a script.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed(failed, _), Self::Failed(other, _)) => failed.is_like(other),
            _ => self == other,
        }
    }
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(failed, why) => {
                let Failed { place, app, operation, .. } = &**failed;
                write!(f, "{place}: {app} {operation}: {why}")
            }
            Self::Equipment(app, point, kind, why) => write!(f, "{app}: {point}: {kind}: {why}"),
        }
    }
}

/// The faults that are seen in a run with equipment that is well (`failing` is none) or is made to fail.
pub(super) fn judge(
    played: &Played,
    cast: &Cast<'_>,
    list: &Countermeasures,
    failing: Option<&Failing>,
) -> Result<Vec<SeenFault>, Defect> {
    let first = failing.map(ToString::to_string).unwrap_or_default();
    let mut faults = Vec::new();
    if let Some(failed) = &played.failed {
        let defect = |why| Defect::Failed(Box::new(failed.clone()), why);
        let measures = judge_failed(failed, cast, list, failing.is_some()).map_err(defect)?;
        let Failed { kind, app, code, .. } = failed.clone();
        faults.push(SeenFault { kind, app, code, runs: 1, first: first.clone(), measures });
    }
    for ((app, name), point) in &played.kinds {
        let (app, kind) = (app.clone(), Kind::of(name));
        let defect = |why| Defect::Equipment(app.clone(), point.clone(), kind.clone(), why);
        if failing.is_none() {
            return Err(defect(UNCAUSED));
        }
        let measures = measures(list, &kind, &app, "").ok_or_else(|| defect(UNANSWERED))?;
        faults.push(SeenFault { kind, app, code: None, runs: 1, first: first.clone(), measures });
    }
    Ok(faults)
}

/// What is done about a failure, or why it is a defect.
fn judge_failed(
    failed: &Failed,
    cast: &Cast<'_>,
    list: &Countermeasures,
    fails: bool,
) -> Result<Vec<Measure>, String> {
    let Failed { app, kind, message, .. } = failed;
    if let Some(what) = &failed.refusal {
        return Err(format!("{what} is not granted in its manifest"));
    }
    let actor = cast.actors.values().find(|actor| actor.id == *app);
    let declared = |code: &str| actor.is_some_and(|actor| actor.manifest().faults.contains(code));
    if let Some(code) = failed.code.as_deref().filter(|code| !HostError::is_code(code) && !declared(code)) {
        return Err(format!(
            "it returns the fault {code:?}, which its manifest does not declare: faults = [{code:?}]"
        ));
    }
    let is_apps = kind.is_in("app.*") && ![kind::OPERATION, kind::HOST].contains(&kind.as_str());
    if !fails || !is_apps {
        return Err(format!("{kind}: {message}"));
    }
    measures(list, kind, app, message).ok_or_else(|| format!("{kind}: {UNANSWERED}"))
}

/// What the list does about such a fault, if anybody thought of it: by another rule than the one for everything.
fn measures(list: &Countermeasures, kind: &Kind, app: &AppId, message: &str) -> Option<Vec<Measure>> {
    let question = Question { kind, app, message, attempt: 1 };
    let rule = list.rule(&question, &list.cause(&question))?;
    (rule.kind != "*" || rule.app.is_some() || rule.cause.is_some()).then_some(rule.measures)
}
