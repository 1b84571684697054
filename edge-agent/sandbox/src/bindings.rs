//! The Rust side of `fleet:edge`, generated from `schemas/wit`: one trait and one linker function an interface.
//!
//! Only what may wait for equipment is asynchronous. No import can trap: what goes wrong is a fault for the guest.
#![allow(missing_docs, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../schemas/wit",
    world: "app",
    imports: {
        "fleet:edge/device-read": async,
        "fleet:edge/device-write": async,
    },
});
