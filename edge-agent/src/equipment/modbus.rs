//! The driver of devices that speak Modbus TCP: one connection a device, one request at a time.
//!
//! The connection is made when it is needed. One that turns out to be dead is made anew once, at once: many devices
//! end a connection that is silent. While a device cannot be reached, connecting is tried ever more seldom, and
//! requests in between fail without waiting. A request that is given up takes its connection with it, so that a late
//! answer is never taken for that of another request.

mod register;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flotilla_sandbox::{HostError, Reply, Section};
use flotilla_schemas::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{ExceptionCode, Request, Response, Slave};

use super::driver::Driver;
use register::Register;

/// The port where an address names none.
const PORT: u16 = 502;

/// The first pause before a device that could not be reached is tried again; it doubles up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const PAUSE_LAST: Duration = Duration::from_secs(5);

/// A device.
struct Device {
    name: String,
    /// Host and port.
    host: String,
    unit: u8,
    connect_timeout: Duration,
    registers: BTreeMap<String, Register>,
    line: Mutex<Line>,
}

/// The connection to a device, and how patient one must be with it.
struct Line {
    context: Option<Context>,
    pause: Duration,
    not_before: Option<Instant>,
}

/// Why a request has no answer.
enum Lost {
    /// The connection broke, or gave what is no Modbus.
    Line(String),
    /// The device said no.
    Exception(ExceptionCode),
}

/// Reads what a section says of a Modbus device: its `address` (`host:port`, or the host alone for port 502), the
/// `unit` behind it (1), how long connecting may take (`connect_timeout`, half of `timeout`); and of each point its
/// [`Register`].
pub fn read(section: &mut Section) -> Option<Box<dyn Driver>> {
    let keys = &mut section.keys;
    let address: Option<String> = keys.need("address");
    let host = address.and_then(|address| match host(&address) {
        Some(host) => Some(host),
        None => keys.problem("address", format!("{address:?} is not a host, or a host and a port")),
    });
    let unit = keys.take("unit").unwrap_or(Slave::min_device().0);
    let most_ms = (section.timeout_ms - 1).max(1);
    let connect_timeout = Duration::from_millis(keys.span("connect_timeout", most_ms.div_ceil(2), most_ms));
    let mut registers = BTreeMap::new();
    for (name, point) in &mut section.points {
        registers.extend(Register::read(point).map(|register| (name.clone(), register)));
    }
    let line = Mutex::new(Line { context: None, pause: PAUSE_FIRST, not_before: None });
    let name = section.name.clone();
    Some(Box::new(Device { name, host: host?, unit, connect_timeout, registers, line }))
}

/// An address with its port.
fn host(address: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, PORT),
    };
    (!host.is_empty() && host.chars().all(legal) && port != 0).then(|| format!("{host}:{port}"))
}

impl Driver for Device {
    fn read<'a>(&'a self, point: &'a str) -> Reply<'a, Value> {
        Box::pin(async move {
            let register = self.register(point)?;
            let answer = self.ask(point, register.reading()).await?;
            let strange =
                || HostError::Unreachable(format!("{}/{point}: {answer:?} is no answer", self.name));
            register.value(&answer).ok_or_else(strange)
        })
    }

    fn write<'a>(&'a self, point: &'a str, value: &'a Value) -> Reply<'a, ()> {
        Box::pin(async move {
            let register = self.register(point)?;
            let unfit = || HostError::Invalid(format!("{}/{point}: no register takes {value}", self.name));
            let request = register.setting(value).ok_or_else(unfit)?;
            let answer = self.ask(point, request.clone()).await?;
            let confirmed = match (&request, &answer) {
                (Request::WriteSingleCoil(at, coil), Response::WriteSingleCoil(to, set)) => {
                    (at, coil) == (to, set)
                }
                (Request::WriteSingleRegister(at, word), Response::WriteSingleRegister(to, set)) => {
                    (at, word) == (to, set)
                }
                (Request::WriteMultipleRegisters(at, words), Response::WriteMultipleRegisters(to, count)) => {
                    at == to && words.len() == usize::from(*count)
                }
                _ => false,
            };
            let other =
                || HostError::Rejected(format!("{}/{point}: the device confirmed another", self.name));
            confirmed.then_some(()).ok_or_else(other)
        })
    }
}

impl Device {
    fn register(&self, point: &str) -> Result<&Register, HostError> {
        self.registers.get(point).ok_or_else(|| HostError::Unknown(format!("{}/{point}", self.name)))
    }

    /// Asks the device, with a new connection if the one at hand is dead.
    async fn ask(&self, point: &str, request: Request<'static>) -> Result<Response, HostError> {
        let mut line = self.line.lock().await;
        let mut lost = None;
        if let Some(context) = line.context.take() {
            match line.call(context, request.clone()).await {
                Err(Lost::Line(error)) => lost = Some(error),
                answered => return answered.map_err(|lost| self.told(point, lost)),
            }
        }
        if let Some(error) = &lost {
            tracing::debug!(device = self.name, error, "the connection is made anew");
        }
        let context = self.connect(&mut line).await?;
        line.call(context, request).await.map_err(|lost| self.told(point, lost))
    }

    async fn connect(&self, line: &mut Line) -> Result<Context, HostError> {
        let unreachable = |why: &str| {
            HostError::Unreachable(format!("{} ({}) cannot be reached: {why}", self.name, self.host))
        };
        if line.not_before.is_some_and(|at| at > Instant::now()) {
            return Err(unreachable("it could not be a moment ago"));
        }
        let connected = match timeout(self.connect_timeout, TcpStream::connect(&self.host)).await {
            Ok(Ok(stream)) => stream.set_nodelay(true).map(|()| stream).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {} ms", self.connect_timeout.as_millis())),
        };
        match connected {
            Ok(stream) => {
                (line.pause, line.not_before) = (PAUSE_FIRST, None);
                Ok(tcp::attach_slave(stream, Slave(self.unit)))
            }
            Err(why) => {
                line.not_before = Some(Instant::now() + line.pause);
                line.pause = (line.pause * 2).min(PAUSE_LAST);
                Err(unreachable(&why))
            }
        }
    }

    /// What an app is told.
    fn told(&self, point: &str, lost: Lost) -> HostError {
        let name = &self.name;
        match lost {
            Lost::Line(error) => HostError::Unreachable(format!("{name}/{point}: {error}")),
            Lost::Exception(code @ ExceptionCode::IllegalDataAddress) => {
                HostError::Range(format!("{name}/{point}: the device has no such address: {code}"))
            }
            Lost::Exception(
                code @ (ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice),
            ) => {
                HostError::Unreachable(format!("{name}/{point}: unit {} does not answer: {code}", self.unit))
            }
            Lost::Exception(code) => {
                HostError::Rejected(format!("{name}/{point}: the device refuses: {code}"))
            }
        }
    }
}

impl Line {
    /// One request; the connection is kept if it held.
    async fn call(&mut self, mut context: Context, request: Request<'static>) -> Result<Response, Lost> {
        let answer = context.call(request).await;
        match answer {
            Ok(answer) => {
                self.context = Some(context);
                answer.map_err(Lost::Exception)
            }
            Err(tokio_modbus::Error::Transport(error)) if error.raw_os_error() == Some(0) => {
                Err(Lost::Line("the device ended the connection".to_owned()))
            }
            Err(error) => Err(Lost::Line(error.to_string())),
        }
    }
}
