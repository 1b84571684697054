//! The edge as one app sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use edge_core::Input;
use flotilla_sandbox::{Host, HostError, Level, Reply};
use flotilla_schemas::{AppId, Value};
use tokio::sync::mpsc;

use crate::equipment::Equipment;
use crate::store::{APP_KEYS_BYTES_MAX, Store, StoreError};

/// What stands behind one app.
pub struct AppHost {
    pub app: AppId,
    pub equipment: Arc<Equipment>,
    pub store: Arc<Store>,
    pub inputs: mpsc::Sender<Input>,
}

fn storage(error: StoreError) -> HostError {
    HostError::Storage(error.to_string())
}

impl AppHost {
    fn set(&self, key: &str, value: Option<&[u8]>) -> Result<(), HostError> {
        match self.store.set_key(&self.app, key, value).map_err(storage)? {
            true => Ok(()),
            false => Err(HostError::Limit(format!("an app keeps at most {APP_KEYS_BYTES_MAX} bytes"))),
        }
    }
}

impl Host for AppHost {
    fn read<'a>(&'a self, device: &'a str, point: &'a str) -> Reply<'a, Value> {
        Box::pin(self.equipment.read(&self.app, device, point))
    }

    fn write<'a>(&'a self, device: &'a str, point: &'a str, value: Value) -> Reply<'a, ()> {
        Box::pin(self.equipment.write(&self.app, device, point, value))
    }

    fn emit(&self, event: &str, fields: BTreeMap<String, Value>) -> Result<(), HostError> {
        let input = Input::AppEvent { app: self.app.clone(), name: event.to_owned(), fields };
        self.inputs.try_send(input).map_err(|_| HostError::Limit("the recorder is behind".to_owned()))
    }

    fn log(&self, level: Level, message: &str) {
        let app = self.app.as_str();
        match level {
            Level::Error => tracing::warn!(app, ?message, "an app reports an error"),
            Level::Warn => tracing::warn!(app, ?message, "an app warns"),
            Level::Info => tracing::info!(app, ?message, "an app says"),
            Level::Debug => tracing::debug!(app, ?message, "an app says"),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(flotilla_machine::wall_ms()).unwrap_or(0)
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        self.store.key(&self.app, key).map_err(storage)
    }

    fn kv_set(&self, key: &str, value: Vec<u8>) -> Result<(), HostError> {
        self.set(key, Some(&value))
    }

    fn kv_delete(&self, key: &str) -> Result<(), HostError> {
        self.set(key, None)
    }
}
