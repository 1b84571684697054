//! Components that no sample's toolchain makes: what they import and export is refused by name, and what they do
//! at their start is under the same limits.

use flotilla_sandbox::{Instance, InterfaceError};
use flotilla_schemas::Value;
use flotilla_schemas::app::{Grants, Limits};
use flotilla_schemas::fault::{Failure, kind};

use crate::edge::{Edge, SANDBOX, equipment};

fn inspect(text: &str) -> Vec<String> {
    let errors = SANDBOX.inspect(&wat::parse_str(text).unwrap()).unwrap_err();
    errors.iter().map(InterfaceError::to_string).collect()
}

/// A component with one core module and these lifted functions.
pub fn component(module: &str, lifted: &str) -> String {
    format!("(component (core module $m {module}) (core instance $i (instantiate $m)) {lifted})")
}

async fn start(text: &str) -> Result<Instance, Failure> {
    let machine = SANDBOX.compile(&wat::parse_str(text).unwrap()).unwrap();
    let limits = Limits { deadline_ms: 100, ..Limits::default() };
    SANDBOX.load(&machine, &Grants::default(), &limits).unwrap().start(Edge::new(equipment("e1"))).await
}

#[test]
fn an_import_that_no_edge_offers_is_refused_by_name() {
    let errors = inspect(
        r#"(component
            (import "wasi:cli/environment@0.2.0" (instance (export "get" (func))))
            (import "fleet:edge/sockets@0.1.0" (instance (export "open" (func))))
            (import "fleet:edge/kv@0.2.0" (instance (export "open" (func))))
            (import "plain" (func)))"#,
    );
    let offer = "an edge offers the interfaces of fleet:edge@0.1.0 and nothing else";
    assert_eq!(
        errors,
        ["wasi:cli/environment@0.2.0", "fleet:edge/sockets@0.1.0", "fleet:edge/kv@0.2.0", "plain"]
            .map(|name| format!("import {name}: {offer}"))
    );
}

#[test]
fn an_export_that_no_script_could_call_is_refused_by_name() {
    let module =
        r#"(func (export "f")) (func (export "g") (param i32)) (func (export "h") (result i32) i32.const 0)"#;
    let errors = inspect(&component(
        module,
        r#"(func (export "letter") (param "of" char) (canon lift (core func $i "g")))
           (func (export "maybe") (result (result)) (canon lift (core func $i "h")))
           (instance $group)
           (export "group" (instance $group))
           (export "exports" (instance $group))
           (func (export "fine") (canon lift (core func $i "f")))"#,
    ));
    assert_eq!(
        errors,
        [
            "export group: only functions and types can be exported, at the root of the world",
            "export letter: parameter of is a char, which a script cannot say",
            "export maybe: its error is not the fault of fleet:edge/types",
        ]
    );
}

#[test]
fn an_interface_in_another_form_than_the_edges_is_refused() {
    let text = r#"(component (import "fleet:edge/clock@0.1.0" (instance (export "now-ms" (func (result string))))))"#;
    let machine = SANDBOX.compile(&wat::parse_str(text).unwrap()).unwrap();
    let error = SANDBOX.load(&machine, &Grants::default(), &Limits::default()).err().unwrap().to_string();
    assert!(error.starts_with("join the app to the edge: ") && error.contains("clock"), "{error}");
}

#[tokio::test]
async fn an_app_that_never_gets_through_its_start_is_ended_at_its_deadline() {
    let failure = start(&component("(func $spin (loop (br 0))) (start $spin)", "")).await.err().unwrap();
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::DEADLINE, true));
}

#[tokio::test]
async fn each_trap_has_a_kind_of_its_own() {
    let divide = component(
        r#"(func (export "f") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))"#,
        r#"(func (export "divide") (param "by" s32) (result s32) (canon lift (core func $i "f")))"#,
    );
    let mut instance = start(&divide).await.unwrap();
    assert_eq!(instance.call("divide", &[Value::Integer(-1)]).await, Ok(Value::Integer(-1)));
    let failure = instance.call("divide", &[Value::Integer(0)]).await.unwrap_err();
    assert_eq!(failure.kind.as_str(), "app.trap.integer-division-by-zero");
    assert_eq!(failure.message, "wasm trap: integer divide by zero");
}

#[tokio::test]
async fn a_stack_that_runs_full_without_memory_is_told() {
    let recurse = component(
        r#"(func $f (export "f") (call $f) (call $f))"#,
        r#"(func (export "recurse") (canon lift (core func $i "f")))"#,
    );
    let failure = start(&recurse).await.unwrap().call("recurse", &[]).await.unwrap_err();
    assert_eq!(failure.kind.as_str(), kind::STACK);
}

#[tokio::test]
async fn text_that_is_no_text_is_the_apps_own_fault() {
    let garble = component(
        r#"(memory (export "memory") 1) (data (i32.const 8) "\00\00\00\00\02\00\00\00")
           (data (i32.const 0) "\ff\ff") (func (export "f") (result i32) i32.const 8)"#,
        r#"(func (export "garble") (result string)
            (canon lift (core func $i "f") (memory (core memory $i "memory"))))"#,
    );
    let failure = start(&garble).await.unwrap().call("garble", &[]).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::TRAP_VALUE, true), "{failure:?}");
}

#[test]
fn a_component_that_needs_more_than_a_place_in_the_pool_is_refused() {
    let needs = |module: &str, instances: usize| {
        let more = "(core instance (instantiate $m))".repeat(instances - 1);
        let machine = SANDBOX.compile(&wat::parse_str(component(module, &more)).unwrap());
        machine.map_err(|error| error.to_string()).and_then(|machine| {
            let loaded = SANDBOX.load(&machine, &Grants::default(), &Limits::default());
            loaded.map(drop).map_err(|error| error.to_string())
        })
    };
    assert_eq!(needs("(memory 1024)", 1), Ok(()));
    assert_eq!(needs("", 64), Ok(()));
    let too_much =
        [("(memory 1025)", 1), ("(memory 1) (memory 1)", 1), ("(table 8193 funcref)", 1), ("", 65)];
    for (module, instances) in too_much {
        assert!(needs(module, instances).is_err(), "{instances} of {module:?}");
    }
}
