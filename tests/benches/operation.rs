//! An operation of an app, from request to result, against spawning a static process in the same run.
//!
//! The request and the result are what the edge's driver passes and gets: the app's task, its queue and the
//! sandbox's checks are in between. A transient app is read from disk, verified, loaded, called and dropped.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_agent::answer::Answer;
use edge_agent::apps::{Apps, LoadOf};
use edge_agent::shelf::{Folder, Shelf};
use edge_core::{Code, EffectId, Input, Outcome};
use flotilla_sandbox::{Host, HostError, Level, Reply, Sandbox, SandboxLimits};
use flotilla_schemas::app::Manifest;
use flotilla_schemas::digest::CHUNK_BYTES;
use flotilla_schemas::{AppId, Artifact, Value};
use tokio::sync::mpsc;

const APPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples/apps");

/// A host whose devices answer at once.
struct Instant0;

impl Host for Instant0 {
    fn read<'a>(&'a self, _: &'a str, _: &'a str) -> Reply<'a, Value> {
        Box::pin(async { Ok(Value::Number(22.0)) })
    }
    fn write<'a>(&'a self, _: &'a str, _: &'a str, _: Value) -> Reply<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn emit(&self, _: &str, _: std::collections::BTreeMap<String, Value>) -> Result<(), HostError> {
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

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Spawns a static process that ends at once, and waits for it.
fn spawn(program: &Path) -> Duration {
    let began = Instant::now();
    assert!(Command::new(program).status().unwrap().success());
    began.elapsed()
}

fn static_program(folder: &Path) -> std::path::PathBuf {
    let (source, program) = (folder.join("true.c"), folder.join("true"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).status();
    assert!(built.expect("a C compiler").success());
    program
}

struct Bench {
    apps: Apps,
    sender: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    app: AppId,
    code: Code,
    manifest: Manifest,
}

impl Bench {
    fn new(name: &str, folder: &Path) -> Self {
        let sandbox = Sandbox::new(SandboxLimits::default()).unwrap();
        let wasm = std::fs::read(format!("{APPS}/{name}/app.wasm")).unwrap();
        let machine = sandbox.compile(&wasm).unwrap();
        let artifact = Artifact::of(&machine);
        let shelf = Shelf::Folder(Folder::open(folder).unwrap());
        for (digest, chunk) in artifact.chunks.iter().zip(machine.chunks(CHUNK_BYTES)) {
            shelf.store_chunk(&artifact, *digest, chunk).unwrap();
        }
        assert!(shelf.look(&artifact).unwrap().is_empty());
        let manifest =
            toml::from_str(&std::fs::read_to_string(format!("{APPS}/{name}/app.toml")).unwrap()).unwrap();
        let (sender, inputs) = mpsc::channel(64);
        let app = name.parse().unwrap();
        let (apps, code) = (Apps::new(sandbox, shelf), Code::Machine(artifact));
        Self { apps, sender, inputs, app, code, manifest }
    }

    fn answer(&self) -> Answer {
        Answer::new(EffectId(1), self.sender.clone())
    }

    async fn load(&mut self) {
        let Manifest { grants, limits, .. } = self.manifest.clone();
        let what = LoadOf { app: self.app.clone(), code: self.code.clone(), grants, limits };
        self.apps.load(self.answer(), what, Arc::new(Instant0));
        let loaded = self.inputs.recv().await;
        assert!(matches!(loaded, Some(Input::Done { outcome: Outcome::Done, .. })), "{loaded:?}");
    }

    async fn call(&mut self, operation: &str, args: &[Value]) {
        self.apps.call(self.answer(), &self.app, operation.to_owned(), args.to_vec());
        let called = self.inputs.recv().await;
        assert!(matches!(called, Some(Input::Done { outcome: Outcome::Value(_), .. })), "{called:?}");
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let program = static_program(folder.path());
    let mut resident = Bench::new("aircon-north", &folder.path().join("resident"));
    let mut transient = Bench::new("meter", &folder.path().join("transient"));
    resident.load().await;
    let (mut floor, mut calls, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..500 {
        floor.push(spawn(&program));
        let began = Instant::now();
        resident.call("read-room", &[]).await;
        calls.push(began.elapsed());
        let began = Instant::now();
        transient.load().await;
        transient.call("read-energy", &[Value::from("kwh")]).await;
        transient.apps.unload(&transient.app.clone());
        runs.push(began.elapsed());
    }
    let (floor, call, run) = (median(floor), median(calls), median(runs));
    let ratio = |time: Duration| time.as_secs_f64() / floor.as_secs_f64();
    println!("median of 500, in one run              time      to the floor");
    println!("spawn a static process (floor)   {floor:>10.1?}            1.00");
    println!("resident app, request to result  {call:>10.1?}            {:.2}   (aim 0.20)", ratio(call));
    println!("transient app, from disk to gone {run:>10.1?}            {:.2}   (aim 3.00)", ratio(run));
}
