//! What published scripts call of an app, held against another release of it: what is dropped or retyped shows when
//! the app is published, and not as a fault on every gateway.
//!
//! Nothing runs here. What a release does otherwise than the one before shows when a script is proven again.

use std::collections::BTreeMap;

use flotilla_sandbox::{CheckError, Wanted, check};
use flotilla_schemas::app::Interface;
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, EventsId, ScriptId};
use flotilla_script::{Action, EventList, StepEvent};

/// A step event that the release could not carry out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("script {script}, event list {events}, {step}: {cause}")]
pub struct Broken {
    /// The published script.
    pub script: ScriptId,
    /// Its event list.
    pub events: EventsId,
    /// The step event.
    pub step: StepEvent,
    /// Why not.
    pub cause: CheckError,
}

/// Every step event of published lists that calls the app, or an app for which it stands in, and that this release of
/// it could not carry out. `apps` are the newest releases.
pub fn broken(
    release: &Release,
    apps: &BTreeMap<AppId, Release>,
    lists: &[(ScriptId, EventList)],
) -> Vec<Broken> {
    // That its grants cover its imports was proved already.
    let exported = Interface { imports: Default::default(), ..release.interface.clone() };
    let stands_in =
        |app| apps.get(app).is_some_and(|other| other.manifest.alternates.contains(release.app()));
    let mut broken = Vec::new();
    for (script, list) in lists {
        for (step, action) in &list.steps {
            let Action::Call(mapping) = action else { continue };
            if mapping.app != *release.app() && !stands_in(&mapping.app) {
                continue;
            }
            let causes = check(&exported, &Default::default(), &[Wanted::from(mapping)]).err();
            let (script, events) = (script.clone(), list.events.clone());
            let broken_by =
                |cause| Broken { script: script.clone(), events: events.clone(), step: step.clone(), cause };
            broken.extend(causes.into_iter().flatten().map(broken_by));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::Artifact;
    use serde_json::json;

    /// A release that exports one operation, which takes at most so many degrees.
    fn release(app: &str, alternates: &[&str], operation: &str, degrees: u32) -> Release {
        let manifest = json!({
            "app": app, "maker": "west", "version": "1.0.0", "residence": "resident", "alternates": alternates,
        });
        let params = json!([["celsius", {"type": "integer", "max": degrees}]]);
        let interface = json!({"imports": ["kv"], "operations": [{"name": operation, "params": params}]});
        Release {
            manifest: serde_json::from_value(manifest).unwrap(),
            interface: serde_json::from_value(interface).unwrap(),
            wasm: Artifact::of(b""),
            machine: BTreeMap::new(),
        }
    }

    /// What breaks when the release is published beside an app that is called and names an alternate.
    fn breaks(release: &Release) -> Vec<String> {
        let heat = json!({"app": "north", "operation": "hold", "args": [
            {"name": "celsius", "from": "@celsius", "type": "integer", "max": 30}]});
        let list = json!({"events": "large", "definition": "d", "root": "r", "steps": {
            "start hold": heat, "end hold": "none", "start r": "none"}});
        let list = EventList::parse("e", list.to_string().as_bytes()).unwrap();
        let north = self::release("north", &["south"], "hold", 30);
        let apps = [(north.app().clone(), north)].into();
        let lists = [("heating".parse().unwrap(), list)];
        broken(release, &apps, &lists).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_list_calls_is_there_with_its_types_in_the_app_and_in_its_alternates() {
        let at = "script heating, event list large, start hold: call hold:";
        for app in ["north", "south"] {
            assert_eq!(breaks(&release(app, &[], "hold", 40)), [""; 0]);
            let dropped = breaks(&release(app, &[], "keep", 40));
            assert_eq!(dropped, [format!("{at} the app exports keep")]);
            let retyped = breaks(&release(app, &[], "hold", 25));
            assert!(
                retyped.len() == 1 && retyped[0].starts_with(&format!("{at} celsius is ")),
                "{retyped:?}"
            );
        }
        assert_eq!(breaks(&release("west", &[], "keep", 40)), [""; 0], "nobody calls it");
    }
}
