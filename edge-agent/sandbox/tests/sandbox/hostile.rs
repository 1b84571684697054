//! Guests that do their worst: each is ended and told apart, and an app beside it on the same thread goes on.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flotilla_sandbox::Program;
use flotilla_schemas::Value;
use flotilla_schemas::app::Limits;
use flotilla_schemas::fault::{Failure, kind};

use crate::edge::{Edge, HANGING, PANICKING, SANDBOX, equipment, faulty, grants, start, text};
use crate::strangers::component;

/// How long a guest may take: long enough for its neighbour to be called in between.
const DEADLINE_MS: u32 = 100;

/// Longer than that a neighbour that goes on never waits, however busy the machine is.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A guest, what it is asked, and how that ends.
struct Guest {
    name: &'static str,
    program: Program,
    operation: &'static str,
    args: Vec<Value>,
    kind: &'static str,
}

impl Guest {
    /// What happens when the guest runs: at its start, or when it is called.
    async fn run(&self) -> Failure {
        let mut instance = match self.program.start(Edge::new(equipment("e1"))).await {
            Ok(instance) => instance,
            Err(failure) => return failure,
        };
        let failure = instance.call(self.operation, &self.args).await.unwrap_err();
        assert_eq!(failure.spent, instance.is_spent(), "{}: {failure:?}", self.name);
        failure
    }
}

