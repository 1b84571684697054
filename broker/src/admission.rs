//! A CONNECT, decided: who it is and on what terms, or why not.
//!
//! A session outlives its connection for as long as its client asks: MQTT 3.1.1 knows only "not" and "for ever". It is
//! in memory alone, so it does not outlive the broker.

use std::sync::Arc;
use std::time::Duration;

use rumqttd::protocol::{
    ConnAck, ConnAckProperties, ConnectReturnCode, LastWill, LastWillProperties, Packet, PublishProperties,
    QoS,
};

use crate::access::{Subject, Unknown, User};
use crate::limits::Limits;
use crate::message::{Draft, Message};
use crate::meters::Refused;
use crate::packet::{IncomingConnect, Version};
use crate::topic::{self, TopicError};

/// A client on the terms of its session.
#[derive(Debug)]
pub(crate) struct Admission {
    pub version: Version,
    /// The name of the session: the client id, behind its user where users prove themselves, so that nobody can take
    /// over another's session.
    pub client_id: String,
    pub user: Arc<User>,
    /// How long it may be silent.
    pub silence: Option<Duration>,
    pub will: Option<Will>,
    /// A session that is there is ended first.
    pub clean_start: bool,
    /// How long the session outlives its connection, in seconds; [`FOREVER_S`] has no end.
    pub session_expiry_s: u32,
    /// QoS 1 messages on their way to it at a time.
    pub deliveries: u16,
    /// Length of a whole packet that it takes.
    pub packet_bytes: usize,
    /// The id that was given by us.
    assigned: Option<String>,
    /// The keep-alive that holds instead of the one that was asked for.
    keep_alive_s: Option<u16>,
}

/// A session expiry of this many seconds means never.
pub(crate) const FOREVER_S: u32 = u32::MAX;

/// What is published when a client is gone, and how long after it left at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub message: Message,
    pub delay: Duration,
}

/// Why a client is not let in. The text goes to the log and, as a reason string, to MQTT 5 clients.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("protocol level {0} is neither 4 (MQTT 3.1.1) nor 5 (MQTT 5)")]
    Version(u8),
    #[error("client id {0}")]
    ClientId(String),
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("{0} does not conform to MQTT 5")]
    Protocol(&'static str),
    #[error("authentication method {0:?} is not known here")]
    Method(String),
    #[error("the will's topic {topic:?}: {cause}")]
    WillTopic { topic: String, cause: TopicError },
    #[error("the will's topic {0:?} is not this client's to write")]
    WillNotAuthorized(String),
    #[error("the will asks for QoS 2; at most 1 is kept here")]
    WillQos,
    #[error("there are as many sessions as there may be, or the broker is stopping")]
    Busy,
}

impl Refusal {
    /// What it counts as.
    pub(crate) fn refused(&self) -> Refused {
        match self {
            Self::WillNotAuthorized(_) | Self::Unknown(Unknown::Nobody | Unknown::Wrong | Unknown::Mixed) => {
                Refused::ConnectNotAuthorized
            }
            Self::Busy | Self::Unknown(Unknown::Busy) => Refused::ConnectBusy,
            _ => Refused::ConnectInvalid,
        }
    }

    /// The CONNACK that says it.
    pub(crate) fn connack(&self, version: Version) -> Packet {
        let code = match version {
            Version::V4 => self.code_v4(),
            Version::V5 => self.code_v5(),
        };
        let reason_string = Some(self.to_string());
        let properties = ConnAckProperties { reason_string, ..ConnAckProperties::default() };
        Packet::ConnAck(ConnAck { session_present: false, code }, Some(properties))
    }

    fn code_v4(&self) -> ConnectReturnCode {
        match self {
            Self::Version(_) => ConnectReturnCode::RefusedProtocolVersion,
            Self::ClientId(_) => ConnectReturnCode::ClientIdentifierNotValid,
            Self::Unknown(Unknown::ClientId(_)) => ConnectReturnCode::ClientIdentifierNotValid,
            Self::Unknown(Unknown::Wrong) => ConnectReturnCode::BadUserNamePassword,
            Self::Unknown(Unknown::Nobody | Unknown::Mixed) => ConnectReturnCode::NotAuthorized,
            Self::WillTopic { .. } | Self::WillNotAuthorized(_) => ConnectReturnCode::NotAuthorized,
            Self::Protocol(_)
            | Self::Method(_)
            | Self::WillQos
            | Self::Busy
            | Self::Unknown(Unknown::Busy) => ConnectReturnCode::ServiceUnavailable,
        }
    }

