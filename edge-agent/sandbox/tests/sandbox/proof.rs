//! A script is proven over its whole range, and what breaks it is found: the air conditioner, and a defect planted in
//! it in each of ten places.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_sandbox::Simulator;
use flotilla_sandbox::prove::{Broken, Progress, Prover, Refusal, Settings, Subject};
use flotilla_schemas::app::Manifest;
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::proof::{End, ListProof, Measured};
use flotilla_script::{Definition, EventList};

use crate::edge::{manifest, wasm};
use crate::strangers::component;

/// The air conditioner's files, which a test breaks in one place, and the apps that take part.
struct Sample {
    definition: String,
    list: String,
    manifests: Vec<Manifest>,
    equipment: String,
    countermeasures: Countermeasures,
    settings: Settings,
}

fn file(name: &str) -> String {
    let samples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples");
    std::fs::read_to_string(samples.join(name)).unwrap()
}

/// The one place where the text stands, replaced.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

impl Sample {
    fn new() -> Self {
        Self {
            definition: file("scripts/air-conditioner/definition.dtd"),
            list: file("scripts/air-conditioner/events-large.json"),
            manifests: vec![manifest("aircon-north"), manifest("aircon-south")],
            equipment: file("scripts/air-conditioner/equipment.toml"),
            countermeasures: toml::from_str(&file("countermeasures.toml")).unwrap(),
            settings: Settings::default(),
        }
    }

    /// Without the alternate, which would do the same again.
    fn alone() -> Self {
        Self { manifests: vec![manifest("aircon-north")], ..Self::new() }
    }

    /// Refused for this reason, and the script that shows it has this control.
    fn assert_refused(self, reason: &str, shown: &str, control: &str) {
        let (found, broken) = self.refused();
        assert_eq!((found.as_str(), broken.reason.as_str()), (reason, shown));
        assert_eq!(broken.script, shortest(control));
    }

    fn definition(mut self, from: &str, to: &str) -> Self {
        self.definition = replaced(&self.definition, from, to);
        self
    }

    fn list(mut self, from: &str, to: &str) -> Self {
        self.list = replaced(&self.list, from, to);
        self
    }

