//! What is machine code for this runtime, of an app within its grants, is loaded; nothing else is.

use flotilla_sandbox::{InterfaceError, LoadError, Target};
use flotilla_schemas::app::{Grants, Limits};
use flotilla_schemas::fault::kind;

use crate::edge::{Edge, SANDBOX, equipment, faulty_machine, manifest, wasm};

fn refusal(machine: &[u8], grants: &Grants) -> LoadError {
    SANDBOX.load(machine, grants, &Limits::default()).err().unwrap()
}

#[test]
fn an_import_that_is_not_granted_is_refused_by_name() {
    let mut grants = manifest("faulty").grants;
    grants.kv = false;
    grants.device_write.clear();
    let error = refusal(faulty_machine(), &grants).to_string();
    assert_eq!(error, "load the app: it imports device-write, kv, of which nothing is granted");
}

#[test]
fn machine_code_for_another_runtime_is_refused() {
    let runtime = SANDBOX.runtime();
    let mut machine = faulty_machine().to_vec();
    let at = machine.windows(runtime.len()).position(|bytes| bytes == runtime.as_bytes()).unwrap();
    machine[at + "wasmtime-".len()] = b'3';
    let error = refusal(&machine, &manifest("faulty").grants).to_string();
    assert!(error.starts_with(&format!("load machine code for {runtime}: ")), "{error}");
    assert!(error.contains("wasmtime-38.0.8"), "{error}");
}

#[test]
fn what_is_no_machine_code_is_refused() {
    for bytes in [b"".as_slice(), b"\0asm", &wasm("meter"), &faulty_machine()[..1000]] {
        let error = refusal(bytes, &Grants::default());
        assert!(matches!(error, LoadError::Machine { .. }), "{error}");
    }
}

#[test]
fn machine_code_is_the_same_each_time_and_for_any_processor() {
    let machine = SANDBOX.compile(&wasm("meter")).unwrap();
    assert_eq!(machine, SANDBOX.compile(&wasm("meter")).unwrap());
    assert_eq!(machine, SANDBOX.compile_app(&wasm("meter")).unwrap().machine);
    // The flags of the processor are in the machine code by name, followed by whether they are used.
    for extra in ["has_avx2", "has_bmi2", "has_lzcnt", "has_sse41", "has_lse"] {
        let used =
            |bytes: &[u8]| bytes.starts_with(extra.as_bytes()) && bytes.get(extra.len() + 1) == Some(&1);
        assert!(!machine.windows(extra.len() + 2).any(used), "{extra}");
    }
}

#[test]
fn machine_code_for_another_processor_names_its_runtime_and_is_refused_here() {
    for name in ["aarch64-linux", "x86_64-linux"] {
        let target: Target = name.parse().unwrap();
        let machine = SANDBOX.compile_for(&wasm("meter"), target).unwrap();
        let loaded = SANDBOX.load(&machine, &manifest("meter").grants, &Limits::default());
        if Target::own() == Some(target) {
            assert_eq!(machine, SANDBOX.compile(&wasm("meter")).unwrap());
            assert!(loaded.is_ok());
        } else {
            let error = loaded.err().unwrap().to_string();
            assert!(error.starts_with(&format!("load machine code for {}: ", SANDBOX.runtime())), "{error}");
        }
        // It is an ELF file, whose 19th byte names the processor.
        let elf_machine = if name.starts_with("aarch64") { 183 } else { 62 };
        assert_eq!((&machine[..4], machine[18]), (b"\x7fELF".as_slice(), elf_machine), "{name}");
    }
}

#[test]
fn what_is_no_component_is_not_compiled() {
    for bytes in [b"".as_slice(), b"no wasm at all", b"\0asm\x01\0\0\0"] {
        let error = SANDBOX.compile(bytes).unwrap_err().to_string();
        assert!(error.starts_with("compile the component: "), "{error}");
        assert!(matches!(SANDBOX.inspect(bytes).unwrap_err()[..], [InterfaceError::Component(_)]));
    }
}

#[tokio::test]
async fn an_app_whose_memory_is_larger_than_its_limit_does_not_start() {
    let limits = Limits { memory_bytes: 128 * 1024, ..Limits::default() };
    let program = SANDBOX.load(faulty_machine(), &manifest("faulty").grants, &limits).unwrap();
    let failure = program.start(Edge::new(equipment("e1"))).await.err().unwrap();
    assert_eq!(failure.kind.as_str(), kind::MEMORY, "{failure:?}");
}
