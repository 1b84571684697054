//! The engine and its one configuration, shared by all who make machine code and all who run it.
//!
//! Machine code fits a sandbox exactly if both have the same [`Sandbox::runtime`]; it carries that name inside, and
//! loading refuses any other. It is made for the plain architecture, never for the processor of the machine that
//! happened to make it, so every gateway of that architecture can load it.

use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_schemas::app::MEMORY_BYTES_MAX;
use flotilla_schemas::fault::BACKTRACE_FRAMES_MAX;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, ModuleVersionStrategy, PoolingAllocationConfig};

#[cfg(feature = "compiler")]
use crate::target::Target;
use crate::target::{own_runtime, own_triple};

/// How often running guests are interrupted, so that a deadline can end them.
const TICK: Duration = Duration::from_millis(10);

/// The most instances that a sandbox may be asked to hold at once.
pub const INSTANCES_MAX: u32 = 1024;

/// The stack of a guest, in bytes.
pub const WASM_STACK_BYTES: usize = 256 * 1024;

/// The stack on which a guest and the host calls below it run, in bytes.
const ASYNC_STACK_BYTES: usize = 512 * 1024;

/// Inaccessible addresses after each memory, in bytes.
const MEMORY_GUARD_BYTES: u64 = 64 * 1024;

/// Modules inside one component: the app's own, and what the linker adds to join it to its imports. Python comes in 38,
/// its libraries and a stub for each interface of `wasi:`.
const MODULES_PER_APP_MAX: u32 = 64;

/// Tables inside one component: the app's own and one of the linker's.
const TABLES_PER_APP_MAX: u32 = 2;

/// Elements of one table: functions whose address is taken.
const TABLE_ELEMENTS_MAX: usize = 8192;

/// How much a sandbox may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Instances at once, 1 to [`INSTANCES_MAX`]. Each reserves 64 MiB of addresses, not of memory. One more than
    /// this fails to start, with the kind [`SANDBOX_FULL`](flotilla_schemas::fault::kind::SANDBOX_FULL).
    pub instances: u32,
}

impl Default for SandboxLimits {
    /// 64 instances: 4 GiB of addresses.
    fn default() -> Self {
        Self { instances: 64 }
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A limit is out of its range.
    #[error("make a sandbox for {0} instances: from 1 to {INSTANCES_MAX} are possible")]
    Instances(u32),
    /// The engine refuses this machine: no address space left, or a processor that it does not know.
    #[error("set up the WebAssembly engine: {0}")]
    Engine(String),
    /// The thread that ends overdue guests could not be started.
    #[error("start the thread that interrupts guests: {0}")]
    Ticker(#[source] std::io::Error),
}

/// A component that cannot be made into machine code.
#[cfg(feature = "compiler")]
#[derive(Debug, thiserror::Error)]
#[error("compile the component: {0}")]
pub struct CompileError(String);

/// An engine that makes, reads and runs apps. Cheap to clone; many may live in one process.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) engine: Engine,
}

impl Sandbox {
    /// Sets up an engine, its pool of instances and the thread that interrupts overdue guests. All of it is given
    /// back when the last clone, program and instance is gone.
    pub fn new(limits: SandboxLimits) -> Result<Self, SandboxError> {
        Self::with_stack(limits, WASM_STACK_BYTES)
    }

    /// A sandbox whose guests have this stack, in bytes, at most [`WASM_STACK_BYTES`]. The same machine code fits.
    pub(crate) fn with_stack(limits: SandboxLimits, stack_bytes: usize) -> Result<Self, SandboxError> {
        if !(1..=INSTANCES_MAX).contains(&limits.instances) {
            return Err(SandboxError::Instances(limits.instances));
        }
        let engine = |error| SandboxError::Engine(format!("{error:#}"));
        let mut config = config(limits, own_runtime(), own_triple().as_deref()).map_err(engine)?;
        config.max_wasm_stack(stack_bytes);
        let engine = Engine::new(&config).map_err(engine)?;
        tick(&engine).map_err(SandboxError::Ticker)?;
        Ok(Self { engine })
    }

    /// What machine code must be made for to be loaded here: engine and version, processor and system, and the
    /// number of the configuration, such as `wasmtime-48.0.8/x86_64-linux/2`.
    pub fn runtime(&self) -> String {
        own_runtime()
    }

    /// Makes machine code for [`Sandbox::runtime`]. The same component gives the same machine code on any machine.
    ///
    /// # Errors
    /// The bytes are no component, or one that needs more than the sandbox has: several memories, too many
    /// tables, a proposal of WebAssembly that is not switched on.
    #[cfg(feature = "compiler")]
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.engine.precompile_component(wasm).map_err(|error| CompileError(format!("{error:#}")))
    }

    /// Makes machine code for [`Target::runtime`], which need not be this machine's.
    ///
    /// # Errors
    /// Those of [`Sandbox::compile`].
    #[cfg(feature = "compiler")]
    pub fn compile_for(&self, wasm: &[u8], target: Target) -> Result<Vec<u8>, CompileError> {
        if Target::own() == Some(target) {
            return self.compile(wasm);
        }
        let engine = config(SandboxLimits { instances: 1 }, target.runtime(), Some(target.triple))
            .and_then(|mut config| Engine::new(config.max_wasm_stack(WASM_STACK_BYTES)));
        let machine = engine.and_then(|engine| engine.precompile_component(wasm));
        machine.map_err(|error| CompileError(format!("{error:#}")))
    }
}

fn config(limits: SandboxLimits, runtime: String, triple: Option<&str>) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .module_version(ModuleVersionStrategy::Custom(runtime))?
        .wasm_component_model(true)
        .epoch_interruption(true)
        .async_stack_size(ASYNC_STACK_BYTES)
        .memory_reservation(MEMORY_BYTES_MAX.into())
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_may_move(false)
        .coredump_on_trap(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    if let Some(triple) = triple {
        config.target(triple)?;
    }
    Ok(config)
}

fn pool(limits: SandboxLimits) -> PoolingAllocationConfig {
    let instances = limits.instances;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances * MODULES_PER_APP_MAX)
        .total_memories(instances)
        .total_tables(instances * TABLES_PER_APP_MAX)
        .total_stacks(instances)
        .max_core_instances_per_component(MODULES_PER_APP_MAX)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES_PER_APP_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(MEMORY_BYTES_MAX as usize);
    pool
}

/// Starts the thread that makes running guests yield every [`TICK`]. It ends by itself after the engine.
fn tick(engine: &Engine) -> std::io::Result<JoinHandle<()>> {
    let engine = engine.weak();
    std::thread::Builder::new().name("sandbox-tick".to_owned()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_ends_with_its_engine() {
        let config = config(SandboxLimits { instances: 1 }, own_runtime(), None).unwrap();
        let engine = Engine::new(&config).unwrap();
        let ticker = tick(&engine).unwrap();
        drop(engine);
        ticker.join().unwrap();
    }

    #[test]
    fn the_name_of_the_runtime_tells_the_version_that_is_built_in() {
        let lock = include_str!("../../../Cargo.lock").replace('\n', " ");
        let version = crate::target::WASMTIME;
        assert!(lock.contains(&format!("name = \"wasmtime\" version = \"{version}\"")));
    }

    #[test]
    fn a_sandbox_for_no_instance_or_too_many_is_refused() {
        for instances in [0, INSTANCES_MAX + 1] {
            let error = Sandbox::new(SandboxLimits { instances }).err().unwrap().to_string();
            assert_eq!(
                error,
                format!("make a sandbox for {instances} instances: from 1 to 1024 are possible")
            );
        }
    }
}
