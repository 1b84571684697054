//! How an agent gets into a broker: the options that say it, and what they come to.
//!
//! TLS trusts the authorities that were named and no others, and its cryptography is named here, so two agents in one
//! process have nothing in common. The token is read when the agent starts, from a file, since options and the
//! environment can be seen by others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::BrokerUrl;

/// The largest file that is read here, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Which broker, and the right to speak to it.
#[derive(Debug, Clone, Args)]
pub struct Entry {
    /// The MQTT broker, mqtt://HOST:PORT or over TLS mqtts://HOST:PORT
    #[arg(
        long = "broker",
        env = "FLOTILLA_BROKER",
        value_name = "URL",
        default_value = "mqtt://127.0.0.1:1883"
    )]
    pub url: BrokerUrl,
    /// Whom to trust with mqtts://: the authority of the broker's certificate, in PEM
    #[arg(long = "broker-ca", env = "FLOTILLA_BROKER_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The agent's own certificate, in PEM, for a broker that knows it by that
    #[arg(
        id = "broker_cert",
        long = "broker-cert",
        env = "FLOTILLA_BROKER_CERT",
        value_name = "FILE",
        requires = "broker_key"
    )]
    pub cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(
        id = "broker_key",
        long = "broker-key",
        env = "FLOTILLA_BROKER_KEY",
        value_name = "FILE",
        requires = "broker_cert"
    )]
    pub key: Option<PathBuf>,
    /// File with the agent's token, as flotilla access add printed it
    #[arg(
        id = "broker_token_file",
        long = "broker-token-file",
        env = "FLOTILLA_BROKER_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub token_file: Option<PathBuf>,
    /// The user whose token it is (default: edge-ID or center-ID, with @FLEET unless the fleet's name is fleet)
    #[arg(
        long = "broker-user",
        env = "FLOTILLA_BROKER_USER",
        value_name = "NAME",
        requires = "broker_token_file"
    )]
    pub user: Option<String>,
}

impl From<BrokerUrl> for Entry {
    /// A broker that asks for nothing.
    fn from(url: BrokerUrl) -> Self {
        Self { url, ca: None, cert: None, key: None, token_file: None, user: None }
    }
}

/// What is wrong with an entry, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct EntryError(pub Vec<String>);

/// A broker, and what it is shown.
#[derive(Debug, Clone)]
pub struct Broker {
    pub(crate) url: BrokerUrl,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) login: Option<Login>,
}

/// A user and its token; without a name the client id is one.
#[derive(Clone)]
pub(crate) struct Login {
    pub user: Option<String>,
    pub token: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login {{ user: {:?}, token: … }}", self.user)
    }
}

impl Broker {
    /// Where it is.
    pub fn url(&self) -> &BrokerUrl {
        &self.url
    }
}

impl Entry {
    /// Reads the files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn open(&self) -> Result<Broker, EntryError> {
        let mut problems = Vec::new();
        let tls = match (self.url.tls, self.is_for_tls()) {
            (true, _) => self.tls(&mut problems),
            (false, true) => {
                problems.push(format!("{}: certificates are for mqtts://", self.url));
                None
            }
            (false, false) => None,
        };
        let token = self.token_file.as_deref().and_then(|file| token(file, &mut problems));
        if !problems.is_empty() {
            return Err(EntryError(problems));
        }
        let login = token.map(|token| Login { user: self.user.clone(), token });
        Ok(Broker { url: self.url.clone(), tls, login })
    }

    fn is_for_tls(&self) -> bool {
        self.ca.is_some() || self.cert.is_some()
    }

    fn tls(&self, problems: &mut Vec<String>) -> Option<Arc<ClientConfig>> {
        if ServerName::try_from(self.url.host.as_str()).is_err() {
            problems.push(format!("{}: a certificate is for a name or an IPv4 address", self.url));
        }
        let Some(ca) = &self.ca else {
            let system = "/etc/ssl/certs/ca-certificates.crt";
            problems.push(format!("{}: --broker-ca says whom to trust, such as {system}", self.url));
            return None;
        };
        let mut roots = RootCertStore::empty();
        for authority in pem::<CertificateDer<'static>>(ca, "CERTIFICATE", problems) {
            if let Err(error) = roots.add(authority) {
                problems.push(format!("{}: {error}", ca.display()));
            }
        }
        let own = self.cert.as_ref().zip(self.key.as_ref()).map(|(cert, key)| {
            let chain: Vec<CertificateDer<'static>> = pem(cert, "CERTIFICATE", problems);
            let keys: Vec<PrivateKeyDer<'static>> = pem(key, "PRIVATE KEY", problems);
            (chain, keys)
        });
        if !problems.is_empty() {
            return None;
        }
        let made = assemble(roots, own);
        made.map(Arc::new).map_err(|error| problems.push(format!("{}: {error}", self.url))).ok()
    }
}