/// A component of this text with one operation `run`.
fn made(name: &'static str, text: &str, args: &[Value], kind: &'static str) -> Guest {
    let machine = SANDBOX.compile(&wat::parse_str(text).unwrap()).unwrap();
    let limits = Limits { deadline_ms: DEADLINE_MS, ..Limits::default() };
    let grants = grants(r#"{"events": ["*"]}"#);
    let program = SANDBOX.load(&machine, &grants, &limits).unwrap();
    Guest { name, program, operation: "run", args: args.to_vec(), kind }
}

/// The sample that goes wrong.
fn sample(operation: &'static str, args: &[Value], kind: &'static str) -> Guest {
    Guest { name: operation, program: faulty(DEADLINE_MS), operation, args: args.to_vec(), kind }
}

/// A guest whose `run` has this body.
fn body(name: &'static str, body: &str, kind: &'static str) -> Guest {
    let module = format!(
        r#"(memory 1) (table 1 funcref) (type $none (func)) (type $one (func (param i32)))
           (elem declare func $one) (func $one (param i32)) (func $run (export "run") {body})"#
    );
    made(name, &component(&module, r#"(func (export "run") (canon lift (core func $i "run")))"#), &[], kind)
}

/// A guest whose `run` answers this number in place of a pointer or a choice.
fn answer(name: &'static str, of: &str, result: i32) -> Guest {
    let module =
        format!(r#"(memory (export "memory") 1) (func (export "run") (result i32) i32.const {result})"#);
    let lifted = format!(
        r#"(type $t {of}) (export $named "t" (type $t)) (func (export "run") (result $named)
           (canon lift (core func $i "run") (memory (core memory $i "memory"))))"#
    );
    made(name, &component(&module, &lifted), &[], kind::TRAP_VALUE)
}

/// A guest that is given a text, for which it finds room in this way, and that cleans up after its answer in that.
fn taking(name: &'static str, realloc: &str, post: &str, kind: &'static str) -> Guest {
    let module = format!(
        r#"(memory (export "memory") 1) (func (export "run") (param i32 i32) (result i32) i32.const 0)
           (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
           (func (export "post") (param i32) {post})"#
    );
    let lifted = r#"(func (export "run") (param "text" string) (result u32) (canon lift (core func $i "run")
        (memory (core memory $i "memory")) (realloc (core func $i "realloc")) (post-return (core func $i "post"))))"#;
    made(name, &component(&module, lifted), &[text("a text")], kind)
}

/// A guest that logs with these three numbers: a level, a pointer and a length.
fn logging(name: &'static str, numbers: [i32; 3]) -> Guest {
    let numbers = numbers.iter().fold(String::new(), |mut all, n| {
        let _ = write!(all, "(i32.const {n})");
        all
    });
    let text = format!(
        r#"(component
            (import "fleet:edge/log@0.1.0" (instance $log
                (type $enum (enum "error" "warn" "info" "debug")) (export "level" (type $level (eq $enum)))
                (export "write" (func (param "level" $level) (param "message" string)))))
            (core module $memory (memory (export "memory") 1) (data (i32.const 0) "\ff\ff\ff\ff"))
            (core instance $memory (instantiate $memory))
            (core func $write (canon lower (func $log "write") (memory (core memory $memory "memory"))))
            (core module $m (import "log" "write" (func $write (param i32 i32 i32)))
                (func (export "run") (call $write {numbers})))
            (core instance $i (instantiate $m (with "log" (instance (export "write" (func $write))))))
            (func (export "run") (canon lift (core func $i "run"))))"#
    );
    made(name, &text, &[], kind::TRAP_VALUE)
}

const SPIN: &str = "(loop (br 0)) (unreachable)";

/// All that compute or wait until they are ended.
fn lasting() -> Vec<Guest> {
    let at_start = component("(func $spin (loop (br 0))) (start $spin)", "");
    vec![
        sample("spin", &[], kind::DEADLINE),
        sample("read", &[text(HANGING), text("room")], kind::DEADLINE),
        sample("chatter", &[Value::Integer(u32::MAX.into()), Value::Integer(2048)], kind::DEADLINE),
        made("spin at the start", &at_start, &[], kind::DEADLINE),
        body(
            "spin in the bulk",
            "(loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)) (br 0))",
            kind::DEADLINE,
        ),
        body("ask for memory for ever", "(loop (drop (memory.grow (i32.const 1))) (br 0))", kind::DEADLINE),
        taking("spin for room", SPIN, "", kind::DEADLINE),
        taking("spin afterwards", "i32.const 0", SPIN, kind::DEADLINE),
    ]
}

/// All that are over at once.
fn sudden() -> Vec<Guest> {
    let until_refused = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)";
    vec![
        sample("exhaust", &[], kind::MEMORY),
        sample("recurse", &[Value::Integer(0)], kind::STACK),
        sample("stray", &[], "app.trap.memory-out-of-bounds"),
        sample("panic", &[text("over")], kind::TRAP_UNREACHABLE),
        sample("nan", &[], kind::ERROR),
        sample("fail", &[text("cold"), text("it is cold")], kind::ERROR),
        sample("read", &[text(PANICKING), text("room")], kind::HOST),
        sample("emit", &[text("many"), Value::Integer(u32::MAX.into())], kind::ERROR),
        sample("dance", &[], kind::OPERATION),
        sample("recurse", &[text("deep")], kind::OPERATION),
        sample("count", &[Value::None], kind::OPERATION),
        body("stop", "(unreachable)", kind::TRAP_UNREACHABLE),
        body("take memory until it is refused", until_refused, kind::MEMORY),
        body("recurse without a frame", "(call $run) (call $run)", kind::STACK),
        body(
            "divide by zero",
            "(drop (i32.rem_u (i32.const 1) (i32.const 0)))",
            "app.trap.integer-division-by-zero",
        ),
        body(
            "overflow",
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
            "app.trap.integer-overflow",
        ),
        body(
            "convert what is no number",
            "(drop (i32.trunc_f64_s (f64.const nan)))",
            "app.trap.bad-conversion-to-integer",
        ),
        body(
            "read beyond its memory",
            "(drop (i64.load (i32.const 65532)))",
            "app.trap.memory-out-of-bounds",
        ),
        body(
            "fill beyond its memory",
            "(memory.fill (i32.const 1) (i32.const 0) (i32.const 65536))",
            "app.trap.memory-out-of-bounds",
        ),
        body(
            "call beyond its table",
            "(call_indirect (type $none) (i32.const 1))",
            "app.trap.table-out-of-bounds",
        ),
        body("call nothing", "(call_indirect (type $none) (i32.const 0))", "app.trap.indirect-call-to-null"),
        body(
            "call as another type",
            "(table.set (i32.const 0) (ref.func $one)) (call_indirect (type $none) (i32.const 0))",
            "app.trap.bad-signature",
        ),
        answer("choose what there is not", r#"(enum "a" "b")"#, 9),
        answer("answer from beyond its memory", "(list u8)", 65_534),
        answer("answer from an odd address", "(list u64)", 3),
        taking("find room beyond its memory", "i32.const -1", "", kind::TRAP_VALUE),
        taking("stop for room", "(unreachable)", "", kind::TRAP_UNREACHABLE),
        taking("stop afterwards", "i32.const 0", "(unreachable)", kind::TRAP_UNREACHABLE),
        logging("log at no level", [4, 0, 0]),
        logging("log from beyond its memory", [0, 65_000, 65_000]),
        logging("log what is no text", [0, 0, 4]),
    ]
}

/// An app that is called again and again, on the thread of whoever else runs.
struct Bystander {
    calls: AtomicU64,
    longest_us: AtomicU64,
    is_over: AtomicBool,
}

impl Bystander {
    /// Each call has to answer one more than the one before: nobody touched its memory.
    async fn live(self: Arc<Self>) {
        let (mut instance, _) = start(&faulty(60_000)).await;
        let mut last = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            let calls = self.calls.load(Ordering::Relaxed) + 1;
            let counted = instance.call("count", &[]).await;
            assert_eq!(counted, Ok(Value::Integer(calls.try_into().unwrap())));
            let pause_us = u64::try_from(last.elapsed().as_micros()).unwrap();
            self.longest_us.fetch_max(pause_us, Ordering::Relaxed);
            self.calls.store(calls, Ordering::Relaxed);
            last = Instant::now();
            tokio::task::yield_now().await;
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "the longest pause is for people: only a standstill fails the test")]
async fn whatever_a_guest_does_is_told_apart_and_its_neighbour_goes_on() {
    let (sudden, lasting) = (sudden(), lasting());
    let bystander = Arc::new(Bystander {
        calls: AtomicU64::new(0),
        longest_us: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let living = tokio::spawn(bystander.clone().live());
    let mut worst = (Duration::ZERO, "");
    for (guest, lasts) in
        sudden.iter().map(|guest| (guest, false)).chain(lasting.iter().map(|guest| (guest, true)))
    {
        bystander.longest_us.store(0, Ordering::Relaxed);
        let before = bystander.calls();
        let failure = guest.run().await;
        assert_eq!(failure.kind.as_str(), guest.kind, "{}: {failure:?}", guest.name);
        let between = bystander.calls() - before;
        assert!(!lasts || between > 1, "{}: called {between} times meanwhile", guest.name);
        while bystander.calls() == before && !living.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(!living.is_finished(), "{}: it took its neighbour with it", guest.name);
        worst = worst.max((Duration::from_micros(bystander.longest_us.load(Ordering::Relaxed)), guest.name));
    }
    bystander.is_over.store(true, Ordering::Relaxed);
    living.await.unwrap();
    let (guests, (pause, name), calls) = (sudden.len() + lasting.len(), worst, bystander.calls());
    assert!(pause < PAUSE_MAX, "it stood still for {pause:?} beside \"{name}\"");
    eprintln!(
        "{guests} guests; their neighbour was called {calls} times, and waited longest for \"{name}\": {pause:?}"
    );
}
