//! One running app between the sandbox and its host: each call that it makes is checked here against its grants
//! and against what one call may do, then handed to the [`Host`].
//!
//! The linker holds only the interfaces of which something was granted; the checks here are for what inside them.
//! A refusal is a fault that the app is told of, and it is counted.

use std::sync::Arc;

use flotilla_schemas::Value;
use flotilla_schemas::app::{Grants, Limits};
use wasmtime::ResourceLimiter;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::fleet::edge::{clock, device_read, device_write, events, kv, log, types};
use crate::host::{Host, HostError, Level};
use types::Fault;

/// The longest message that an app logs, in bytes; what is beyond is cut off.
pub const LOG_BYTES_MAX: usize = 2048;
/// The most messages that an app logs during one call; further ones are dropped.
pub const LOG_MESSAGES_PER_CALL_MAX: u32 = 64;
/// The most events that an app emits during one call.
pub const EVENTS_PER_CALL_MAX: u32 = 256;
/// The most points that an app sets during one call; each is journaled.
pub const WRITES_PER_CALL_MAX: u32 = 256;
/// The most keys that an app sets or forgets during one call; each is a commit that others wait for.
pub const KV_CHANGES_PER_CALL_MAX: u32 = 32;
/// The most fields of an event.
pub const EVENT_FIELDS_MAX: usize = 32;
/// The longest name of an event or of one of its fields, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest text that an app hands to a device or puts into a field of an event, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// The longest key that an app keeps a value under, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// The longest value that an app keeps under one key, in bytes.
pub const KV_VALUE_BYTES_MAX: usize = 64 * 1024;
/// The most that an app keeps altogether, in bytes, keys included.
pub const KV_BYTES_MAX: u64 = 256 * 1024;

/// What a store holds beside the app's memory.
pub(crate) struct Guest {
    host: Arc<dyn Host>,
    grants: Arc<Grants>,
    memory: Memory,
    call: Call,
    refused: u64,
    refusal: Option<String>,
}

/// What an instance has taken and tried since it was started, up to the end of its last operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// The most memory, in bytes.
    pub memory_bytes: u64,
    /// How many calls to the edge were refused as not granted.
    pub refused: u64,
    /// What was wanted in the last of them: `setting aircon/power`.
    pub refusal: Option<String>,
}

/// What is counted anew for each call of an operation.
#[derive(Default)]
struct Call {
    events: u32,
    writes: u32,
    keys: u32,
    messages: u32,
    last_error: Option<String>,
}

/// Grants memory up to the app's limit, and remembers once it has not.
struct Memory {
    bytes_max: usize,
    /// The largest that it has been.
    bytes: usize,
    exhausted: bool,
}

impl Guest {
    pub(crate) fn new(host: Arc<dyn Host>, grants: Arc<Grants>, limits: &Limits) -> Self {
        let memory = Memory { bytes_max: limits.memory_bytes as usize, bytes: 0, exhausted: false };
        Self { host, grants, memory, call: Call::default(), refused: 0, refusal: None }
    }

    /// Forgets what belongs to the call before.
    pub(crate) fn begin(&mut self) {
        self.call = Call::default();
        self.memory.exhausted = false;
    }

    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// Whether the call asked for more memory than there is.
    pub(crate) fn exhausted(&self) -> bool {
        self.memory.exhausted
    }

    /// The last error that was logged during the call: what a panic said.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.call.last_error.as_deref()
    }

    /// What it has taken and tried since it was started.
    pub(crate) fn used(&self) -> Used {
        let memory_bytes = self.memory.bytes as u64;
        Used { memory_bytes, refused: self.refused, refusal: self.refusal.clone() }
    }

    fn change_key(&mut self) -> Result<(), HostError> {
        self.call.keys += 1;
        if self.call.keys > KV_CHANGES_PER_CALL_MAX {
            let message = format!("one call changes at most {KV_CHANGES_PER_CALL_MAX} keys");
            return Err(HostError::Limit(message));
        }
        Ok(())
    }

    fn granted(&mut self, granted: bool, what: impl FnOnce() -> String) -> Result<(), HostError> {
        if granted {
            return Ok(());
        }
        let what = what();
        self.refused += 1;
        self.refusal = Some(what.clone());
        Err(HostError::Refused(what))
    }
}

