//! Every way in which an app goes wrong has its own kind.

use flotilla_schemas::Value;
use flotilla_schemas::fault::{BACKTRACE_FRAMES_MAX, Failure, MESSAGE_BYTES_MAX, kind};

use crate::edge::{HANGING, PANICKING, faulty, start, text};

/// A deadline that no healthy call comes near.
const AMPLE_MS: u32 = 60_000;

/// Calls a new instance of the faulty app, and checks that it says of itself what the failure says of it.
async fn fail(deadline_ms: u32, operation: &str, args: &[Value]) -> Failure {
    let (mut instance, _) = start(&faulty(deadline_ms)).await;
    let failure = instance.call(operation, args).await.unwrap_err();
    assert_eq!(failure.spent, instance.is_spent(), "{failure:?}");
    failure
}

#[tokio::test]
async fn an_app_that_never_comes_back_is_ended_at_its_deadline() {
    let failure = fail(50, "spin", &[]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::DEADLINE, true));
    assert_eq!(failure.message, "it took longer than 50 ms");
}

#[tokio::test]
async fn a_host_call_that_never_comes_back_is_ended_at_the_deadline() {
    let failure = fail(50, "read", &[text(HANGING), text("room")]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::DEADLINE, true));
}

#[tokio::test]
async fn a_panic_is_a_trap_with_its_message_and_a_readable_backtrace() {
    let failure = fail(AMPLE_MS, "panic", &[text("the valve is stuck")]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::TRAP_UNREACHABLE, true));
    assert!(failure.message.contains("the valve is stuck"), "{failure:?}");
    assert!(failure.message.contains("faulty/src/lib.rs:"), "{failure:?}");
    let frame = |name: &str| failure.backtrace.iter().any(|frame| frame.contains(name));
    assert!(frame("std::panicking") && frame("faulty::"), "{:#?}", failure.backtrace);
}

#[tokio::test]
async fn what_a_panic_says_is_cut_at_its_limit() {
    let failure = fail(AMPLE_MS, "panic", &[text(&"ä".repeat(MESSAGE_BYTES_MAX))]).await;
    assert!((MESSAGE_BYTES_MAX - 1..=MESSAGE_BYTES_MAX).contains(&failure.message.len()));
}

#[tokio::test]
async fn too_much_memory_is_told_apart_from_a_panic() {
    let failure = fail(AMPLE_MS, "exhaust", &[]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::MEMORY, true), "{failure:?}");
}

#[tokio::test]
async fn endless_recursion_is_told_apart_from_a_bad_address() {
    let failure = fail(AMPLE_MS, "recurse", &[Value::Integer(0)]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::STACK, true), "{failure:?}");
    assert_eq!(failure.backtrace.len(), BACKTRACE_FRAMES_MAX);
}

#[tokio::test]
async fn a_bad_address_is_a_trap_of_its_own() {
    let failure = fail(AMPLE_MS, "stray", &[]).await;
    assert_eq!(failure.kind.as_str(), "app.trap.memory-out-of-bounds", "{failure:?}");
}

#[tokio::test]
async fn a_returned_error_is_no_trap_and_leaves_the_instance_good() {
    let (mut instance, _) = start(&faulty(AMPLE_MS)).await;
    instance.call("count", &[]).await.unwrap();
    let failure = instance.call("fail", &[text("cold"), text("it is too cold")]).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), (kind::ERROR, "cold: it is too cold"));
    assert!(!failure.spent && !instance.is_spent());
    assert_eq!(instance.call("count", &[]).await, Ok(Value::Integer(2)));
}

#[tokio::test]
async fn a_number_that_is_none_is_an_error() {
    let failure = fail(AMPLE_MS, "nan", &[]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::ERROR, false));
}

#[tokio::test]
async fn a_host_that_panics_while_it_waits_is_the_hosts_own_fault() {
    let failure = fail(AMPLE_MS, "read", &[text(PANICKING), text("room")]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::HOST, true));
    assert_eq!(failure.message, "the host panicked: the driver of room is broken");
}

#[tokio::test]
async fn a_host_that_panics_at_once_is_the_hosts_own_fault() {
    let failure = fail(AMPLE_MS, "emit", &[text(PANICKING), Value::Integer(1)]).await;
    assert_eq!((failure.kind.as_str(), failure.spent), (kind::HOST, true));
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_before_it_runs() {
    for (operation, args, message) in [
        ("dance", vec![], "the app has no operation dance"),
        ("count", vec![Value::Bool(true)], "count takes 0 arguments, not 1"),
        (
            "recurse",
            vec![text("deep")],
            "recurse: depth: \"deep\" is not a whole number from 0 to 4294967295",
        ),
        (
            "recurse",
            vec![Value::Integer(-1)],
            "recurse: depth: -1 is not a whole number from 0 to 4294967295",
        ),
    ] {
        let failure = fail(AMPLE_MS, operation, &args).await;
        assert_eq!((failure.kind.as_str(), failure.spent), (kind::OPERATION, false));
        assert_eq!(failure.message, message);
    }
}

#[tokio::test]
async fn a_spent_instance_says_so_and_does_nothing() {
    let (mut instance, _) = start(&faulty(AMPLE_MS)).await;
    instance.call("panic", &[text("over")]).await.unwrap_err();
    let failure = instance.call("count", &[]).await.unwrap_err();
    assert_eq!(failure.to_string(), "app.operation: the instance is spent: start another");
    assert!(failure.spent);
}
