//! Model broker, simulation, scenarios, end-to-end tests and benches.
