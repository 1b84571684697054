//! Metrics for Prometheus: the [`Meters`] by name, as OpenMetrics text on an HTTP port, `GET /metrics`.
//!
//! A few at a time may ask, once a connection and not for long: the next ones wait in the system's queue.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::broker::Broker;
use crate::entrance::ACCEPT_RETRY_WAIT;
use crate::meters::{Count, Dropped, Histogram, Level, Meters, Refused};

const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the metrics for ever.
pub(crate) async fn serve(listener: TcpListener, broker: Arc<Broker>) {
    let mut registry = Registry::with_prefix("flotilla_broker");
    registry.register_collector(Box::new(Metrics(Arc::clone(&broker.meters))));
    let registry = Arc::new(registry);
    let text = move || async move { text(&registry) };
    let service = TowerToHyperService::new(Router::new().route("/metrics", get(text)));
    let places = Arc::new(Semaphore::new(broker.limits.metrics_connections));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => TokioIo::new(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection to the metrics was not accepted");
                sleep(ACCEPT_RETRY_WAIT).await;
                continue;
            }
        };
        let answering = Builder::new().keep_alive(false).serve_connection(stream, service.clone());
        let answering = timeout(broker.limits.metrics_wait, answering);
        tokio::spawn(async move {
            let _place = place;
            if let Ok(Err(error)) = answering.await {
                tracing::debug!(%error, "metrics were not served");
            }
        });
    }
}

fn text(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => Ok(([(CONTENT_TYPE, CONTENT)], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// The meters, as a registry collects them.
#[derive(Debug)]
struct Metrics(Arc<Meters>);

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let meters = &self.0;
        let mut encoder = Encoder(encoder);
        encoder.level("connections", "Clients that are connected", &meters.connections)?;
        encoder.level("sessions", "Sessions that are kept, connected or not", &meters.sessions)?;
        encoder.level("subscriptions", "Subscriptions that hold", &meters.subscriptions)?;
        encoder.level("retained_messages", "Retained messages", &meters.retained_count)?;
        encoder.bytes_level(
            "retained",
            "Retained messages with topics and properties",
            &meters.retained_bytes,
        )?;
        encoder.level("queued_messages", "Messages that wait for clients", &meters.queued_messages)?;
        encoder.bytes_level("queued", "Messages that wait for clients", &meters.queued_bytes)?;
        encoder.count("connects", "Clients that were let in", &meters.connects)?;
        let by_direction = |received, sent| [("received", received), ("sent", sent)];
        let messages = by_direction(&meters.messages_in, &meters.messages_out);
        encoder.counts("messages", "Application messages", "direction", None, messages)?;
        let bytes = by_direction(&meters.bytes_in, &meters.bytes_out);
        encoder.counts(
            "traffic",
            "What clients sent and were sent",
            "direction",
            Some(Unit::Bytes),
            bytes,
        )?;
        let dropped = Dropped::ALL.map(|why| (why.name(), meters.dropped(why)));
        encoder.counts("dropped", "Messages that a subscriber did not get", "reason", None, dropped)?;
        let refused = Refused::ALL.map(|what| (what.name(), meters.refused(what)));
        encoder.counts("refused", "What was refused to clients", "reason", None, refused)?;
        encoder.count(
            "router_deaths",
            "Times that the router died and was replaced",
            &meters.router_deaths,
        )?;
        encoder.count(
            "router_renewals",
            "Times that the router was replaced in time",
            &meters.router_renewals,
        )?;
        encoder.histogram("latency", "From reading a message to writing it", &meters.latency)
    }
}

struct Encoder<'a>(DescriptorEncoder<'a>);

impl Encoder<'_> {
    fn level(&mut self, name: &str, help: &str, level: &Level) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&level.get())
    }

    fn bytes_level(&mut self, name: &str, help: &str, level: &Level) -> fmt::Result {
        let unit = Some(&Unit::Bytes);
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&level.get())
    }

    fn count(&mut self, name: &str, help: &str, count: &Count) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count.get(), None)
    }

    fn counts<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        unit: Option<Unit>,
        counts: [(&str, &Count); N],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (value, count) in counts {
            let labels = [(label, value)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count.get(), None)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let seconds = |us: u64| us as f64 / 1e6;
        // Each class alone: the encoder adds them up.
        let mut before = 0;
        let mut buckets: Vec<(f64, u64)> = Histogram::BOUNDS_US
            .into_iter()
            .zip(histogram.up_to())
            .map(|(bound, up_to)| (seconds(bound), up_to - std::mem::replace(&mut before, up_to)))
            .collect();
        let count = histogram.count();
        buckets.push((f64::INFINITY, count.saturating_sub(before)));
        let unit = Some(&Unit::Seconds);
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(seconds(histogram.sum_us()), count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn encoded(meters: &Arc<Meters>) -> String {
        let mut registry = Registry::with_prefix("flotilla_broker");
        registry.register_collector(Box::new(Metrics(Arc::clone(meters))));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn every_meter_is_told_under_its_name() {
        let meters = Arc::<Meters>::default();
        meters.connections.add(3);
        meters.retained_bytes.add(500);
        meters.messages_in.add(7);
        meters.bytes_out.add(900);
        meters.dropped(Dropped::Expired).add(2);
        meters.refused(Refused::ConnectBusy).add(1);
        let text = encoded(&meters);
        for line in [
            "flotilla_broker_connections 3",
            "flotilla_broker_retained_bytes 500",
            "flotilla_broker_messages_total{direction=\"received\"} 7",
            "flotilla_broker_traffic_bytes_total{direction=\"sent\"} 900",
            "flotilla_broker_dropped_total{reason=\"expired\"} 2",
            "flotilla_broker_refused_total{reason=\"connect_busy\"} 1",
            "flotilla_broker_router_deaths_total 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn latencies_are_told_in_seconds_and_added_up() {
        let meters = Arc::<Meters>::default();
        for us in [40, 150, 150, 20_000_000] {
            meters.latency.note(Duration::from_micros(us));
        }
        let text = encoded(&meters);
        let name = "flotilla_broker_latency_seconds";
        for line in [
            format!("{name}_bucket{{le=\"0.00005\"}} 1"),
            format!("{name}_bucket{{le=\"0.0002\"}} 3"),
            format!("{name}_bucket{{le=\"5.0\"}} 3"),
            format!("{name}_bucket{{le=\"+Inf\"}} 4"),
            format!("{name}_count 4"),
        ] {
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }
}