    fn code_v5(&self) -> ConnectReturnCode {
        match self {
            Self::Version(_) => ConnectReturnCode::UnsupportedProtocolVersion,
            Self::ClientId(_) | Self::Unknown(Unknown::ClientId(_)) => {
                ConnectReturnCode::ClientIdentifierNotValid
            }
            Self::Unknown(Unknown::Wrong) => ConnectReturnCode::BadUserNamePassword,
            Self::Unknown(Unknown::Nobody | Unknown::Mixed) => ConnectReturnCode::NotAuthorized,
            Self::Protocol(_) => ConnectReturnCode::ProtocolError,
            Self::Method(_) => ConnectReturnCode::BadAuthenticationMethod,
            Self::WillTopic { .. } => ConnectReturnCode::TopicNameInvalid,
            Self::WillNotAuthorized(_) => ConnectReturnCode::NotAuthorized,
            Self::WillQos => ConnectReturnCode::QoSNotSupported,
            Self::Busy | Self::Unknown(Unknown::Busy) => ConnectReturnCode::ServerBusy,
        }
    }
}

impl Admission {
    /// Decides; `serial` numbers the connection, and names it if its client does not.
    pub(crate) fn decide(
        connect: IncomingConnect,
        user: Arc<User>,
        serial: u64,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let IncomingConnect { version, connect, properties, will, .. } = connect;
        let asked = properties.as_ref();
        if let Some(method) = asked.and_then(|asked| asked.authentication_method.clone()) {
            return Err(Refusal::Method(method.chars().take(80).collect()));
        }
        let deliveries = asked.and_then(|asked| asked.receive_maximum).unwrap_or(u16::MAX);
        let packet_bytes = asked.and_then(|asked| asked.max_packet_size).unwrap_or(u32::MAX);
        if deliveries == 0 {
            return Err(Refusal::Protocol("a receive maximum of 0"));
        }
        if packet_bytes == 0 {
            return Err(Refusal::Protocol("a maximum packet size of 0"));
        }
        let session_expiry_s = match version {
            Version::V4 if connect.clean_session => 0,
            Version::V4 => FOREVER_S,
            Version::V5 => asked.and_then(|asked| asked.session_expiry_interval).unwrap_or(0),
        };
        let assigned = connect.client_id.is_empty().then(|| format!("assigned-{serial}"));
        if assigned.is_some() && version == Version::V4 && session_expiry_s > 0 {
            return Err(Refusal::ClientId("must not be empty for a session that lasts".into()));
        }
        check_client_id(&connect.client_id, limits)?;
        let client_id = session_name(assigned.clone().unwrap_or(connect.client_id), &user);
        let will = will
            .map(|(will, properties)| check_will(will, properties, &user.subject, serial, limits))
            .transpose()?;
        let too_long = !(1..=limits.keep_alive_max_s).contains(&connect.keep_alive);
        let keep_alive_s = (too_long && version == Version::V5).then_some(limits.keep_alive_max_s);
        Ok(Self {
            version,
            client_id,
            user,
            silence: silence(keep_alive_s.unwrap_or(connect.keep_alive)),
            will,
            clean_start: connect.clean_session,
            session_expiry_s,
            deliveries: deliveries.min(limits.deliveries),
            packet_bytes: usize::try_from(packet_bytes).unwrap_or(usize::MAX),
            assigned,
            keep_alive_s,
        })
    }

    /// The CONNACK that lets the client in, with all that it cannot have here.
    pub(crate) fn connack(&self, session_present: bool, limits: &Limits) -> Packet {
        let properties = ConnAckProperties {
            receive_max: Some(limits.inflight),
            max_qos: Some(1),
            max_packet_size: u32::try_from(limits.packet_bytes).ok(),
            assigned_client_identifier: self.assigned.clone(),
            topic_alias_max: Some(limits.topic_aliases),
            server_keep_alive: self.keep_alive_s,
            ..ConnAckProperties::default()
        };
        Packet::ConnAck(ConnAck { session_present, code: ConnectReturnCode::Success }, Some(properties))
    }
}

fn check_client_id(client_id: &str, limits: &Limits) -> Result<(), Refusal> {
    if client_id.len() > limits.client_id_bytes {
        return Err(Refusal::ClientId(format!("is longer than {} bytes", limits.client_id_bytes)));
    }
    if client_id.chars().any(char::is_control) {
        return Err(Refusal::ClientId(format!("{client_id:?} has control characters")));
    }
    Ok(())
}

fn session_name(client_id: String, user: &User) -> String {
    // Who proved nothing is who its client id says, and an agent's client id is its user name.
    let is_own = user.credential.is_none() || *client_id == *user.name;
    if is_own { client_id } else { format!("{}/{client_id}", user.name) }
}

/// One and a half times the keep-alive; none means for ever.
fn silence(keep_alive_s: u16) -> Option<Duration> {
    (keep_alive_s > 0).then(|| Duration::from_millis(u64::from(keep_alive_s) * 1500))
}

