//! Points of equipment: what an app reads and sets, as an edge's equipment file names it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point of a device of one edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PointId {
    /// The device.
    pub device: String,
    /// Its point.
    pub point: String,
}

impl PointId {
    /// The point of this name.
    pub fn new(device: impl Into<String>, point: impl Into<String>) -> Self {
        Self { device: device.into(), point: point.into() }
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.point)
    }
}
