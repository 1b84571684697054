//! What a boot finds on disk, and how each kept value is read.

use std::collections::BTreeMap;

use flotilla_schemas::desired::{Item, Slot, SlotError};
use flotilla_schemas::id::IdError;
use flotilla_schemas::release::Catalog;
use flotilla_schemas::{AppId, EpochId, ServiceId};
use serde::de::DeserializeOwned;

use crate::fault::OpenFault;
use crate::program::{KeptApp, KeptService};
use crate::wanted::Came;

/// What a boot finds on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The journal's epoch.
    pub epoch: EpochId,
    /// Head, floor and bytes of each lane.
    pub lanes: [(u64, u64, u64); 3],
    /// The values by their keys.
    pub values: BTreeMap<String, Vec<u8>>,
}

/// A kept value.
pub(crate) enum Kept {
    Safe([u64; 3]),
    Catalog(Catalog),
    Slot(Slot, Item),
    Service(ServiceId, Box<KeptService>),
    App(AppId, KeptApp),
    Fault(Box<OpenFault>),
    Newest(Box<Came>),
}

/// Why a kept value cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error("it is unknown")]
    Unknown,
    #[error(transparent)]
    Slot(#[from] SlotError),
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Value(#[from] serde_json::Error),
}

impl Kept {
    /// The value under this key.
    pub fn read(key: &str, value: &[u8]) -> Result<Self, KeptError> {
        Ok(match key.split_once('/') {
            None if key == "safe" => Self::Safe(json(value)?),
            None if key == "newest" => Self::Newest(Box::new(json(value)?)),
            None if key == "catalog" => Self::Catalog(json(value)?),
            Some(("slot", slot)) => Self::Slot(slot.to_owned().try_into()?, json(value)?),
            Some(("service", id)) => Self::Service(id.parse()?, Box::new(json(value)?)),
            Some(("app", id)) => Self::App(id.parse()?, json(value)?),
            Some(("fault", _)) => Self::Fault(Box::new(json(value)?)),
            _ => return Err(KeptError::Unknown),
        })
    }
}

fn json<T: DeserializeOwned>(value: &[u8]) -> Result<T, KeptError> {
    Ok(serde_json::from_slice(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_under_a_key_that_is_not_known_is_told_apart_from_what_cannot_be_read() {
        let read = |key: &str, value: &str| Kept::read(key, value.as_bytes());
        assert!(matches!(read("safe", "[1,2,3]"), Ok(Kept::Safe([1, 2, 3]))));
        assert!(matches!(read("safe", "{}"), Err(KeptError::Value(_))));
        assert!(matches!(read("app/A B", "{}"), Err(KeptError::Id(_))));
        assert!(matches!(read("slot/A B", "{}"), Err(KeptError::Slot(_))));
        assert!(matches!(read("lease/x", "{}"), Err(KeptError::Unknown)));
    }
}
