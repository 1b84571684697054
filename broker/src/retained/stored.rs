//! A retained message with its age.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::message::Message;

/// A retained message and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub message: Message,
    /// Unix milliseconds by our clock, for its expiry alone.
    pub received_ms: u64,
}

impl Stored {
    /// The message with what is left of its expiry interval, or nothing if that is over.
    pub(crate) fn unexpired(&self, now_ms: u64) -> Option<Message> {
        let mut message = self.message.clone();
        let expiry =
            message.properties.as_mut().and_then(|properties| properties.message_expiry_interval.as_mut());
        if let Some(expiry_s) = expiry {
            let age_s = now_ms.saturating_sub(self.received_ms) / 1000;
            *expiry_s =
                u32::try_from(age_s).ok().and_then(|age_s| expiry_s.checked_sub(age_s)).filter(|s| *s > 0)?;
        }
        Some(message)
    }
}

/// Our clock in Unix milliseconds; 0 before 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rumqttd::protocol::{PublishProperties, QoS};

    use super::*;

    #[test]
    fn a_message_expires_by_the_time_it_was_kept() {
        let expiring =
            PublishProperties { message_expiry_interval: Some(10), ..PublishProperties::default() };
        let message = Message {
            topic: Bytes::from_static(b"a"),
            payload: Bytes::from_static(b"1"),
            properties: Some(expiring),
            qos: QoS::AtLeastOnce,
            retain: true,
            publisher: 0,
        };
        let stored = Stored { message, received_ms: 50_000 };
        let left = |now_ms| stored.unexpired(now_ms)?.properties?.message_expiry_interval;
        assert_eq!(left(53_999), Some(7));
        assert_eq!(left(60_000), None);
        assert_eq!(left(1_000), Some(10), "a clock that was set back");
    }
}
