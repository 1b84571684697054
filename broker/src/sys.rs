//! `$SYS/broker/…`: the [`Meters`](crate::meters) as topics that MQTT tools show, by mosquitto's names.
//!
//! Told from time to time and kept as retained messages in memory, so whoever subscribes sees them at once. Clients
//! publish nothing below `$SYS`. Messages are application messages alone; other packets are not counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttd::protocol::QoS;

use crate::broker::Broker;
use crate::message::Draft;
use crate::meters::{Dropped, Meters};

/// Tells them for ever.
pub(crate) async fn tell(broker: Arc<Broker>) {
    let began = Instant::now();
    let mut period = tokio::time::interval(broker.limits.sys_period);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        for (name, value) in values(&broker.meters, began.elapsed()) {
            let topic = format!("$SYS/broker/{name}");
            let draft = Draft {
                topic: topic.as_bytes(),
                payload: value.as_bytes(),
                properties: None,
                qos: QoS::AtMostOnce,
                retain: true,
                publisher: 0,
            };
            broker.publish_own(draft.seal());
        }
    }
}

fn values(meters: &Meters, up: Duration) -> Vec<(&'static str, String)> {
    let dropped: u64 = Dropped::ALL.iter().map(|why| meters.dropped(*why).get()).sum();
    let (connected, sessions) = (meters.connections.get(), meters.sessions.get());
    let numbers = [
        ("clients/connected", connected),
        ("clients/disconnected", sessions.saturating_sub(connected)),
        ("clients/total", sessions),
        ("messages/received", meters.messages_in.get()),
        ("messages/sent", meters.messages_out.get()),
        ("publish/messages/dropped", dropped),
        ("bytes/received", meters.bytes_in.get()),
        ("bytes/sent", meters.bytes_out.get()),
        ("subscriptions/count", meters.subscriptions.get()),
        ("retained messages/count", meters.retained_count.get()),
        ("store/messages/count", meters.queued_messages.get()),
        ("store/messages/bytes", meters.queued_bytes.get()),
    ];
    let texts = [
        ("version", format!("flotilla version {}", env!("CARGO_PKG_VERSION"))),
        ("uptime", format!("{} seconds", up.as_secs())),
    ];
    texts.into_iter().chain(numbers.map(|(name, number)| (name, number.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_what_was_counted() {
        let meters = Meters::default();
        meters.connections.add(2);
        meters.sessions.add(5);
        meters.messages_in.add(7);
        meters.dropped(Dropped::Expired).add(1);
        meters.dropped(Dropped::TooLong).add(2);
        let values = values(&meters, Duration::from_secs(61));
        let value = |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("clients/connected"), Some("2"));
        assert_eq!(value("clients/disconnected"), Some("3"));
        assert_eq!(value("clients/total"), Some("5"));
        assert_eq!(value("messages/received"), Some("7"));
        assert_eq!(value("publish/messages/dropped"), Some("3"));
        assert_eq!(value("uptime"), Some("61 seconds"));
    }
}