type Own = (Vec<CertificateDer<'static>>, Vec<PrivateKeyDer<'static>>);

fn assemble(roots: RootCertStore, own: Option<Own>) -> Result<ClientConfig, tokio_rustls::rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    match own.and_then(|(chain, keys)| Some((chain, keys.into_iter().next()?))) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn token(file: &Path, problems: &mut Vec<String>) -> Option<String> {
    let text = String::from_utf8(read(file, problems)?).unwrap_or_default();
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        problems.push(format!("{}: it holds no token", file.display()));
        return None;
    }
    Some(token.to_owned())
}

/// All sections of one kind in a file; at least one.
fn pem<T: PemObject>(file: &Path, kind: &str, problems: &mut Vec<String>) -> Vec<T> {
    let Some(bytes) = read(file, problems) else { return Vec::new() };
    match T::pem_slice_iter(&bytes).collect::<Result<Vec<T>, _>>() {
        Ok(found) if found.is_empty() => {
            problems.push(format!("{}: it holds no {kind} in PEM", file.display()));
        }
        Ok(found) => return found,
        Err(error) => problems.push(format!("{}: {error}", file.display())),
    }
    Vec::new()
}

fn read(file: &Path, problems: &mut Vec<String>) -> Option<Vec<u8>> {
    let read = || match std::fs::metadata(file)?.len() {
        bytes if bytes > FILE_BYTES_MAX => {
            Err(std::io::Error::other(format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}")))
        }
        _ => std::fs::read(file),
    };
    read().map_err(|error| problems.push(format!("{}: {error}", file.display()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Agent {
        #[command(flatten)]
        entry: Entry,
        #[arg(long)]
        key: Option<PathBuf>,
        #[arg(long)]
        token_file: Option<PathBuf>,
    }

    #[test]
    fn the_options_hold_together_beside_those_of_a_center() {
        use clap::{CommandFactory, Parser};
        Agent::command().debug_assert();
        let parse = |args: &str| Agent::try_parse_from(args.split(' '));
        let all = "center --key k --token-file u --broker mqtts://h --broker-ca c --broker-cert c --broker-key b \
                   --broker-token-file t --broker-user center-c1";
        let agent = parse(&all.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
        assert_eq!((agent.key, agent.entry.key), (Some("k".into()), Some("b".into())));
        assert_eq!((agent.token_file, agent.entry.token_file), (Some("u".into()), Some("t".into())));
        assert!(parse("center --broker-cert c").is_err());
        assert!(parse("center --broker-user u").is_err());
    }

    fn problems(entry: &Entry) -> Vec<String> {
        entry.open().unwrap_err().0
    }

    #[test]
    fn every_file_that_is_wrong_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("ca.pem"), "nothing").unwrap();
        std::fs::write(path("token"), "two words").unwrap();
        std::fs::File::create(path("huge.pem")).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        let entry = Entry {
            url: "mqtts://[::1]".parse().unwrap(),
            ca: Some(path("ca.pem")),
            cert: Some(path("missing.pem")),
            key: Some(path("huge.pem")),
            token_file: Some(path("token")),
            user: None,
        };
        let found = problems(&entry).join("\n");
        for wrong in [
            "a name or an IPv4 address",
            "ca.pem: it holds no CERTIFICATE",
            "missing.pem: ",
            "huge.pem: it has",
            "token: it holds no token",
        ] {
            assert!(found.contains(wrong), "{wrong} is not in:\n{found}");
        }
        assert_eq!(found.lines().count(), 5, "{found}");
    }

    #[test]
    fn tls_needs_someone_to_trust_and_certificates_need_tls() {
        let tls = Entry::from("mqtts://localhost".parse::<BrokerUrl>().unwrap());
        assert!(problems(&tls)[0].contains("--broker-ca"));
        let plain = Entry::from("mqtt://localhost".parse::<BrokerUrl>().unwrap());
        assert!(plain.open().is_ok());
        assert!(problems(&Entry { ca: Some("ca.pem".into()), ..plain })[0].contains("mqtts://"));
    }

    #[test]
    fn a_token_is_what_its_file_holds_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let url: BrokerUrl = "mqtt://localhost".parse().unwrap();
        let broker = Entry { token_file: Some(file), ..Entry::from(url) }.open().unwrap();
        assert_eq!(broker.login.as_ref().unwrap().token, "s3cret");
        assert!(!format!("{broker:?}").contains("s3cret"));
    }
}
