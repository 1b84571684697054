//! An edge for one test: a host that records, on simulated equipment, and breaks on demand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use flotilla_sandbox::{Host, HostError, Instance, Level, Program, Reply, Sandbox, SandboxLimits, Simulator};
use flotilla_schemas::app::{Grants, Limits, Manifest};
use flotilla_schemas::{AppId, Value};

/// One sandbox for all tests of a process, as an agent has one.
pub static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new(SandboxLimits::default()).unwrap());

static FAULTY: LazyLock<Vec<u8>> = LazyLock::new(|| SANDBOX.compile(&wasm("faulty")).unwrap());

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples")
}

/// A sample app's component.
pub fn wasm(app: &str) -> Vec<u8> {
    std::fs::read(samples().join("apps").join(app).join("app.wasm")).unwrap()
}

/// A sample app's manifest.
pub fn manifest(app: &str) -> Manifest {
    toml::from_str(&std::fs::read_to_string(samples().join("apps").join(app).join("app.toml")).unwrap())
        .unwrap()
}

/// A sample edge's equipment.
pub fn equipment(edge: &str) -> Simulator {
    let file = format!("{edge}.toml");
    let text = std::fs::read_to_string(samples().join("equipment").join(&file)).unwrap();
    Simulator::parse(&file, &text).unwrap()
}

/// Machine code of the app that goes wrong.
pub fn faulty_machine() -> &'static [u8] {
    &FAULTY
}

/// The app that goes wrong, with what its manifest grants and this deadline.
pub fn faulty(deadline_ms: u32) -> Program {
    let limits = Limits { deadline_ms, ..manifest("faulty").limits };
    SANDBOX.load(&FAULTY, &manifest("faulty").grants, &limits).unwrap()
}

/// A sample app as its manifest says.
pub fn sample(app: &str) -> Program {
    let machine = SANDBOX.compile(&wasm(app)).unwrap();
    let Manifest { grants, limits, .. } = manifest(app);
    SANDBOX.load(&machine, &grants, &limits).unwrap()
}

/// Starts a program on an edge whose equipment is well.
pub async fn start(program: &Program) -> (Instance, Arc<Edge>) {
    let edge = Edge::new(equipment("e1"));
    (program.start(edge.clone()).await.unwrap(), edge)
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn app() -> AppId {
    AppId::new("any").unwrap()
}

pub fn grants(json: &str) -> Grants {
    serde_json::from_str(json).unwrap()
}

/// The device whose reads never come back.
pub const HANGING: &str = "hanging";
/// The device whose reads panic.
pub const PANICKING: &str = "panicking";

/// What the app did to its edge.
pub struct Edge {
    pub now_ms: AtomicU64,
    equipment: Mutex<Simulator>,
    pub events: Mutex<Vec<(String, BTreeMap<String, Value>)>>,
    pub logs: Mutex<Vec<(Level, String)>>,
    pub kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Edge {
    pub fn new(equipment: Simulator) -> Arc<Self> {
        Arc::new(Self {
            now_ms: AtomicU64::new(0),
            equipment: Mutex::new(equipment),
            events: Mutex::default(),
            logs: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// The names of the events so far.
    pub fn event_names(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }
}

impl Host for Edge {
    fn read<'a>(&'a self, device: &'a str, point: &'a str) -> Reply<'a, Value> {
        Box::pin(async move {
            match device {
                HANGING => std::future::pending().await,
                PANICKING => panic!("the driver of {point} is broken"),
                _ => self.equipment.lock().unwrap().read(&app(), device, point, self.now_ms()).result,
            }
        })
    }

    fn write<'a>(&'a self, device: &'a str, point: &'a str, value: Value) -> Reply<'a, ()> {
        Box::pin(async move {
            self.equipment.lock().unwrap().write(&app(), device, point, &value, self.now_ms()).result
        })
    }

    fn emit(&self, event: &str, fields: BTreeMap<String, Value>) -> Result<(), HostError> {
        assert_ne!(event, PANICKING, "the recorder is broken");
        self.events.lock().unwrap().push((event.to_owned(), fields));
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        self.logs.lock().unwrap().push((level, message.to_owned()));
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.kept.lock().unwrap().get(key).cloned())
    }

    fn kv_set(&self, key: &str, value: Vec<u8>) -> Result<(), HostError> {
        self.kept.lock().unwrap().insert(key.to_owned(), value);
        Ok(())
    }

    fn kv_delete(&self, key: &str) -> Result<(), HostError> {
        self.kept.lock().unwrap().remove(key);
        Ok(())
    }
}
