//! What happens to one app stays with it.

use std::sync::Arc;

use flotilla_sandbox::{LOG_MESSAGES_PER_CALL_MAX, Level, Sandbox, SandboxLimits};
use flotilla_schemas::Value;
use flotilla_schemas::fault::kind;

use crate::edge::{
    Edge, HANGING, PANICKING, SANDBOX, equipment, faulty, faulty_machine, grants, manifest, start, text,
};

#[tokio::test]
async fn an_agent_and_its_other_apps_outlive_a_panicking_host_call() {
    let program = faulty(60_000);
    let (mut other, _) = start(&program).await;
    other.call("count", &[]).await.unwrap();
    let (mut instance, _) = start(&program).await;
    instance.call("read", &[text(PANICKING), text("room")]).await.unwrap_err();
    assert_eq!(other.call("count", &[]).await, Ok(Value::Integer(2)));
    let (mut next, _) = start(&program).await;
    assert_eq!(next.call("count", &[]).await, Ok(Value::Integer(1)));
}

#[tokio::test]
async fn a_spinning_app_leaves_time_to_others_on_the_same_thread() {
    let program = faulty(300);
    let (mut spinning, _) = start(&program).await;
    let spin = tokio::spawn(async move { spinning.call("spin", &[]).await });
    tokio::task::yield_now().await;
    let (mut other, _) = start(&faulty(60_000)).await;
    assert_eq!(other.call("count", &[]).await, Ok(Value::Integer(1)));
    assert_eq!(spin.await.unwrap().unwrap_err().kind.as_str(), kind::DEADLINE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_apps_run_at_once_each_in_its_own_memory() {
    let program = faulty(60_000);
    let tasks: Vec<_> = (1..=32)
        .map(|calls| {
            let program = program.clone();
            tokio::spawn(async move {
                let (mut instance, _) = start(&program).await;
                for _ in 1..calls {
                    instance.call("count", &[]).await.unwrap();
                }
                (calls, instance.call("count", &[]).await.unwrap())
            })
        })
        .collect();
    for task in tasks {
        let (calls, counted) = task.await.unwrap();
        assert_eq!(counted, Value::Integer(calls));
    }
}

#[tokio::test]
async fn a_run_leaves_nothing_to_the_next() {
    let sandbox = Sandbox::new(SandboxLimits { instances: 1 }).unwrap();
    let faulty = manifest("faulty");
    let program = sandbox.load(faulty_machine(), &faulty.grants, &faulty.limits).unwrap();
    for _ in 0..20 {
        let (mut instance, edge) = start(&program).await;
        assert_eq!(instance.call("count", &[]).await, Ok(Value::Integer(1)));
        drop(instance);
        assert_eq!(Arc::strong_count(&edge), 1);
    }
}

#[tokio::test]
async fn one_instance_more_than_the_sandbox_holds_is_refused_until_another_ends() {
    let sandbox = Sandbox::new(SandboxLimits { instances: 1 }).unwrap();
    let faulty = manifest("faulty");
    let program = sandbox.load(faulty_machine(), &faulty.grants, &faulty.limits).unwrap();
    let (mut first, _) = start(&program).await;
    let failure = program.start(Edge::new(equipment("e1"))).await.err().unwrap();
    assert_eq!(failure.kind.as_str(), kind::SANDBOX_FULL, "{failure:?}");
    assert_eq!(first.call("count", &[]).await, Ok(Value::Integer(1)));
    drop(first);
    start(&program).await;
}

#[tokio::test]
async fn a_spent_instance_gives_its_place_back_at_once() {
    let sandbox = Sandbox::new(SandboxLimits { instances: 1 }).unwrap();
    let faulty = manifest("faulty");
    let program = sandbox.load(faulty_machine(), &faulty.grants, &faulty.limits).unwrap();
    let (mut spent, _) = start(&program).await;
    spent.call("panic", &[text("over")]).await.unwrap_err();
    start(&program).await;
}

#[tokio::test]
async fn a_caller_that_stops_waiting_spends_the_instance() {
    let (mut instance, _) = start(&faulty(60_000)).await;
    {
        let args = [text(HANGING), text("room")];
        let mut call = std::pin::pin!(instance.call("read", &args));
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    }
    assert!(instance.is_spent());
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_counted() {
    let faulty = manifest("faulty");
    let narrow = grants(
        r#"{"device_read": [{"device": "aircon", "points": ["room"]}],
            "device_write": [{"device": "aircon", "points": ["setpoint"]}], "events": ["room"], "kv": true}"#,
    );
    let program = SANDBOX.load(faulty_machine(), &narrow, &faulty.limits).unwrap();
    let (mut instance, edge) = start(&program).await;
    for (operation, args, refusal) in [
        ("read", vec![text("meter"), text("energy")], "refused: reading meter/energy is not granted"),
        ("read", vec![text("aircon"), text("power")], "refused: reading aircon/power is not granted"),
        (
            "write",
            vec![text("aircon"), text("room"), Value::Number(1.0)],
            "refused: setting aircon/room is not granted",
        ),
        ("emit", vec![text("alarm"), Value::Integer(1)], "refused: the event alarm is not granted"),
    ] {
        assert_eq!(instance.call(operation, &args).await.unwrap_err().message, refusal);
    }
    assert_eq!(instance.used().refused, 4);
    instance.call("write", &[text("aircon"), text("setpoint"), Value::Number(20.0)]).await.unwrap();
    instance.call("emit", &[text("room"), Value::Integer(1)]).await.unwrap();
    assert_eq!((instance.used().refused, edge.event_names()), (4, vec!["room".to_owned()]));
}

#[tokio::test]
async fn one_call_is_bounded_in_what_it_does_to_the_edge() {
    let (mut instance, edge) = start(&faulty(60_000)).await;
    let message = async |instance: &mut flotilla_sandbox::Instance, operation, args: [Value; 2]| {
        instance.call(operation, &args).await.unwrap_err().message
    };
    let emit = [text("many"), Value::Integer(257)];
    assert_eq!(
        message(&mut instance, "emit", emit.clone()).await,
        "limit: one call emits at most 256 events"
    );
    assert_eq!(edge.event_names().len(), 256);
    // The next call may do as much again.
    message(&mut instance, "emit", emit).await;
    assert_eq!(edge.event_names().len(), 512);
    let keep = |key: &str, size| [text(key), Value::Integer(size)];
    assert_eq!(
        message(&mut instance, "keep", keep("k", 65_537)).await,
        "limit: a value of 65537 bytes: 65536 are the most"
    );
    assert_eq!(instance.call("keep", &keep("k", 65_536)).await, Ok(Value::Integer(65_536)));
    let long = message(&mut instance, "keep", keep(&"k".repeat(129), 1)).await;
    assert_eq!(long, "invalid: a key of 129 bytes: 1 to 128 are possible");
    let name = message(&mut instance, "emit", [text("A b"), Value::Integer(1)]).await;
    assert_eq!(name, "invalid: \"A b\" does not name an event: 1 to 64 of a-z, 0-9, - and _");
}

#[tokio::test]
async fn an_app_that_chatters_is_cut_short() {
    let (mut instance, edge) = start(&faulty(60_000)).await;
    let times = i64::from(LOG_MESSAGES_PER_CALL_MAX) + 10;
    instance.call("chatter", &[Value::Integer(times), Value::Integer(3_000)]).await.unwrap();
    let logs = edge.logs.lock().unwrap();
    assert_eq!(logs.len(), LOG_MESSAGES_PER_CALL_MAX as usize);
    assert!(logs.iter().all(|(level, message)| *level == Level::Info && message.len() == 2048));
}
