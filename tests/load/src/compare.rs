//! Ours and mosquitto side by side, in one table: each line measured on the one, then on the other, freshly started.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::broker::{Broker, Kind};
use crate::flow::Rate;
use crate::measures::{self, CROWD, Crowd};

/// Time for one measurement on one broker.
const MEASUREMENT_WAIT: Duration = Duration::from_secs(30);
/// Time after which no further measurement is begun.
const RUN_MAX: Duration = Duration::from_secs(150);

/// What is to come out. Ratios are ours to mosquitto's.
#[derive(Clone, Copy)]
enum Aim {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
    None,
}

/// One line of the table: what it says, and which of a measurement's values it shows.
struct Line {
    what: String,
    unit: &'static str,
    aim: Aim,
}

/// A value, and what it cost the broker in microseconds of processor time for each message or client.
#[derive(Clone, Copy)]
struct Value {
    value: f64,
    cpu_us: Option<f64>,
}

/// Something that is measured at once, for one or several lines.
#[derive(Clone, Copy)]
enum Measurement {
    FanIn(usize),
    FanOut(usize, u8),
    RoundTrip(usize, u8),
    Crowd,
    Retained(usize, u8),
}

const SIZES: [usize; 2] = [256, 64 << 10];

impl Measurement {
    fn all() -> Vec<Self> {
        let at_both = |make: fn(usize, u8) -> Self| {
            SIZES.into_iter().flat_map(move |bytes| [make(bytes, 0), make(bytes, 1)])
        };
        let mut all: Vec<Self> = SIZES.map(Self::FanIn).into();
        all.extend(at_both(Self::FanOut));
        all.extend(at_both(Self::RoundTrip));
        all.push(Self::Crowd);
        all.extend(at_both(Self::Retained));
        all
    }

    fn lines(self) -> Vec<Line> {
        let line = |what: String, unit, aim| Line { what, unit, aim };
        match self {
            Self::FanIn(bytes) => {
                vec![line(format!("fan-in of 100, QoS 1, {}", size(bytes)), "/s", Aim::RatioAtLeast(4.0))]
            }
            Self::FanOut(bytes, qos) => {
                let aim = Aim::RatioAtLeast(if bytes == SIZES[0] { 1.7 } else { 0.8 });
                vec![line(format!("fan-out to 1,000, QoS {qos}, {}", size(bytes)), "/s", aim)]
            }
            Self::RoundTrip(bytes, qos) => ["p50", "p99"]
                .map(|part| {
                    let what = format!("round trip {part}, QoS {qos}, {}", size(bytes));
                    line(what, "us", Aim::RatioAtMost(1.5))
                })
                .into(),
            Self::Crowd => vec![
                line(format!("connecting {CROWD} clients"), "s", Aim::RatioAtMost(1.5)),
                line("memory per connection, idle".to_owned(), "KiB", Aim::AtMost(8.0)),
                line("memory per connection, after traffic".to_owned(), "KiB", Aim::AtMost(8.0)),
            ],
            Self::Retained(bytes, qos) => {
                vec![line(format!("retained to 1,000, QoS {qos}, {}", size(bytes)), "/s", Aim::None)]
            }
        }
    }

    async fn run(self, kind: &Kind) -> io::Result<Vec<Value>> {
        let broker = Broker::start(kind).await?;
        let values = |rate: Rate| vec![Value { value: rate.per_s, cpu_us: Some(rate.cpu_us) }];
        let plain = |value| Value { value, cpu_us: None };
        Ok(match self {
            Self::FanIn(bytes) => values(measures::fan_in(&broker, bytes).await?),
            Self::FanOut(bytes, qos) => values(measures::fan_out(&broker, bytes, qos).await?),
            Self::RoundTrip(bytes, qos) => measures::round_trip(&broker, bytes, qos).await?.map(plain).into(),
            Self::Retained(bytes, qos) => values(measures::retained(&broker, bytes, qos).await?),
            Self::Crowd => {
                let Crowd { connecting_s, connecting_cpu_us, idle_kib, busy_kib } =
                    measures::crowd(&broker).await?;
                let connecting = Value { value: connecting_s, cpu_us: Some(connecting_cpu_us) };
                vec![connecting, plain(idle_kib), plain(busy_kib)]
            }
        })
    }
}

