//! The operator's command line, and the binary that can be every part of Flotilla.
fn main() {}
