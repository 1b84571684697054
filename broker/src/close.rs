//! Why a session ends, what an MQTT 5 client is told, and whether its will is published.

use rumqttd::protocol::{Disconnect, DisconnectProperties, DisconnectReasonCode, Packet};

use crate::inbox::Farewell;
use crate::meters::Refused;
use crate::packet::{ReadError, Version};
use crate::topic::TopicError;

/// The end of a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Close {
    #[error("the client said goodbye")]
    Left { with_will: bool, session_expiry_s: Option<u32> },
    #[error("the connection was lost: {0}")]
    Lost(std::io::Error),
    #[error("the client sent {0}")]
    Read(#[from] ReadError),
    #[error("the client sent {0}, against the protocol")]
    Protocol(&'static str),
    #[error("the client published to {topic:?}: {cause}")]
    Topic { topic: String, cause: TopicError },
    #[error("the client published to {0:?}, which is not its to write")]
    NotAuthorized(String),
    #[error("the client used topic alias {0}, which was not offered or means nothing yet")]
    Alias(u16),
    #[error("the client used QoS 2; at most 1 is supported")]
    Qos,
    #[error("the client sent a packet with {0} filters; a session may not have as many")]
    Filters(usize),
    #[error("{0}")]
    Quota(&'static str),
    #[error("the client was silent for too long")]
    Silent,
    #[error("the client took nothing of what waits for it for too long")]
    Stalled,
    #[error("the client was too slow: {0} messages for it are lost")]
    Slow(u64),
    #[error("the client connected again")]
    TakenOver,
    #[error("the access file no longer lets this user in")]
    Barred,
    #[error("the broker is stopping")]
    Stopping,
    #[error("a packet could not be written: {0}")]
    Write(#[from] rumqttd::protocol::Error),
}

impl Close {
    /// True of ends that someone should look at.
    pub(crate) fn is_fault(&self) -> bool {
        !matches!(self, Self::Left { .. } | Self::Lost(_) | Self::TakenOver | Self::Barred | Self::Stopping)
    }

    /// Whether the client's will is published. A broker that stops knows nothing about its clients.
    pub(crate) fn publishes_will(&self) -> bool {
        !matches!(self, Self::Left { with_will: false, .. } | Self::Stopping)
    }

    /// What it counts as, if the client is to blame.
    pub(crate) fn refused(&self) -> Option<Refused> {
        Some(match self {
            Self::Stalled | Self::Slow(_) => Refused::Slow,
            Self::NotAuthorized(_) => Refused::PublishNotAuthorized,
            Self::Quota(_) => Refused::PublishQuota,
            Self::Filters(_) => Refused::SubscribeInvalid,
            Self::Read(_) | Self::Protocol(_) | Self::Topic { .. } | Self::Alias(_) | Self::Qos => {
                Refused::Protocol
            }
            Self::Left { .. }
            | Self::Lost(_)
            | Self::Silent
            | Self::TakenOver
            | Self::Barred
            | Self::Stopping
            | Self::Write(_) => {
                return None;
            }
        })
    }

    /// The DISCONNECT that says it; MQTT 3.1.1 has none from a server.
    pub(crate) fn disconnect(&self, version: Version) -> Option<Packet> {
        if version == Version::V4 {
            return None;
        }
        let properties = DisconnectProperties {
            session_expiry_interval: None,
            reason_string: Some(self.to_string()),
            user_properties: Vec::new(),
            server_reference: None,
        };
        Some(Packet::Disconnect(Disconnect { reason_code: self.code()? }, Some(properties)))
    }

    fn code(&self) -> Option<DisconnectReasonCode> {
        use DisconnectReasonCode as Code;
        Some(match self {
            Self::Left { .. } | Self::Lost(_) => return None,
            Self::Read(ReadError::TooLong(_)) => Code::PacketTooLarge,
            Self::Read(ReadError::Type(_)) | Self::Protocol(_) => Code::ProtocolError,
            Self::Read(_) => Code::MalformedPacket,
            Self::Topic { .. } => Code::TopicNameInvalid,
            Self::NotAuthorized(_) => Code::NotAuthorized,
            Self::Alias(_) => Code::TopicAliasInvalid,
            Self::Qos => Code::QoSNotSupported,
            Self::Filters(_) | Self::Quota(_) | Self::Stalled | Self::Slow(_) => Code::QuotaExceeded,
            Self::Silent => Code::KeepAliveTimeout,
            Self::TakenOver => Code::SessionTakenOver,
            Self::Barred => Code::AdministrativeAction,
            Self::Stopping => Code::ServerShuttingDown,
            Self::Write(_) => Code::UnspecifiedError,
        })
    }
}

impl From<Farewell> for Close {
    fn from(farewell: Farewell) -> Self {
        match farewell {
            Farewell::TakenOver => Self::TakenOver,
            Farewell::Barred => Self::Barred,
            Farewell::Stopping => Self::Stopping,
        }
    }
}