/// Links the interfaces of which something is granted, and those that are always there.
pub(crate) fn link(linker: &mut Linker<Guest>, grants: &Grants) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    log::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    if !grants.device_read.is_empty() {
        device_read::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if !grants.device_write.is_empty() {
        device_write::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if !grants.events.is_empty() {
        events::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if grants.kv {
        kv::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    Ok(())
}

impl types::Host for Guest {}

impl device_read::Host for Guest {
    async fn read(&mut self, device: String, point: String) -> Result<types::Value, Fault> {
        let granted = self.grants.may_read(&device, &point);
        self.granted(granted, || format!("reading {device}/{point}"))?;
        outward(self.host.read(&device, &point).await?)
    }
}

impl device_write::Host for Guest {
    async fn write(&mut self, device: String, point: String, value: types::Value) -> Result<(), Fault> {
        let granted = self.grants.may_write(&device, &point);
        self.granted(granted, || format!("setting {device}/{point}"))?;
        self.call.writes += 1;
        if self.call.writes > WRITES_PER_CALL_MAX {
            let message = format!("one call sets at most {WRITES_PER_CALL_MAX} points");
            return Err(HostError::Limit(message).into());
        }
        Ok(self.host.write(&device, &point, inward(value)?).await?)
    }
}

impl events::Host for Guest {
    fn emit(&mut self, name: String, fields: Vec<(String, types::Value)>) -> Result<(), Fault> {
        check_name("an event", &name)?;
        self.granted(self.grants.may_emit(&name), || format!("the event {name}"))?;
        self.call.events += 1;
        if self.call.events > EVENTS_PER_CALL_MAX {
            return Err(
                HostError::Limit(format!("one call emits at most {EVENTS_PER_CALL_MAX} events")).into()
            );
        }
        if fields.len() > EVENT_FIELDS_MAX {
            return Err(HostError::Limit(format!("an event has at most {EVENT_FIELDS_MAX} fields")).into());
        }
        let field = |(name, value): (String, types::Value)| {
            check_name("a field", &name)?;
            Ok((name, inward(value)?))
        };
        let fields = fields.into_iter().map(field).collect::<Result<_, HostError>>()?;
        Ok(self.host.emit(&name, fields)?)
    }
}

impl kv::Host for Guest {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Fault> {
        check_key(&key)?;
        Ok(self.host.kv_get(&key)?)
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Fault> {
        check_key(&key)?;
        if value.len() > KV_VALUE_BYTES_MAX {
            let message = format!("a value of {} bytes: {KV_VALUE_BYTES_MAX} are the most", value.len());
            return Err(HostError::Limit(message).into());
        }
        self.change_key()?;
        Ok(self.host.kv_set(&key, value)?)
    }

    fn delete(&mut self, key: String) -> Result<(), Fault> {
        check_key(&key)?;
        self.change_key()?;
        Ok(self.host.kv_delete(&key)?)
    }
}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, mut message: String) {
        message.truncate(message.floor_char_boundary(LOG_BYTES_MAX));
        self.call.messages += 1;
        let level = match level {
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warn,
            log::Level::Info => Level::Info,
            log::Level::Debug => Level::Debug,
        };
        if self.call.messages <= LOG_MESSAGES_PER_CALL_MAX {
            self.host.log(level, &message);
        }
        if level == Level::Error {
            self.call.last_error = Some(message);
        }
    }
}

impl clock::Host for Guest {
    fn now_ms(&mut self) -> u64 {
        self.host.now_ms()
    }
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

/// A device's value as the app sees it.
fn outward(value: Value) -> Result<types::Value, Fault> {
    match value {
        Value::Bool(truth) => Ok(types::Value::Truth(truth)),
        Value::Integer(number) => Ok(types::Value::Integer(number)),
        Value::Number(number) => Ok(types::Value::Number(number)),
        Value::Text(text) => Ok(types::Value::Text(text)),
        Value::None | Value::List(_) | Value::Record(_) => {
            Err(HostError::Invalid(format!("a point cannot hold {}", value.shortened())).into())
        }
    }
}

/// An app's value as the edge sees it, within what the edge takes.
fn inward(value: types::Value) -> Result<Value, HostError> {
    match value {
        types::Value::Truth(truth) => Ok(Value::Bool(truth)),
        types::Value::Integer(number) => Ok(Value::Integer(number)),
        types::Value::Number(number) if number.is_finite() => Ok(Value::Number(number)),
        types::Value::Number(number) => Err(HostError::Invalid(format!("{number} is not a finite number"))),
        types::Value::Text(text) if text.len() <= TEXT_BYTES_MAX => Ok(Value::Text(text)),
        types::Value::Text(text) => {
            Err(HostError::Limit(format!("a text of {} bytes: {TEXT_BYTES_MAX} are the most", text.len())))
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), HostError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(());
    }
    let name: String = name.chars().take(80).collect();
    Err(HostError::Invalid(format!(
        "{name:?} does not name {what}: 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _"
    )))
}

fn check_key(key: &str) -> Result<(), HostError> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(HostError::Invalid(format!("a key of {} bytes: 1 to {KEY_BYTES_MAX} are possible", key.len())))
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let within = desired <= self.bytes_max;
        self.exhausted |= !within;
        if within {
            self.bytes = self.bytes.max(desired);
        }
        Ok(within)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool bounds tables, and no app that Rust or C makes grows one.
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::host::Reply;

    /// An edge whose devices do as they are told.
    struct Willing;

    impl Host for Willing {
        fn read<'a>(&'a self, _: &'a str, _: &'a str) -> Reply<'a, Value> {
            Box::pin(async { Ok(Value::Bool(true)) })
        }
        fn write<'a>(&'a self, _: &'a str, _: &'a str, _: Value) -> Reply<'a, ()> {
            Box::pin(async { Ok(()) })
        }
        fn emit(&self, _: &str, _: BTreeMap<String, Value>) -> Result<(), HostError> {
            Ok(())
        }
        fn log(&self, _: Level, _: &str) {}
        fn now_ms(&self) -> u64 {
            0
        }
        fn kv_get(&self, _: &str) -> Result<Option<Vec<u8>>, HostError> {
            Ok(None)
        }
        fn kv_set(&self, _: &str, _: Vec<u8>) -> Result<(), HostError> {
            Ok(())
        }
        fn kv_delete(&self, _: &str) -> Result<(), HostError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn one_call_sets_so_many_points_and_the_next_as_many_again() {
        let grants = r#"{"device_write": [{"device": "lamp", "points": ["on"]}]}"#;
        let grants = Arc::new(serde_json::from_str(grants).unwrap());
        let mut guest = Guest::new(Arc::new(Willing), grants, &Limits::default());
        let set = async |guest: &mut Guest| {
            let value = types::Value::Truth(true);
            device_write::Host::write(guest, "lamp".to_owned(), "on".to_owned(), value).await
        };
        for _ in 0..2 {
            guest.begin();
            for _ in 0..WRITES_PER_CALL_MAX {
                set(&mut guest).await.unwrap();
            }
            assert_eq!(set(&mut guest).await.unwrap_err().code, "limit");
        }
    }

    #[test]
    fn one_call_changes_so_many_keys_and_the_next_as_many_again() {
        let grants = Arc::new(serde_json::from_str(r#"{"kv": true}"#).unwrap());
        let mut guest = Guest::new(Arc::new(Willing), grants, &Limits::default());
        for _ in 0..2 {
            guest.begin();
            for _ in 0..KV_CHANGES_PER_CALL_MAX / 2 {
                kv::Host::set(&mut guest, "key".to_owned(), vec![1]).unwrap();
                kv::Host::delete(&mut guest, "key".to_owned()).unwrap();
            }
            let refused = kv::Host::set(&mut guest, "key".to_owned(), vec![1]);
            assert_eq!(refused.unwrap_err().code, "limit");
            assert_eq!(kv::Host::delete(&mut guest, "key".to_owned()).unwrap_err().code, "limit");
        }
    }
}
