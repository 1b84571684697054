//! A fleet without I/O: both cores, driven by a model of a broker, disks and apps, in virtual time.
//!
//! [`sim::World`] plays real cores against each other through a broker that may repeat and lose what it delivers.
//! Nothing sleeps and nothing is random, so a story takes milliseconds and its failures repeat. What the cores may
//! never do, whatever the weather, is asked afterwards by [`sim::oracle`], which shares no code with them.
//!
//! The end-to-end tests and the benches, over real processes and disks, are beside this in `tests/` and `benches/`.

pub mod sim;
