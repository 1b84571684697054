//! Where a broker is: `mqtt://host:port`, or `mqtts://host:port` over TLS.

use std::fmt;
use std::str::FromStr;

/// The port of MQTT over TCP where a URL names none.
const PORT: u16 = 1883;

/// The port of MQTT over TLS where a URL names none.
const TLS_PORT: u16 = 8883;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Name or address of the host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether MQTT travels in TLS.
    pub tls: bool,
}

/// Text that is no broker's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// An agent has no use for WebSocket.
    #[error("{0}: agents speak mqtt:// (TCP) and mqtts:// (TLS), not {1}://")]
    Transport(String, String),
    /// Not of the form.
    #[error("{0:?} is not a broker: write mqtt://HOST, mqtts://HOST or either with :PORT")]
    Form(String),
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let form = || UrlError::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            "ws" | "wss" => return Err(UrlError::Transport(text.to_owned(), scheme.to_owned())),
            _ => return Err(form()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| form())?),
            _ => (rest, if tls { TLS_PORT } else { PORT }),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if host.is_empty() || port == 0 || !host.chars().all(legal) {
            return Err(form());
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_maybe_a_port() {
        let port = |text: &str| text.parse::<BrokerUrl>().map(|url| (url.tls, url.port));
        assert_eq!(port("mqtt://localhost"), Ok((false, 1883)));
        assert_eq!(port("mqtt://127.0.0.1:18830/"), Ok((false, 18830)));
        assert_eq!(port("mqtt://[::1]:1884"), Ok((false, 1884)));
        assert_eq!(port("mqtt://[::1]"), Ok((false, 1883)));
        assert_eq!(port("mqtts://broker.example"), Ok((true, 8883)));
        assert_eq!(port("mqtts://broker.example:443"), Ok((true, 443)));
        for bad in ["", "localhost:1883", "http://x", "mqtt://", "mqtt://x:0", "mqtt://x:y", "mqtt://a b"] {
            assert!(matches!(port(bad), Err(UrlError::Form(_))), "{bad}");
        }
        assert!(matches!(port("wss://x"), Err(UrlError::Transport(..))));
        for text in ["mqtt://x:1", "mqtts://x:2"] {
            assert_eq!(text.parse::<BrokerUrl>().unwrap().to_string(), text);
        }
    }
}
