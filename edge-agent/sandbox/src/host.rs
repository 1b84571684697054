//! The edge as an app sees it: the trait that a driver implements, and the reasons for which it may say no.
//!
//! By the time a [`Host`] is called, the call has been checked against the app's grants and limits.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use flotilla_schemas::Value;
use flotilla_schemas::fault::kind;

/// What a device answers, once it does.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, HostError>> + Send + 'a>>;

/// What an edge does for one app. A call that panics ends the run of the app with the kind
/// [`HOST`](kind::HOST) and nothing else; a reply that never comes ends it at its deadline.
pub trait Host: Send + Sync + 'static {
    /// Reads a point of a device.
    fn read<'a>(&'a self, device: &'a str, point: &'a str) -> Reply<'a, Value>;

    /// Sets a point of a device.
    fn write<'a>(&'a self, device: &'a str, point: &'a str, value: Value) -> Reply<'a, ()>;

    /// Records an event. Returns at once: a deadline does not end it.
    fn emit(&self, event: &str, fields: BTreeMap<String, Value>) -> Result<(), HostError>;

    /// Writes a message of the app. Returns at once.
    fn log(&self, level: Level, message: &str);

    /// The wall clock, in milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// A value that the app has kept. Returns at once.
    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError>;

    /// Keeps a value. Returns at once. How much an app may keep altogether is the host's to say.
    fn kv_set(&self, key: &str, value: Vec<u8>) -> Result<(), HostError>;

    /// Forgets a value, also one that is not there. Returns at once.
    fn kv_delete(&self, key: &str) -> Result<(), HostError>;
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something went wrong.
    Error,
    /// Something may go wrong.
    Warn,
    /// What goes on.
    Info,
    /// For the app's maker.
    Debug,
}

/// Why the edge did not do what the app asked for. The app is told, and decides itself what that means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is not granted.
    #[error("{0} is not granted")]
    Refused(String),
    /// There is no such device or point.
    #[error("there is no {0}")]
    Unknown(String),
    /// The device cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The device did not answer in time.
    #[error("{0}")]
    Slow(String),
    /// The device answers with a refusal.
    #[error("{0}")]
    Rejected(String),
    /// The device answers what is beyond its range, or has no such address.
    #[error("{0}")]
    Range(String),
    /// A value, key or name cannot be taken.
    #[error("{0}")]
    Invalid(String),
    /// Too much, too long or too often.
    #[error("{0}")]
    Limit(String),
    /// It could not be kept.
    #[error("{0}")]
    Storage(String),
}

impl HostError {
    /// Whether the code is one of the edge's own, which an app passes on; every other is the app's.
    pub fn is_code(code: &str) -> bool {
        const CODES: [&str; 9] =
            ["refused", "unknown", "unreachable", "slow", "rejected", "range", "invalid", "limit", "storage"];
        CODES.contains(&code)
    }

    /// The code by which the app knows the reason; `schemas/wit` lists them.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
            Self::Unreachable(_) => "unreachable",
            Self::Slow(_) => "slow",
            Self::Rejected(_) => "rejected",
            Self::Range(_) => "range",
            Self::Invalid(_) => "invalid",
            Self::Limit(_) => "limit",
            Self::Storage(_) => "storage",
        }
    }

    /// The kind of fault that the equipment has, if it is at fault.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable(_) => Some(kind::EQUIPMENT_UNREACHABLE),
            Self::Slow(_) => Some(kind::EQUIPMENT_SLOW),
            Self::Rejected(_) => Some(kind::EQUIPMENT_REFUSED),
            Self::Range(_) => Some(kind::EQUIPMENT_RANGE),
            Self::Refused(_) | Self::Unknown(_) | Self::Invalid(_) | Self::Limit(_) | Self::Storage(_) => {
                None
            }
        }
    }
}
