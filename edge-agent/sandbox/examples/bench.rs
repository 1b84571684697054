//! Measures a call of a resident app and a whole run of a transient one:
//! `cargo run --release -p flotilla-sandbox --features compiler --example bench APP.wasm`, with the sample meter.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use flotilla_sandbox::{Host, HostError, Level, Reply, Sandbox, SandboxLimits};
use flotilla_schemas::Value;
use flotilla_schemas::app::{Grants, Limits};

/// How often each is done.
const TIMES: u32 = 20_000;

/// A host whose devices answer at once.
struct Prompt;

impl Host for Prompt {
    fn read<'a>(&'a self, _: &'a str, _: &'a str) -> Reply<'a, Value> {
        Box::pin(async { Ok(Value::Number(22.5)) })
    }
    fn write<'a>(&'a self, _: &'a str, _: &'a str, _: Value) -> Reply<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn emit(&self, _: &str, _: BTreeMap<String, Value>) -> Result<(), HostError> {
        Ok(())
    }
    fn log(&self, _: Level, _: &str) {}
    fn now_ms(&self) -> u64 {
        0
    }
    fn kv_get(&self, _: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(None)
    }
    fn kv_set(&self, _: &str, _: Vec<u8>) -> Result<(), HostError> {
        Ok(())
    }
    fn kv_delete(&self, _: &str) -> Result<(), HostError> {
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let wasm = std::fs::read(std::env::args().nth(1).ok_or("which component?")?)?;
    let sandbox = Sandbox::new(SandboxLimits::default())?;
    let machine = measured("compile", 1, || sandbox.compile(&wasm))?;
    let grants: Grants =
        serde_json::from_str(r#"{"device_read": [{"device": "*", "points": ["*"]}], "events": ["*"]}"#)?;
    let load = || sandbox.load(&machine, &grants, &Limits::default());
    let program = measured("load machine code", 1, load)?;
    let host: Arc<dyn Host> = Arc::new(Prompt);
    let args = [Value::Text("kwh".to_owned())];

    let mut resident = program.start(host.clone()).await?;
    let begin = Instant::now();
    for _ in 0..TIMES {
        resident.call("read-energy", &args).await?;
    }
    report("call a resident app", begin, TIMES);

    let begin = Instant::now();
    for _ in 0..TIMES {
        program.start(host.clone()).await?.call("read-energy", &args).await?;
    }
    report("start, call and drop a transient app", begin, TIMES);
    Ok(())
}

fn measured<T>(what: &str, times: u32, run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let output = run();
    report(what, begin, times);
    output
}

fn report(what: &str, begin: Instant, times: u32) {
    println!("{what}: {:.1} µs", begin.elapsed().as_secs_f64() * 1e6 / f64::from(times));
}
