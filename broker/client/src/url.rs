//! Where a broker is: `mqtt://host:port`.

use std::fmt;
use std::str::FromStr;

/// The port of MQTT over TCP where a URL names none.
const PORT: u16 = 1883;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Name or address of the host.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Text that is no broker's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Encrypted transports come with the broker's TLS listeners.
    #[error("{0}: this build speaks mqtt:// (TCP) alone, not {1}://")]
    Transport(String, String),
    /// Not of the form.
    #[error("{0:?} is not a broker: write mqtt://HOST or mqtt://HOST:PORT")]
    Form(String),
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let form = || UrlError::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        if ["mqtts", "ws", "wss"].contains(&scheme) {
            return Err(UrlError::Transport(text.to_owned(), scheme.to_owned()));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| form())?),
            _ => (rest, PORT),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if scheme != "mqtt" || host.is_empty() || port == 0 || !host.chars().all(legal) {
            return Err(form());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_maybe_a_port() {
        let port = |text: &str| text.parse::<BrokerUrl>().map(|url| url.port);
        assert_eq!(port("mqtt://localhost"), Ok(1883));
        assert_eq!(port("mqtt://127.0.0.1:18830/"), Ok(18830));
        assert_eq!(port("mqtt://[::1]:1884"), Ok(1884));
        assert_eq!(port("mqtt://[::1]"), Ok(1883));
        for bad in ["", "localhost:1883", "http://x", "mqtt://", "mqtt://x:0", "mqtt://x:y", "mqtt://a b"] {
            assert!(matches!(port(bad), Err(UrlError::Form(_))), "{bad}");
        }
        assert!(matches!(port("mqtts://x"), Err(UrlError::Transport(..))));
    }
}
