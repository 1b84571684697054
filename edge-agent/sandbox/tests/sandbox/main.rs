//! The sandbox with real guests: the sample apps, and one that goes wrong in every way that an app can.

#![cfg(test)]
mod edge;
mod faults;
mod fuzz;
mod hostile;
mod isolation;
mod loading;
mod operations;
mod proof;
mod samples;
mod strangers;
