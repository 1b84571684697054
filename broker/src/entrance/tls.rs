//! TLS: the server's certificate, and whose client certificates are taken.
//!
//! A client certificate is verified against several authorities and their revocation lists; the names in it say who
//! its owner is (see [`crate::access`]). Of an authority without a list all are good. The files are read again
//! when the broker is told to: connections go on, the next ones see what is new, and no ticket of before resumes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use clap::ValueEnum;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The largest PEM file that is read, in bytes.
const PEM_BYTES_MAX: u64 = 16 << 20;

/// The names that are taken from one client certificate.
const NAMES_MAX: usize = 32;

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ClientCertificate {
    /// It may; without one it has a user name and a token or password.
    #[default]
    Optional,
    /// It must: no one else gets as far as MQTT.
    Required,
}

/// The PEM files behind TLS.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities whose client certificates are taken; none, and no client is asked for one.
    pub ca: Vec<PathBuf>,
    /// Their lists of what they have revoked.
    pub crl: Vec<PathBuf>,
    /// Whether a client must have one.
    pub client_certificate: ClientCertificate,
}

/// What is wrong with the files, all of it.
#[derive(Debug, thiserror::Error)]
#[error("set up TLS: {}", .0.join("; "))]
pub struct TlsError(Vec<String>);

pub(crate) struct Tls {
    files: TlsFiles,
    acceptor: RwLock<TlsAcceptor>,
}

impl Tls {
    pub(crate) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let acceptor = RwLock::new(TlsAcceptor::from(Arc::new(read(&files)?)));
        Ok(Self { files, acceptor })
    }

    /// Reads the files again; if they are wrong, the former stay in use.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let acceptor = TlsAcceptor::from(Arc::new(read(&self.files)?));
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    /// Shakes hands; with the stream come the names in the client's certificate.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Vec<String>)> {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = acceptor.accept(stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names = certificate.map(|certificate| names(certificate)).unwrap_or_default();
        Ok((stream, names))
    }
}

fn read(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let mut problems = Vec::new();
    let mut note = |file: &Path, what: &dyn std::fmt::Display| {
        problems.push(format!("{}: {what}", file.display()));
    };
    let chain: Vec<CertificateDer<'static>> = pem(&files.cert, "CERTIFICATE", &mut note);
    let key: Vec<PrivateKeyDer<'static>> = pem(&files.key, "PRIVATE KEY", &mut note);
    let mut roots = RootCertStore::empty();
    for file in &files.ca {
        for authority in pem::<CertificateDer<'static>>(file, "CERTIFICATE", &mut note) {
            if let Err(error) = roots.add(authority) {
                note(file, &error);
            }
        }
    }
    let lists: Vec<CertificateRevocationListDer<'static>> =
        files.crl.iter().flat_map(|file| pem(file, "X509 CRL", &mut note)).collect();
    if !problems.is_empty() {
        return Err(TlsError(problems));
    }
    assemble(files, chain, key, roots, lists).map_err(|problem| TlsError(vec![problem]))
}

fn assemble(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<PrivateKeyDer<'static>>,
    roots: RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = match files.ca.is_empty() {
        true => builder.with_no_client_auth(),
        false => builder.with_client_cert_verifier(verifier(files, provider, roots, lists)?),
    };
    let key = key.into_iter().next().ok_or("no key")?;
    let failed = |error| format!("{} with {}: {error}", files.cert.display(), files.key.display());
    let mut config = builder.with_single_cert(chain, key).map_err(failed)?;
    // A fleet that comes back resumes, at a fraction of the cost, and nothing is kept here for it.
    config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(config)
}

fn verifier(
    files: &TlsFiles,
    provider: Arc<tokio_rustls::rustls::crypto::CryptoProvider>,
    roots: RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .allow_unknown_revocation_status();
    let builder = match files.client_certificate {
        ClientCertificate::Optional => builder.allow_unauthenticated(),
        ClientCertificate::Required => builder,
    };
    builder.build().map_err(|error| format!("client certificates: {error}"))
}

/// All sections of one kind in a file; at least one.
fn pem<T: PemObject>(
    file: &Path,
    kind: &str,
    note: &mut impl FnMut(&Path, &dyn std::fmt::Display),
) -> Vec<T> {
    let bytes = match fs::metadata(file).and_then(|metadata| match metadata.len() {
        bytes if bytes > PEM_BYTES_MAX => Err(io::Error::other(format!("more than {PEM_BYTES_MAX} bytes"))),
        _ => fs::read(file),
    }) {
        Ok(bytes) => bytes,
        Err(error) => {
            note(file, &error);
            return Vec::new();
        }
    };
    match T::pem_slice_iter(&bytes).collect::<Result<Vec<T>, _>>() {
        Ok(found) if found.is_empty() => note(file, &format!("it holds no {kind} in PEM")),
        Ok(found) => return found,
        Err(error) => note(file, &error),
    }
    Vec::new()
}

/// The common name of a certificate's subject, and its alternative names that are text.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let alternatives = alternatives.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(*name),
        _ => None,
    });
    common.chain(alternatives).take(NAMES_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_its_common_name_and_its_alternatives() {
        let alternatives = vec!["gw-1.example".to_owned(), "urn:gw:1".to_owned()];
        let mut params = rcgen::CertificateParams::new(alternatives).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "gw-1");
        let key = rcgen::KeyPair::generate().unwrap();
        let found = names(params.self_signed(&key).unwrap().der());
        assert_eq!(found, ["gw-1", "gw-1.example", "urn:gw:1"]);
        assert_eq!(names(b"rubbish"), [""; 0]);
    }

    #[test]
    fn every_file_that_is_wrong_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let huge = folder.path().join("huge.pem");
        fs::File::create(&huge).unwrap().set_len(PEM_BYTES_MAX + 1).unwrap();
        let files = TlsFiles {
            cert: file("cert.pem", "no certificate"),
            key: folder.path().join("missing.pem"),
            ca: vec![file("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")],
            crl: vec![huge],
            client_certificate: ClientCertificate::Optional,
        };
        let error = Tls::new(files).err().unwrap().to_string();
        for wrong in ["cert.pem: it holds no CERTIFICATE", "missing.pem: ", "ca.pem: ", "huge.pem: more than"]
        {
            assert!(error.contains(wrong), "{wrong} is not in {error}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let made = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&cert, made().0).unwrap();
        fs::write(&key, made().1).unwrap();
        let none = ClientCertificate::Optional;
        let files = TlsFiles { cert, key, ca: Vec::new(), crl: Vec::new(), client_certificate: none };
        let error = Tls::new(files).err().unwrap().to_string();
        assert!(error.contains("cert.pem with ") && error.contains("key.pem: "), "{error}");
    }
}
