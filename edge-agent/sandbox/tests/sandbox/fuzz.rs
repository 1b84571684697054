//! Whatever component is put before a sandbox, it answers; what it takes for an app runs within its limits.
//!
//! Each input is a component in which some places are changed: a small one with a bit of everything, now and then a
//! real app. The test runs for about a second; `BOLERO_RANDOM_ITERATIONS=1000000` makes so many inputs of it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_sandbox::{Compiled, check};
use flotilla_schemas::Value;
use flotilla_schemas::app::{Grants, Limits};
use flotilla_schemas::fault::kind;
use tokio::runtime::Runtime;

use crate::edge::{Edge, SANDBOX, equipment, wasm};

/// An app of a few hundred bytes that imports, exports, allocates, and has a table and data.
const SMALL: &str = r#"(component
    (import "fleet:edge/clock@0.1.0" (instance $clock (export "now-ms" (func (result u64)))))
    (core func $now (canon lower (func $clock "now-ms")))
    (core module $m
        (import "clock" "now" (func $now (result i64)))
        (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) func $one)
        (global $next (mut i32) (i32.const 64)) (data (i32.const 8) "\10\00\00\00\03\00\00\00abc")
        (func $one (result i32) (i32.const 1))
        (func (export "count") (result i64) (local $n i32)
            (loop (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const 100))))
            (i64.add (call $now) (i64.extend_i32_u (call_indirect (result i32) (i32.const 0)))))
        (func (export "say") (result i32) (i32.const 8))
        (func (export "take") (param i32 i32 f64) (result i32) (i32.div_u (local.get 1) (i32.const 2)))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (global.get $next))
            (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8))))
            (drop (memory.grow (i32.const 1))) (local.get $at)))
    (core instance $i (instantiate $m (with "clock" (instance (export "now" (func $now))))))
    (func (export "count") (result u64) (canon lift (core func $i "count")))
    (func (export "say") (result string) (canon lift (core func $i "say") (memory (core memory $i "memory"))))
    (func (export "take") (param "text" string) (param "number" f64) (result u32) (canon lift (core func $i "take")
        (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;

static COMPONENTS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [wat::parse_str(SMALL).unwrap(), wasm("meter")]);
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());

/// A change: where, what is done there, and with which byte.
type Change = (u32, u8, u8);

/// The most changes of a component: with more of them hardly one is a component still.
const CHANGES_MAX: usize = 3;

/// One input in so many is a real app.
const REAL_EVERY: u8 = 32;

/// How far the inputs got: inputs, components, apps that started, calls that answered.
static GOT: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

fn count(stage: usize, more: u64) {
    GOT[stage].fetch_add(more, Ordering::Relaxed);
}

fn changed(component: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    for (at, what, byte) in changes.iter().take(CHANGES_MAX) {
        let at = *at as usize % (bytes.len() + 1);
        let end = (at + 1 + usize::from(*byte) % 8).min(bytes.len());
        match (what % 6, bytes.get_mut(at)) {
            (0, Some(old)) => *old ^= 1 << (byte % 8),
            (1, Some(old)) => *old = old.wrapping_add(byte % 4).wrapping_sub(1),
            (0..=2, old) => drop(old.map(|old| *old = *byte)),
            (3, _) => bytes.insert(at, *byte),
            (4, _) => drop(bytes.drain(at..end)),
            _ => bytes.extend_from_within(at..end),
        }
    }
    bytes
}

/// Starts what was taken for an app, and calls its operations as long as they answer: how many did, if it started.
async fn run(app: &Compiled, deadline_ms: u32) -> Option<u64> {
    let limits = Limits { deadline_ms, ..Limits::default() };
    let program = SANDBOX.load(&app.machine, &Grants::default(), &limits).ok()?;
    let mut instance = program.start(Edge::new(equipment("e1"))).await.ok()?;
    let mut answered = 0;
    for operation in &app.interface.operations {
        let args = [Value::Text("a text".to_owned()), Value::Number(0.5)];
        let args = args.get(..operation.params.len()).unwrap_or_default();
        match instance.call(&operation.name, args).await {
            Ok(_) => answered += 1,
            Err(failure) => assert_ne!(failure.kind.as_str(), kind::HOST, "{failure:?}"),
        }
    }
    Some(answered)
}

#[test]
fn what_is_changed_runs_as_it_is() {
    let app = SANDBOX.compile_app(&changed(&COMPONENTS[0], &[])).unwrap();
    assert_eq!(RUNTIME.block_on(run(&app, 60_000)), Some(3));
}

#[test]
#[allow(clippy::print_stderr, reason = "how far the inputs got is for people")]
fn no_component_makes_a_sandbox_panic() {
    bolero::check!().with_type::<(u8, Vec<Change>)>().for_each(|(which, changes)| {
        let [small, real] = &*COMPONENTS;
        let bytes = changed(if which % REAL_EVERY == 1 { real } else { small }, changes);
        count(0, 1);
        match SANDBOX.compile_app(&bytes) {
            Err(errors) => {
                assert!(!errors.is_empty() && errors.iter().all(|error| !error.to_string().is_empty()))
            }
            Ok(app) => {
                count(1, 1);
                let ungranted = check(&app.interface, &Grants::default(), &[]);
                assert!(ungranted.is_ok() || !app.interface.imports.is_empty());
                if let Some(answered) = RUNTIME.block_on(run(&app, 20)) {
                    count(2, 1);
                    count(3, answered);
                }
            }
        }
    });
    let [inputs, apps, started, answered] = GOT.each_ref().map(|count| count.load(Ordering::Relaxed));
    eprintln!("{inputs} inputs; {apps} were apps, {started} of them started, {answered} calls answered");
}
