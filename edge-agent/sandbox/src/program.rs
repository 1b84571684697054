//! Apps that run: a [`Program`] is an app's machine code joined to what it was granted, an [`Instance`] one run of
//! it with a memory of its own.
//!
//! Whatever ends a call early (a trap, the deadline, a panic of the host, a caller that stops waiting) leaves the
//! app's memory in the middle of something. So a call takes the store out of its instance and puts it back only
//! after a result: an instance without a store is spent.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use flotilla_schemas::Value;
use flotilla_schemas::app::{Grants, Interface, Limits};
use flotilla_schemas::fault::{Failure, cut, kind};
use wasmtime::Store;
use wasmtime::component::{Component, Func, InstancePre, Linker, Val};

use crate::Sandbox;
use crate::check::ungranted;
use crate::convert::{lift, lower};
use crate::failure::{overdue, seen};
use crate::guest::{self, Guest, Used};
use crate::host::Host;
use crate::interface::{self, Export, InterfaceError};

/// Why machine code is no program here.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are no machine code, or were made for another runtime.
    #[error("load machine code for {runtime}: {cause}")]
    Machine {
        /// What it would have to be made for.
        runtime: String,
        /// What is the matter with it.
        cause: String,
    },
    /// It is no app.
    #[error("load the app: {}", joined(.0))]
    Interface(Vec<InterfaceError>),
    /// It imports interfaces of which nothing is granted.
    #[error("load the app: it imports {}, of which nothing is granted", .0.join(", "))]
    Ungranted(Vec<String>),
    /// It wants an interface in another form than the edge has it.
    #[error("join the app to the edge: {0}")]
    Link(String),
}

fn joined(errors: &[InterfaceError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// An app that can be started. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Loaded>);

struct Loaded {
    pre: InstancePre<Guest>,
    interface: Interface,
    exports: Vec<Export>,
    grants: Arc<Grants>,
    limits: Limits,
}

/// One run of an app. It is given back to the pool when it is dropped, and nothing of it stays.
pub struct Instance {
    program: Program,
    live: Option<Live>,
    used: Used,
}

struct Live {
    store: Store<Guest>,
    instance: wasmtime::component::Instance,
}

impl Sandbox {
    /// Makes a program of machine code, with the granted interfaces and no other.
    ///
    /// **The caller has verified these very bytes**: they become code of this process.
    ///
    /// # Errors
    /// They are not machine code for [`Sandbox::runtime`], not of an app, or of one that was not granted what it
    /// imports.
    pub fn load(&self, machine: &[u8], grants: &Grants, limits: &Limits) -> Result<Program, LoadError> {
        // SAFETY: the bytes are what wasmtime itself made when the release was published. They are read from
        // memory, where they cannot change, and the caller has verified the publisher's signature over them.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&self.engine, machine) };
        let component = component
            .map_err(|error| LoadError::Machine { runtime: self.runtime(), cause: format!("{error:#}") })?;
        let (interface, exports) = interface::read(&component).map_err(LoadError::Interface)?;
        let ungranted: Vec<String> = ungranted(&interface, grants).collect();
        if !ungranted.is_empty() {
            return Err(LoadError::Ungranted(ungranted));
        }
        let pre = self.link(&component, grants).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        let (grants, limits) = (Arc::new(grants.clone()), limits.clone());
        Ok(Program(Arc::new(Loaded { pre, interface, exports, grants, limits })))
    }

    fn link(&self, component: &Component, grants: &Grants) -> wasmtime::Result<InstancePre<Guest>> {
        let mut linker = Linker::new(&self.engine);
        guest::link(&mut linker, grants)?;
        linker.instantiate_pre(component)
    }
}

impl Program {
    /// What the app can do and needs.
    pub fn interface(&self) -> &Interface {
        &self.0.interface
    }

    /// Starts a run of the app on a host, within the app's limits.
    ///
    /// # Errors
    /// The app's memory does not fit its limit, what it does at its start fails, or the sandbox is full.
    pub async fn start(&self, host: Arc<dyn Host>) -> Result<Instance, Failure> {
        let mut store =
            Store::new(self.0.pre.engine(), Guest::new(host, self.0.grants.clone(), &self.0.limits));
        store.limiter(Guest::limiter);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let instance = self.bounded(self.0.pre.instantiate_async(&mut store)).await?;
        let instance = instance.map_err(|error| seen(&error, store.data()))?;
        let used = store.data().used();
        Ok(Instance { program: self.clone(), live: Some(Live { store, instance }), used })
    }

    /// Waits for what the guest does, but not beyond its deadline, and not through a panic.
    async fn bounded<T>(&self, guest: impl Future<Output = T>) -> Result<T, Failure> {
        let deadline_ms = self.0.limits.deadline_ms;
        match tokio::time::timeout(Duration::from_millis(deadline_ms.into()), caught(guest)).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(panic)) => Err(Failure::new(kind::HOST, format!("the host panicked: {panic}"))),
            Err(_) => Err(overdue(deadline_ms)),
        }
    }
}

