//! The WebAssembly sandbox in which apps run.