fn check_will(
    will: LastWill,
    properties: Option<LastWillProperties>,
    subject: &Subject,
    publisher: u64,
    limits: &Limits,
) -> Result<Will, Refusal> {
    let name = topic::check_name(&will.topic, limits).map_err(|cause| Refusal::WillTopic {
        topic: String::from_utf8_lossy(&will.topic).chars().take(80).collect(),
        cause,
    })?;
    if !subject.may_publish(name) {
        return Err(Refusal::WillNotAuthorized(name.to_owned()));
    }
    if will.qos == QoS::ExactlyOnce {
        return Err(Refusal::WillQos);
    }
    let delay_s = properties.as_ref().and_then(|properties| properties.delay_interval).unwrap_or(0);
    let properties = properties.map(publish_properties);
    let draft = Draft {
        topic: &will.topic,
        payload: &will.message,
        properties: properties.as_ref(),
        qos: will.qos,
        retain: will.retain,
        publisher,
    };
    Ok(Will { message: draft.seal(), delay: Duration::from_secs(delay_s.into()) })
}

fn publish_properties(will: LastWillProperties) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: will.payload_format_indicator,
        message_expiry_interval: will.message_expiry_interval,
        content_type: will.content_type,
        response_topic: will.response_topic,
        correlation_data: will.correlation_data,
        user_properties: will.user_properties,
        ..PublishProperties::default()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rumqttd::protocol::{Connect, ConnectProperties};

    use super::*;
    use crate::access::{Credential, Role};

    fn connect(version: Version, client_id: &str) -> IncomingConnect {
        let connect = Connect { keep_alive: 10, client_id: client_id.into(), clean_session: true };
        IncomingConnect { version, connect, login: None, properties: None, will: None }
    }

    fn will(topic: &str, qos: QoS) -> Option<(LastWill, Option<LastWillProperties>)> {
        let topic = Bytes::copy_from_slice(topic.as_bytes());
        Some((LastWill { topic, message: Bytes::from_static(b"offline"), qos, retain: true }, None))
    }

    fn user(name: &str, credential: Option<Credential>) -> Arc<User> {
        let (role, id) = match name.strip_prefix("edge-") {
            Some(id) => (Role::Edge, id),
            None => (Role::Operator, name),
        };
        Arc::new(User {
            name: name.into(),
            subject: Subject { reader: role.into(), id: id.into() },
            credential,
        })
    }

    fn decide(connect: IncomingConnect) -> Result<Admission, Refusal> {
        let user = user(&connect.connect.client_id, None);
        Admission::decide(connect, user, 7, &Limits::default())
    }

    #[test]
    fn a_session_belongs_to_its_user_whatever_the_client_id_says() {
        let named = |name: &str, client_id: &str, proved: bool| {
            let credential = proved.then(|| Credential::Certificate("c".into()));
            let user = user(name, credential);
            Admission::decide(connect(Version::V5, client_id), user, 7, &Limits::default()).unwrap().client_id
        };
        assert_eq!(named("x", "x", false), "x");
        assert_eq!(named("edge-e1", "edge-e1", true), "edge-e1");
        assert_eq!(named("operator-anna", "edge-e1", true), "operator-anna/edge-e1");
        assert_eq!(named("operator-anna", "", true), "operator-anna/assigned-7");
    }

    fn asking(properties: ConnectProperties) -> IncomingConnect {
        IncomingConnect { properties: Some(properties), ..connect(Version::V5, "x") }
    }

    fn nothing_asked() -> ConnectProperties {
        ConnectProperties {
            session_expiry_interval: None,
            receive_maximum: None,
            max_packet_size: None,
            topic_alias_max: None,
            request_response_info: None,
            request_problem_info: None,
            user_properties: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        }
    }

    #[test]
    fn a_client_may_be_silent_for_one_and_a_half_keep_alives() {
        assert_eq!(decide(connect(Version::V5, "x")).unwrap().silence, Some(Duration::from_secs(15)));
        let mut forever = connect(Version::V4, "x");
        forever.connect.keep_alive = 0;
        assert_eq!(decide(forever).unwrap().silence, None);
    }

    #[test]
    fn a_will_is_checked_as_a_publish_would_be() {
        let with = |topic, qos| {
            decide(IncomingConnect { will: will(topic, qos), ..connect(Version::V5, "edge-e1") })
        };
        let avail = "fleet/v1/edge/e1/avail";
        assert_eq!(with(avail, QoS::AtLeastOnce).unwrap().will.unwrap().message.topic(), avail);
        let other = "fleet/v1/edge/e2/avail";
        assert_eq!(with(other, QoS::AtLeastOnce).unwrap_err(), Refusal::WillNotAuthorized(other.into()));
        assert_eq!(with(avail, QoS::ExactlyOnce).unwrap_err(), Refusal::WillQos);
        assert!(matches!(with("ä", QoS::AtMostOnce), Err(Refusal::WillTopic { .. })));
    }

    #[test]
    fn an_empty_client_id_is_assigned_and_a_bad_one_is_refused() {
        let admission = decide(connect(Version::V5, "")).unwrap();
        assert_eq!(admission.client_id, "assigned-7");
        let Packet::ConnAck(_, Some(properties)) = admission.connack(false, &Limits::default()) else {
            panic!()
        };
        assert_eq!(properties.assigned_client_identifier.as_deref(), Some("assigned-7"));
        let mut lasting = connect(Version::V4, "");
        lasting.connect.clean_session = false;
        for bad in [lasting, connect(Version::V5, "a\0"), connect(Version::V5, &"x".repeat(129))] {
            assert!(matches!(decide(bad), Err(Refusal::ClientId(_))));
        }
    }

    #[test]
    fn a_session_lasts_as_long_as_its_client_asks() {
        let lasting = |session_expiry_interval| {
            decide(asking(ConnectProperties { session_expiry_interval, ..nothing_asked() })).unwrap()
        };
        assert_eq!([lasting(None), lasting(Some(60))].map(|admission| admission.session_expiry_s), [0, 60]);
        let v4 = |clean_session| {
            let mut connect = connect(Version::V4, "x");
            connect.connect.clean_session = clean_session;
            decide(connect).unwrap().session_expiry_s
        };
        assert_eq!([v4(true), v4(false)], [0, FOREVER_S]);
    }

    #[test]
    fn a_keep_alive_beyond_the_limit_is_replaced_and_that_is_said() {
        let limits = Limits { keep_alive_max_s: 100, ..Limits::default() };
        for (asked, told, silence_s) in
            [(0, Some(100), 150), (101, Some(100), 150), (100, None, 150), (1, None, 1)]
        {
            let mut connect = connect(Version::V5, "x");
            connect.connect.keep_alive = asked;
            let admission = Admission::decide(connect, user("x", None), 7, &limits).unwrap();
            assert_eq!(admission.silence.unwrap().as_secs(), silence_s);
            let Packet::ConnAck(_, Some(properties)) = admission.connack(false, &limits) else { panic!() };
            assert_eq!(properties.server_keep_alive, told);
        }
    }

    #[test]
    fn a_wills_delay_is_kept_with_it() {
        let delayed = LastWillProperties {
            delay_interval: Some(5),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let will = will("fleet/v1/edge/e1/avail", QoS::AtMostOnce).map(|(will, _)| (will, Some(delayed)));
        let admission = decide(IncomingConnect { will, ..connect(Version::V5, "edge-e1") }).unwrap();
        assert_eq!(admission.will.unwrap().delay, Duration::from_secs(5));
    }

    #[test]
    fn the_smaller_of_both_windows_holds_and_zero_is_refused() {
        let asked = |receive_maximum| asking(ConnectProperties { receive_maximum, ..nothing_asked() });
        assert_eq!(decide(asked(Some(5))).unwrap().deliveries, 5);
        assert_eq!(decide(asked(None)).unwrap().deliveries, Limits::default().deliveries);
        assert!(matches!(decide(asked(Some(0))), Err(Refusal::Protocol(_))));
        let zero = asking(ConnectProperties { max_packet_size: Some(0), ..nothing_asked() });
        assert!(matches!(decide(zero), Err(Refusal::Protocol(_))));
        let method = asking(ConnectProperties { authentication_method: Some("x".into()), ..nothing_asked() });
        assert!(matches!(decide(method), Err(Refusal::Method(_))));
    }

    #[test]
    fn every_refusal_can_be_written_in_both_versions() {
        let refusals = [
            Refusal::Version(3),
            Refusal::ClientId(String::new()),
            Refusal::Unknown(Unknown::Nobody),
            Refusal::Unknown(Unknown::Wrong),
            Refusal::Unknown(Unknown::Mixed),
            Refusal::Unknown(Unknown::Busy),
            Refusal::Unknown(Unknown::ClientId("x y".parse::<flotilla_schemas::EdgeId>().unwrap_err())),
            Refusal::Protocol(""),
            Refusal::Method(String::new()),
            Refusal::WillTopic { topic: String::new(), cause: TopicError::Empty },
            Refusal::WillNotAuthorized(String::new()),
            Refusal::WillQos,
            Refusal::Busy,
        ];
        for refusal in refusals {
            for version in [Version::V4, Version::V5] {
                let mut out = bytes::BytesMut::new();
                version.write(refusal.connack(version), &mut out).unwrap();
                assert!(out[3] > 0);
            }
        }
    }
}
