//! TLS: who the broker is, who a client's certificate says it is, and who is sent away.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_broker::access::{AccessFile, NewCredential, Role};
use flotilla_broker::{
    Broker, ClientCertificate, Config, Limits, Listener, Running, StartError, TlsFiles, Transport,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rumqttc::{TlsConfiguration, Transport as Over};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// An authority and what it has issued, as PEM files in a folder.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned(), file }
    }

    /// A certificate and its key.
    pub(crate) fn issue(&self, name: &str, alternative: &str, serial: u64) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![alternative.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().unwrap();
        let (cert_file, key_file) =
            (self.folder.join(format!("{name}.crt")), self.folder.join(format!("{name}.key")));
        fs::write(&cert_file, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    fn revoke(&self, serials: &[u64]) -> PathBuf {
        let revoked = |serial: &u64| rcgen::RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2044, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let file = self.folder.join("revoked.crl");
        fs::write(&file, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        file
    }
}

/// A client that trusts an authority, and has a certificate or none.
pub(crate) fn config(authority: &Path, own: Option<&(PathBuf, PathBuf)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = vec![CertificateDer::from_pem_file(cert).unwrap()];
            builder.with_client_auth_cert(cert, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    })
}

/// Connects as a library would: the answer of the broker, or what went wrong before.
async fn connect_v5(port: u16, tls: Arc<ClientConfig>, login: Option<(&str, &str)>) -> Result<(), String> {
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let mut options = MqttOptions::new("x", "localhost", port);
    options.set_keep_alive(Duration::from_secs(5));
    options.set_transport(Over::tls_with_config(TlsConfiguration::Rustls(tls)));
    if let Some((user, secret)) = login {
        options.set_credentials(user, secret);
    }
    let (_client, mut events) = AsyncClient::new(options, 10);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn connect_v4(port: u16, tls: Arc<ClientConfig>) -> Result<(), String> {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet};
    let mut options = MqttOptions::new("x", "localhost", port);
    options.set_transport(Over::tls_with_config(TlsConfiguration::Rustls(tls)));
    let (_client, mut events) = AsyncClient::new(options, 10);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

struct Lab {
    folder: tempfile::TempDir,
    ours: Authority,
    theirs: Authority,
    running: Running,
    port: u16,
    token: String,
}

/// A broker at `localhost` that takes the certificates of two authorities, and has revoked number 66.
async fn lab(client_certificate: ClientCertificate) -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "theirs"));
    let (cert, key) = ours.issue("broker", "localhost", 1);
    let path = folder.path().join("access.toml");
    let access = AccessFile::at(&path);
    let certified = |id: &str, name: &str| {
        let name = NewCredential::Certificate(name.into());
        access.add(Role::Edge, &[id.to_owned()], &name, false).unwrap();
    };
    certified("by-cn", "gateway");
    certified("by-san", "gateway-2.example");
    certified("revoked", "stolen");
    let token = access.add(Role::Edge, &["e1".into()], &NewCredential::Token, false).unwrap().remove(0).1;
    let ca = vec![ours.file.clone(), theirs.file.clone()];
    let tls = TlsFiles { cert, key, ca, crl: vec![ours.revoke(&[66])], client_certificate };
    let address = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        listeners: vec![Listener { transport: Transport::Tls, address }],
        access: Some(path),
        tls: Some(tls),
        limits: Limits { connect_wait: Duration::from_secs(5), ..Limits::default() },
        ..Config::open(address, &folder.path().join("broker"))
    };
    let running = Broker::start(config).await.unwrap();
    let port = running.local_addrs()[0].port();
    Lab { folder, ours, theirs, running, port, token }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_any_authority_says_who_it_is_by_its_name_or_its_alternative() {
    let lab = lab(ClientCertificate::Optional).await;
    let with = |own: &(PathBuf, PathBuf)| config(&lab.ours.file, Some(own));
    let by_name = lab.ours.issue("gateway", "any.example", 2);
    let by_alternative = lab.theirs.issue("other", "gateway-2.example", 3);
    assert_eq!(connect_v5(lab.port, with(&by_name), None).await, Ok(()));
    assert_eq!(connect_v4(lab.port, with(&by_alternative)).await, Ok(()));
    let unknown = lab.ours.issue("unknown", "unknown.example", 4);
    assert!(connect_v5(lab.port, with(&unknown), None).await.unwrap_err().contains("NotAuthorized"));
    let login = Some(("edge-e1", lab.token.as_str()));
    assert!(connect_v5(lab.port, with(&by_name), login).await.unwrap_err().contains("NotAuthorized"));
    assert_eq!(connect_v5(lab.port, with(&unknown), login).await, Ok(()), "a token says it, too");
    assert_eq!(connect_v5(lab.port, config(&lab.ours.file, None), login).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_or_strange_certificate_is_sent_away_before_mqtt() {
    let lab = lab(ClientCertificate::Optional).await;
    let login = Some(("edge-e1", lab.token.as_str()));
    let revoked = lab.ours.issue("stolen", "s.example", 66);
    let error = connect_v5(lab.port, config(&lab.ours.file, Some(&revoked)), login).await.unwrap_err();
    assert!(error.to_lowercase().contains("revoked"), "{error}");
    let stranger = Authority::new(lab.folder.path(), "stranger").issue("gateway", "g.example", 5);
    assert!(connect_v5(lab.port, config(&lab.ours.file, Some(&stranger)), login).await.is_err());
    assert!(
        connect_v5(lab.port, config(&lab.theirs.file, None), login).await.is_err(),
        "nor is the broker believed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_certificate_is_required_a_token_alone_does_not_do() {
    let lab = lab(ClientCertificate::Required).await;
    let login = Some(("edge-e1", lab.token.as_str()));
    assert!(connect_v5(lab.port, config(&lab.ours.file, None), login).await.is_err());
    let own = lab.ours.issue("gateway", "any.example", 2);
    assert_eq!(connect_v5(lab.port, config(&lab.ours.file, Some(&own)), None).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_lists_are_read_again_and_stay_as_they_were_if_they_are_wrong() {
    let lab = lab(ClientCertificate::Optional).await;
    let own = lab.ours.issue("gateway", "any.example", 2);
    let client = config(&lab.ours.file, Some(&own));
    assert_eq!(connect_v5(lab.port, Arc::clone(&client), None).await, Ok(()));
    let key = lab.folder.path().join("broker.key");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "rubbish").unwrap();
    assert!(matches!(lab.running.reload(), Err(StartError::Tls(_))));
    assert_eq!(connect_v5(lab.port, Arc::clone(&client), None).await, Ok(()));
    fs::write(&key, good).unwrap();
    lab.ours.revoke(&[2, 66]);
    lab.running.reload().unwrap();
    // The same client, which has a ticket of before.
    assert!(connect_v5(lab.port, client, None).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_its_handshake_is_closed_and_keeps_nobody_out() {
    let lab = lab(ClientCertificate::Optional).await;
    let address: SocketAddr = ([127, 0, 0, 1], lab.port).into();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let login = Some(("edge-e1", lab.token.as_str()));
    assert_eq!(connect_v5(lab.port, config(&lab.ours.file, None), login).await, Ok(()));
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "its time was over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_without_a_certificate_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    for transport in [Transport::Tls, Transport::SecureWebSocket] {
        let listeners = vec![Listener { transport, address }];
        let config = Config { listeners, ..Config::open(address, folder.path()) };
        assert!(matches!(Broker::start(config).await, Err(StartError::NoCertificate(_))));
    }
}
