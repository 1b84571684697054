//! Apps in memory: a task for each, which loads it and answers its calls one after another.
//!
//! The bytes that are loaded are the bytes that were verified: they are read once. Unloading aborts the task, so a
//! call that is under way ends with it, and is answered as every one is.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use edge_core::{Code, Outcome};
use flotilla_sandbox::{Host, Program, Sandbox};
use flotilla_schemas::app::{Grants, Limits};
use flotilla_schemas::fault::{Failure, kind};
use flotilla_schemas::{AppId, Value};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::shelf::{Shelf, ShelfError};

/// Calls that wait for an app; a core never has more than one under way.
const CALLS_MAX: usize = 2;

/// The apps that are in memory.
pub struct Apps {
    sandbox: Sandbox,
    shelf: Shelf,
    running: BTreeMap<AppId, Running>,
}

struct Running {
    calls: mpsc::Sender<CallOf>,
    task: JoinHandle<()>,
}

struct CallOf {
    answer: Answer,
    operation: String,
    args: Vec<Value>,
}

/// What is to be loaded.
pub struct LoadOf {
    /// The app.
    pub app: AppId,
    /// Its code.
    pub code: Code,
    /// What it may touch.
    pub grants: Grants,
    /// How far it may go.
    pub limits: Limits,
}

impl Apps {
    /// No app yet.
    pub fn new(sandbox: Sandbox, shelf: Shelf) -> Self {
        Self { sandbox, shelf, running: BTreeMap::new() }
    }

    /// Loads an app in place of what is there under its name.
    pub fn load(&mut self, answer: Answer, what: LoadOf, host: Arc<dyn Host>) {
        let app = what.app.clone();
        self.unload(&app);
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        let (sandbox, shelf) = (self.sandbox.clone(), self.shelf.clone());
        let task = tokio::spawn(serve(answer, sandbox, shelf, what, host, waiting));
        self.running.insert(app, Running { calls, task });
    }

    /// Calls an operation.
    pub fn call(&self, answer: Answer, app: &AppId, operation: String, args: Vec<Value>) {
        let unloaded = || Failure::new(kind::UNLOADED, format!("{app} is not in memory"));
        let Some(running) = self.running.get(app) else { return answer.fail(unloaded()) };
        match running.calls.try_send(CallOf { answer, operation, args }) {
            Ok(()) => {}
            Err(TrySendError::Full(of) | TrySendError::Closed(of)) => of.answer.fail(unloaded()),
        }
    }

    /// Takes an app out of memory.
    pub fn unload(&mut self, app: &AppId) {
        if let Some(running) = self.running.remove(app) {
            running.task.abort();
        }
    }
}

impl Drop for Apps {
    fn drop(&mut self) {
        self.running.values().for_each(|running| running.task.abort());
    }
}

async fn serve(
    answer: Answer,
    sandbox: Sandbox,
    shelf: Shelf,
    what: LoadOf,
    host: Arc<dyn Host>,
    mut calls: mpsc::Receiver<CallOf>,
) {
    let instance = match load_program(sandbox, shelf, what).await {
        Ok(program) => program.start(host).await,
        Err(failure) => Err(failure),
    };
    let mut instance = match instance {
        Ok(instance) => instance,
        Err(failure) => return answer.give(Outcome::Failed(failure)).await,
    };
    answer.give(Outcome::Done).await;
    while let Some(CallOf { answer, operation, args }) = calls.recv().await {
        let result = instance.call(&operation, &args).await;
        answer.give(result.map_or_else(Outcome::Failed, Outcome::Value)).await;
        if instance.is_spent() {
            return;
        }
    }
}

/// Reads, verifies and loads, off the async threads: it takes a while.
async fn load_program(sandbox: Sandbox, shelf: Shelf, what: LoadOf) -> Result<Program, Failure> {
    let loaded = tokio::task::spawn_blocking(move || {
        let bytes = shelf.read(what.code.artifact()).map_err(unreadable)?;
        let machine = match what.code {
            Code::Machine(_) => bytes,
            Code::Wasm(_) => compile(&sandbox, &bytes)?,
        };
        let program = sandbox.load(&machine, &what.grants, &what.limits);
        program.map_err(|error| Failure::new(kind::RUNTIME, error.to_string()))
    });
    loaded.await.unwrap_or_else(|error| Err(Failure::new(kind::HOST, error.to_string())))
}

#[cfg(feature = "compiler")]
fn compile(sandbox: &Sandbox, wasm: &[u8]) -> Result<Vec<u8>, Failure> {
    sandbox.compile(wasm).map_err(|error| Failure::new(kind::RUNTIME, error.to_string()))
}

#[cfg(not(feature = "compiler"))]
fn compile(sandbox: &Sandbox, _: &[u8]) -> Result<Vec<u8>, Failure> {
    Err(Failure::new(kind::RUNTIME, format!("this edge runs machine code for {} alone", sandbox.runtime())))
}

/// A file that is gone or changed is not what was installed. One that the disk did not give may be as good as ever: it is
/// left as it is and read again.
pub fn unreadable(error: ShelfError) -> Failure {
    let kind = match &error {
        ShelfError::Disk { cause, .. } if cause.kind() != ErrorKind::NotFound => kind::STORAGE_BROKEN,
        _ => kind::MISMATCH,
    };
    Failure::new(kind, error.to_string())
}

#[cfg(all(test, feature = "disk"))]
mod tests {
    use super::*;
    use flotilla_schemas::{Artifact, Digest};

    #[test]
    fn only_what_is_gone_or_changed_was_tampered_with() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::Folder(crate::shelf::Folder::open(folder.path()).unwrap());
        let artifact = Artifact::of(b"code");
        let path = folder.path().join("blobs").join(artifact.digest.to_string());
        let kind_of = |shelf: &Shelf| unreadable(shelf.read(&artifact).unwrap_err()).kind.to_string();
        assert_eq!(kind_of(&shelf), kind::MISMATCH);
        std::fs::write(&path, b"c0de").unwrap();
        assert_eq!(kind_of(&shelf), kind::MISMATCH);
        // What cannot be read although it is there: a folder is no file.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(kind_of(&shelf), kind::STORAGE_BROKEN);
        assert_eq!(unreadable(ShelfError::Missing(Digest::of(b""))).kind.as_str(), kind::MISMATCH);
        assert!(shelf.look(&artifact).is_err(), "nothing is fetched in place of it");
        assert!(path.exists());
    }
}