impl Instance {
    /// Calls an operation by its name.
    ///
    /// # Errors
    /// A [`Failure`] of any kind. After most of them the instance is [spent](Self::is_spent); dropping the future
    /// before it is done spends it too.
    pub async fn call(&mut self, operation: &str, args: &[Value]) -> Result<Value, Failure> {
        let program = self.program.clone();
        let (export, args) = program.resolve(operation, args)?;
        let spent = || Failure::new(kind::OPERATION, "the instance is spent: start another");
        let Live { mut store, instance } = self.live.take().ok_or_else(spent)?;
        let Some(function) = instance.get_func(&mut store, export.index) else {
            return Err(Failure::new(kind::OPERATION, format!("the app has lost its operation {operation}")));
        };
        let outcome = program.bounded(run(&mut store, function, &args)).await;
        self.used = store.data().used();
        let results = outcome?.map_err(|error| seen(&error, store.data()))?;
        self.live = Some(Live { store, instance });
        value(results)
    }

    /// Whether it can do no more.
    pub fn is_spent(&self) -> bool {
        self.live.is_none()
    }

    /// What it has taken and tried, up to the end of its last operation.
    pub fn used(&self) -> &Used {
        &self.used
    }
}

impl Program {
    /// The operation and its arguments as the component takes them.
    fn resolve(&self, name: &str, args: &[Value]) -> Result<(&Export, Vec<Val>), Failure> {
        let wrong = |message: String| Failure::mild(kind::OPERATION, message);
        let export = self.0.exports.iter().find(|export| export.operation.name == name);
        let export = export.ok_or_else(|| wrong(format!("the app has no operation {name}")))?;
        let params = &export.operation.params;
        if params.len() != args.len() {
            return Err(wrong(format!("{name} takes {} arguments, not {}", params.len(), args.len())));
        }
        let lowered = params.iter().zip(&export.params).zip(args).map(|(((param, ty), inner), arg)| {
            ty.check(arg).map_err(|error| wrong(format!("{name}: {param}: {error}")))?;
            lower(arg, inner)
                .ok_or_else(|| wrong(format!("{name}: {param}: {} is not {ty}", arg.shortened())))
        });
        Ok((export, lowered.collect::<Result<_, _>>()?))
    }
}

async fn run(store: &mut Store<Guest>, function: Func, args: &[Val]) -> wasmtime::Result<Vec<Val>> {
    store.data_mut().begin();
    store.set_epoch_deadline(1);
    let mut results = vec![Val::Bool(false); function.ty(&mut *store).results().len()];
    function.call_async(&mut *store, args, &mut results).await?;
    Ok(results)
}

/// What an operation returned: its result, or the fault in the place of one.
fn value(mut results: Vec<Val>) -> Result<Value, Failure> {
    let value = match results.pop() {
        None | Some(Val::Result(Ok(None))) => return Ok(Value::None),
        Some(Val::Result(Err(fault))) => {
            return Err(returned(fault.and_then(|f| lift(*f))));
        }
        Some(Val::Result(Ok(Some(value)))) => *value,
        Some(value) => value,
    };
    lift(value)
        .ok_or_else(|| Failure::mild(kind::ERROR, "it returned a number that is not finite or too large"))
}

/// A returned fault, as `code: message`.
fn returned(fault: Option<Value>) -> Failure {
    let Some(Value::Record(fields)) = fault else {
        return Failure::mild(kind::ERROR, "it returned an error without a word");
    };
    let field = |name| match fields.get(name) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let failure = Failure::mild(kind::ERROR, format!("{}: {}", field("code"), field("message")));
    Failure { code: Some(cut(field("code").to_owned())), ..failure }
}

/// The future's output, or what it said when it panicked.
async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Poll::Ready(Err(text.unwrap_or_else(|| "without a word".to_owned())))
        }
    })
    .await
}
