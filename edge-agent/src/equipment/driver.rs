//! What a driver is: the one thing that knows how its device is spoken to.

use flotilla_sandbox::Reply;
use flotilla_schemas::{EdgeId, FleetId, Value};

/// Drives one device. Time-out, cache, access, type and range are not its business; a request that is given up is a
/// future that is dropped, after which the next one must work.
///
/// It says [`Unreachable`](flotilla_sandbox::HostError::Unreachable) when the device cannot be spoken to,
/// [`Rejected`](flotilla_sandbox::HostError::Rejected) when the device says no, and
/// [`Range`](flotilla_sandbox::HostError::Range) when the device has no such address or value.
pub trait Driver: Send + Sync + 'static {
    /// The edge begins to use the device. A driver that speaks when it is asked has nothing to do yet.
    fn start(&self, _fleet: &FleetId, _edge: &EdgeId) {}

    /// What a point answers.
    fn read<'a>(&'a self, point: &'a str) -> Reply<'a, Value>;

    /// Sets a point, and comes back when the device has confirmed it. The value is of the point's type and range.
    fn write<'a>(&'a self, point: &'a str, value: &'a Value) -> Reply<'a, ()>;
}