/// Measures whatever has `only` in its line, and prints it line by line. True if every aim was met.
pub async fn run(ours: PathBuf, mosquitto: PathBuf, only: &str) -> bool {
    let (ours, mosquitto) = (Kind::Ours(ours), Kind::Mosquitto(mosquitto));
    let began = Instant::now();
    println!(
        "{:<40} {:>12} {:>12} {:>7}  {:<16} server CPU us each: ours, mosquitto",
        "", "ours", "mosquitto", "ratio", "aim"
    );
    let mut met = true;
    for measurement in Measurement::all() {
        let lines = measurement.lines();
        if !lines.iter().any(|line| line.what.contains(only)) {
            continue;
        }
        if began.elapsed() > RUN_MAX {
            println!("{:<40} not measured: {} s are over", lines[0].what, RUN_MAX.as_secs());
            met = false;
            continue;
        }
        let theirs = patiently(measurement.run(&mosquitto)).await;
        let own = patiently(measurement.run(&ours)).await;
        for (i, line) in lines.iter().enumerate() {
            met &= print(line, value_of(&own, i), value_of(&theirs, i));
        }
    }
    met
}

async fn patiently<T>(measurement: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    match timeout(MEASUREMENT_WAIT, measurement).await {
        Ok(measured) => measured.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no result within {} s", MEASUREMENT_WAIT.as_secs())),
    }
}

fn value_of(values: &Result<Vec<Value>, String>, i: usize) -> Result<Value, &str> {
    match values {
        Ok(values) => values.get(i).copied().ok_or("no value"),
        Err(error) => Err(error),
    }
}

/// Prints a line; true if its aim was met.
fn print(line: &Line, ours: Result<Value, &str>, mosquitto: Result<Value, &str>) -> bool {
    let ratio = ours.ok().zip(mosquitto.ok()).map(|(ours, mosquitto)| ours.value / mosquitto.value);
    let met = line.aim.met(ours.ok().map(|ours| ours.value), ratio);
    let shown = |value: Result<Value, &str>| {
        value.map_or("failed".to_owned(), |value| format!("{} {}", round(value.value), line.unit))
    };
    let cpu = |value: Result<Value, &str>| {
        value.ok().and_then(|value| value.cpu_us).map_or(String::new(), |us| format!("{us:.1}"))
    };
    let missed = if met { "" } else { " MISSED" };
    println!(
        "{:<40} {:>12} {:>12} {:>7}  {:<16} {:>7} {:>7}",
        line.what,
        shown(ours),
        shown(mosquitto),
        ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        format!("{}{missed}", line.aim),
        cpu(ours),
        cpu(mosquitto),
    );
    for (name, error) in [("ours", ours.err()), ("mosquitto", mosquitto.err())] {
        if let Some(error) = error {
            println!("    {name}: {error}");
        }
    }
    met
}

impl Aim {
    fn met(self, ours: Option<f64>, ratio: Option<f64>) -> bool {
        match self {
            Self::RatioAtLeast(aim) => ratio.is_some_and(|ratio| ratio >= aim),
            Self::RatioAtMost(aim) => ratio.is_some_and(|ratio| ratio <= aim),
            Self::AtMost(aim) => ours.is_some_and(|ours| ours <= aim),
            Self::None => ours.is_some(),
        }
    }
}

impl Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RatioAtLeast(aim) => write!(f, ">= {aim}"),
            Self::RatioAtMost(aim) => write!(f, "<= {aim}"),
            Self::AtMost(aim) => write!(f, "<= {aim} KiB"),
            Self::None => Ok(()),
        }
    }
}

fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes >> 10) }
}

fn round(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