    /// What is done about faults is to tell: about these, and, by another rule, about everything.
    fn tells(mut self, rules: &[&str]) -> Self {
        let rule = |rule: &&str| format!(r#"{{ {rule}, "measures": ["tell"] }}"#);
        let rules: Vec<String> = rules.iter().chain(&[r#""kind": "*""#]).map(rule).collect();
        self.countermeasures.rules = serde_json::from_str(&format!("[{}]", rules.join(","))).unwrap();
        self
    }

    fn equipment(mut self, from: &str, to: &str) -> Self {
        self.equipment = replaced(&self.equipment, from, to);
        self
    }

    /// The machine is stopped by an operation of the app that goes wrong.
    fn stops_by(mut self, operation: &str, args: &str) -> Self {
        self.manifests.push(manifest("faulty"));
        let call = format!(r#"{{ "app": "faulty", "operation": "{operation}", "args": [{args}] }}"#);
        self.list(r#"{ "app": "aircon-north", "operation": "stop" }"#, &call)
    }

    fn manifest(mut self, app: &str, change: impl FnOnce(&mut Manifest)) -> Self {
        change(self.manifests.iter_mut().find(|manifest| manifest.app.as_str() == app).unwrap());
        self
    }

    fn prove(&self) -> Result<ListProof, Refusal> {
        self.prove_watched(&mut |_| {})
    }

    fn prove_watched(&self, watch: &mut dyn FnMut(Progress)) -> Result<ListProof, Refusal> {
        let mut prover = Prover::new().unwrap();
        for manifest in &self.manifests {
            prover.add(manifest.clone(), &wasm(manifest.app.as_str())).unwrap();
        }
        let subject = Subject {
            definition: &Definition::parse("definition.dtd", self.definition.as_bytes()).unwrap(),
            list: &EventList::parse("events.json", self.list.as_bytes()).unwrap(),
            simulator: &Simulator::parse("equipment.toml", &self.equipment).unwrap(),
            countermeasures: &self.countermeasures,
        };
        prover.list(&subject, &self.settings, watch)
    }

    /// The only reason, and the shortest script that shows it.
    fn refused(&self) -> (String, Broken) {
        let Refusal { mut reasons, broken } = self.prove().unwrap_err();
        assert_eq!(reasons.len(), 1, "{reasons:#?}");
        let broken = broken.expect("a script that breaks it");
        assert!(broken.shortest, "{broken:?}");
        (reasons.remove(0), broken)
    }
}

/// The shortest script that there is, with these elements in its control.
fn shortest(control: &str) -> String {
    format!(
        "<air-conditioner-control>\n  <initialization>\n    <air-conditioner-initialization>\n      \
         <temperature/>\n      <wind speed=\"low\"/>\n    </air-conditioner-initialization>\n    \
         <temperature-initialization>\n      <room-temperature/>\n      <hold celsius=\"16\"/>\n    \
         </temperature-initialization>\n  </initialization>\n  <control>\n{control}  </control>\n\
         </air-conditioner-control>\n"
    )
}

/// The proof without what another machine measures differently.
fn unmeasured(mut proof: ListProof) -> ListProof {
    proof.casts.iter_mut().for_each(|cast| cast.measured = Measured::default());
    proof
}

#[test]
fn the_air_conditioner_is_proven_over_its_whole_range() {
    let proof = Sample::new().prove().unwrap();
    assert_eq!((proof.end, proof.covered()), (End::Complete, proof.items.len()));
    let casts: Vec<usize> = proof.casts.iter().map(|cast| cast.standing_in.len()).collect();
    assert_eq!(casts, [0, 1], "once as the list says, once with the alternate");
    assert!((1..=10).contains(&proof.scripts), "{}", proof.scripts);
    assert_eq!(proof.outside, 7, "both ends of a text and of two attributes, and a word");
    assert_eq!(proof.left_out, [""; 0]);
    for cast in &proof.casts {
        assert!(cast.measured.stack_bytes < 256 * 1024 && cast.measured.slowest.len() == 1, "{cast:?}");
        let memory: Vec<u64> = cast.memory_bytes.values().copied().collect();
        assert!(memory.len() == 1 && memory[0] > 1024 * 1024 && memory[0] <= 2 * 1024 * 1024, "{cast:?}");
    }
    let kinds = |cast: usize| -> Vec<String> {
        let name = |fault: &flotilla_schemas::proof::SeenFault| {
            format!("{} {}", fault.kind, fault.code.clone().unwrap_or_default()).trim().to_owned()
        };
        proof.casts[cast].faults.iter().map(name).collect()
    };
    let with = |own: &'static str| {
        [
            "app.error unreachable",
            "equipment.unreachable",
            "app.error rejected",
            "equipment.refused",
            "app.error slow",
            "equipment.slow",
            own,
            "equipment.range",
        ]
    };
    assert_eq!(kinds(0), with("app.trap.unreachable"), "north stops at a reading that cannot be");
    assert_eq!(kinds(1), with("app.deadline"), "south goes on, to a machine that is as late as its sensor");
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_one_covers_as_much() {
    let prove = |seed| {
        let sample = Sample { settings: Settings { seed, ..Settings::default() }, ..Sample::new() };
        unmeasured(sample.prove().unwrap())
    };
    let proof = prove(1);
    assert_eq!(proof, prove(1));
    assert_eq!(prove(2).covered(), proof.covered());
}

/// Proves an app of this text, by a definition and steps of its own.
fn prove(residence: &str, wasm: &str, definition: &str, steps: &str) -> Result<ListProof, Refusal> {
    let app = r#""app": "any", "maker": "any", "version": "1.0.0", "alternates": ["other"]"#;
    let manifest = serde_json::from_str(&format!(r#"{{{app}, "residence": "{residence}"}}"#)).unwrap();
    let mut prover = Prover::new().unwrap();
    prover.add(manifest, &wat::parse_str(wasm).unwrap()).unwrap();
    let list = format!(r#"{{"events": "e", "definition": "d", "root": "r", "steps": {{{steps}}}}}"#);
    let subject = Subject {
        definition: &Definition::parse("d.dtd", definition.as_bytes()).unwrap(),
        list: &EventList::parse("e.json", list.as_bytes()).unwrap(),
        simulator: &Simulator::parse("equipment.toml", "").unwrap(),
        countermeasures: &Countermeasures::standard(),
    };
    prover.list(&subject, &Settings::default(), &mut |_| {})
}

#[test]
fn what_may_come_and_is_not_tried_is_named() {
    let module = r#"(memory (export "memory") 1) (func (export "run") (param i32 i32))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)"#;
    let lifted = r#"(func (export "run") (param "text" string) (canon lift (core func $i "run")
        (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))"#;
    let definition = "<!ELEMENT r EMPTY> <!ATTLIST r id ID #REQUIRED why CDATA #REQUIRED>";
    let call = |event, arg| {
        format!(r#""{event} r": {{"app": "any", "operation": "run", "args": [{{"name": "text", {arg}}}]}}"#)
    };
    let id = call("start", r#""from": "@id", "type": "text", "max": 8"#);
    let why = call("end", r#""from": "@why", "type": "text""#);
    let proof = prove("resident", &component(module, lifted), definition, &format!("{id}, {why}")).unwrap();
    let left_out = [
        "other in place of any: it is not there",
        "<r id>: \"xxxxxxxxx\", just outside its range: no script has it there",
        "<r why>: text of more than 1024 bytes",
    ];
    assert_eq!(proof.left_out, left_out);
}

#[test]
fn what_a_resident_app_keeps_shows_when_its_script_is_run_again() {
    let module = r#"(global $was (mut i32) (i32.const 0)) (func (export "run")
        (if (global.get $was) (then (unreachable))) (global.set $was (i32.const 1)))"#;
    let once = component(module, r#"(func (export "run") (canon lift (core func $i "run")))"#);
    let steps = r#""start r": {"app": "any", "operation": "run"}, "end r": "none""#;
    let prove = |residence| prove(residence, &once, "<!ELEMENT r EMPTY>", steps);
    let reason = "1:1 start r, run again: any run: app.trap.unreachable: wasm trap: wasm `unreachable` instruction \
        executed (event list e)";
    assert_eq!(prove("resident").unwrap_err().reasons, [reason]);
    assert_eq!(prove("transient").unwrap().casts[0].runs, 2, "what is fetched for each run keeps nothing");
}

#[test]
fn a_proof_is_repeated_as_far_as_it_went() {
    let mut sample = Sample::new();
    sample.settings.as_before = Some((1, End::Time));
    let proof = sample.prove().unwrap();
    assert_eq!((proof.scripts, proof.end), (1, End::Time));
    assert!(proof.covered() < proof.items.len());
}

#[test]
fn a_proof_whose_time_is_out_midway_names_what_no_script_took() {
    let mut sample = Sample::alone();
    let budget = Duration::from_secs(4);
    sample.settings.budget.time = budget;
    let proof = sample.prove_watched(&mut |_| std::thread::sleep(budget));
    let proof = proof.unwrap();
    assert_eq!((proof.scripts, proof.end), (1, End::Time));
    let taken = |is_taken: bool| proof.items.iter().filter(move |item| item.script.is_some() == is_taken);
    assert!(taken(true).count() > 0 && taken(true).all(|item| item.script == Some(1)));
    let left: Vec<&str> = taken(false).map(|item| item.item.as_str()).collect();
    let choice = "<control>: (<temperature> | <wind> | <room-temperature> | <hold>)+ 1";
    assert_eq!(left, [choice, "<control>: <stop>? 0"]);
}

#[test]
fn a_proof_that_has_no_time_says_so() {
    let mut sample = Sample::new();
    sample.settings.budget.time = Duration::ZERO;
    let refusal = sample.prove().unwrap_err();
    assert_eq!(refusal.reasons, ["not one script ran through within 0ns; give it more time"]);
}

/// What stops the machine, in the shortest script.
const STOP: &str = "    <temperature/>\n    <stop/>\n";

/// The shortest script.
const NOTHING: &str = "    <temperature/>\n";

#[test]
fn a_tag_that_nobody_mapped_is_refused() {
    let mapped = "    \"start stop\": { \"app\": \"aircon-north\", \"operation\": \"stop\" },\n";
    Sample::alone().list(mapped, "").assert_refused(
        "events.json:5:3: \"start stop\" is neither mapped nor \"none\"",
        "14:5: \"start stop\" is not in the event list aircon-large (event list aircon-large)",
        STOP,
    );
}

#[test]
fn an_operation_that_the_app_does_not_have_is_refused() {
    Sample::alone().list("\"operation\": \"stop\"", "\"operation\": \"halt\"").assert_refused(
        "aircon-north: call halt: the app exports hold, read-room, set-temperature, set-wind, start, stop",
        "14:5 start stop: aircon-north halt: app.operation: the app has no operation halt (event list aircon-large)",
        STOP,
    );
}

#[test]
fn an_argument_of_the_wrong_type_is_refused() {
    let tolerance = r#""type": "number", "min": 0.5, "max": 5"#;
    Sample::alone().list(tolerance, r#""type": "text""#).assert_refused(
        "aircon-north: call hold: tolerance is a number, but would be given text",
        "9:7 start hold: aircon-north hold: app.operation: hold: tolerance: \"1\" is not a number (event list aircon-large)",
        NOTHING,
    );
}

#[test]
fn an_import_that_is_not_granted_is_refused() {
    Sample::alone().manifest("aircon-north", |manifest| manifest.grants.events.clear()).assert_refused(
        "aircon-north: import events: nothing of it is granted in the manifest",
        "3:5 start air-conditioner-initialization: aircon-north start: app.runtime: load the app: it imports events, \
         of which nothing is granted (event list aircon-large)",
        NOTHING,
    );
}

#[test]
fn an_alternates_import_that_is_not_granted_is_refused_as_what_it_is() {
    let sample = Sample::new().manifest("aircon-south", |manifest| manifest.grants.events.clear());
    let reason = "aircon-south: import events: nothing of it is granted in the manifest";
    assert_eq!(sample.refused().0, reason);
}

#[test]
fn a_branch_whose_operation_traps_is_refused() {
    let message = r#"{ "name": "message", "const": "the valve is stuck", "type": "text" }"#;
    let (reason, broken) = Sample::alone().stops_by("panic", message).refused();
    assert!(reason.starts_with("14:5 start stop: faulty panic: app.trap.unreachable: "), "{reason}");
    assert!(reason.contains("the valve is stuck"), "{reason}");
    assert_eq!(broken.script, shortest(STOP));
}

#[test]
fn a_value_just_outside_its_range_that_the_definition_allows_is_refused() {
    let reason = "9:7: tolerance of <hold>: 0.4 is not a number from 0.5 to 5 (event list aircon-large)";
    Sample::alone().definition("NMTOKEN '1'", "NMTOKEN '0.4'").assert_refused(reason, reason, NOTHING);
}

#[test]
fn a_range_that_is_wider_than_the_machines_is_refused() {
    let text = "\"from\": \"text\", \"type\": \"number\", \"min\": 16, \"max\": 30";
    let reason = "13:18 text temperature: aircon-north set-temperature: app.error: invalid: \
        aircon/setpoint: 30.5 is not a number from 16 to 30 (event list aircon-large)";
    let sample = Sample::alone().list(text, &text.replace("30", "30.5"));
    sample.assert_refused(reason, reason, "    <temperature>30.5</temperature>\n");
}

#[test]
fn an_endless_loop_is_refused() {
    let reason =
        "14:5 start stop: faulty spin: app.deadline: it took longer than 100 ms (event list aircon-large)";
    let sample = Sample::alone().stops_by("spin", "");
    sample
        .manifest("faulty", |manifest| manifest.limits.deadline_ms = 100)
        .assert_refused(reason, reason, STOP);
}

#[test]
fn memory_over_the_limit_is_refused() {
    let (reason, broken) = Sample::alone().stops_by("exhaust", "").refused();
    assert!(reason.starts_with("14:5 start stop: faulty exhaust: app.memory: "), "{reason}");
    assert_eq!(broken.script, shortest(STOP));
}

#[test]
fn a_fault_that_nobody_declared_is_refused() {
    let args = r#"{ "name": "code", "const": "cold", "type": "text" },
        { "name": "message", "const": "it is cold", "type": "text" }"#;
    let reason = "14:5 start stop: faulty fail: it returns the fault \"cold\", which its manifest does not declare: \
        faults = [\"cold\"] (event list aircon-large)";
    Sample::alone().stops_by("fail", args).assert_refused(reason, reason, STOP);
    let declared = Sample::alone().stops_by("fail", args);
    let declared = declared.manifest("faulty", |manifest| manifest.faults = ["cold".to_owned()].into());
    let reason = "14:5 start stop: faulty fail: app.error: cold: it is cold (event list aircon-large)";
    declared.assert_refused(reason, reason, STOP);
}

#[test]
fn a_write_to_a_point_that_is_not_granted_is_refused() {
    let args = r#"{ "name": "device", "const": "aircon", "type": "text" },
        { "name": "point", "const": "power", "type": "text" }, { "name": "number", "const": 1, "type": "number" }"#;
    let reason = "14:5 start stop: faulty write: setting aircon/power is not granted in its manifest \
        (event list aircon-large)";
    Sample::alone().stops_by("write", args).assert_refused(reason, reason, STOP);
}

#[test]
fn a_fault_of_an_app_that_its_device_let_down_is_answered_by_its_cause() {
    let rules = [r#""kind": "equipment.*""#, r#""kind": "app.*", "cause": "equipment.*""#];
    Sample::alone().tells(&rules).prove().unwrap();
}

#[test]
fn equipment_that_fails_by_itself_is_refused_though_its_app_copes() {
    let mut sample = Sample { manifests: vec![manifest("aircon-south")], ..Sample::new() };
    sample.list = sample.list.replace("aircon-north", "aircon-south");
    let refusal = sample.equipment("initial = 28.5", "initial = 28.5\nmax = 28.52").prove().unwrap_err();
    let reason = "aircon-south: aircon/room: equipment.range: nothing was made to fail: the equipment's own file \
        lets it come to that (event list aircon-large)";
    assert_eq!(refusal.reasons, [reason]);
}

#[test]
fn an_app_that_the_equipment_leaves_to_others_is_refused() {
    let reason = "3:5 start air-conditioner-initialization: aircon-north start: app.error: refused: \
        setting aircon/power on this edge is not granted (event list aircon-large)";
    let sample =
        Sample::alone().equipment("type = \"bool\"", "type = \"bool\"\nwriters = [\"aircon-south\"]");
    sample.assert_refused(reason, reason, NOTHING);
}

#[test]
fn a_fault_that_no_countermeasure_answers_is_refused_with_what_brings_it_about() {
    let sample = Sample::alone().tells(&[r#""kind": "equipment.*""#]);
    let reason = "3:5 start air-conditioner-initialization: aircon-north start: app.error: the list of \
        countermeasures has no rule for it but the one for everything (event list aircon-large, when at start \
        air-conditioner-initialization: aircon (at power) does not answer)";
    sample.assert_refused(reason, reason, NOTHING);
}
