//! TLS to a server, and what its usual failures mean.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Fault;

/// How connections are secured. The files are read for each connection, so that renewed ones are used by themselves.
pub(crate) async fn client(config: &Config) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", &config.ca).await? {
        roots.add(certificate).map_err(|error| setting("ca", &config.ca, &error))?;
    }
    let chain = certificates("client_certificate", &config.client_certificate).await?;
    let pem = read("client_key", &config.client_key).await?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| setting("client_key", &config.client_key, &error))?;
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| setting("client_key", &config.client_key, &error))?;
    Ok(Arc::new(client))
}

/// The name that the server's certificate must be for.
pub(crate) fn server_name(config: &Config) -> Result<ServerName<'static>, Fault> {
    let name = if config.server_name.is_empty() { config.host() } else { &config.server_name };
    ServerName::try_from(name.to_owned()).map_err(|_| Fault::Setting(format!("`{name}` is no name of a server")))
}

async fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = read(key, path).await?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(setting(key, path, &"there is no certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(setting(key, path, &error)),
    }
}

async fn read(key: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    tokio::fs::read(path).await.map(Zeroizing::new).map_err(|error| setting(key, path, &error))
}

fn setting(key: &'static str, path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::Setting(format!("{key}, {}: {error}", path.display()))
}

/// What a broken connection or handshake means. TLS 1.3 tells a client only with the first answer that its
/// certificate is refused.
pub(crate) fn explain(error: io::Error) -> Fault {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Fault::Io(error) };
    let hint = match cause {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate isn't of the authority in `ca`"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another name than `server_name`",
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            "the server finds no cipher suite that both have: it may allow nothing but old ones (RSA key exchange, CBC), \
             or have a key that its suites don't fit; an ECDSA P-256 certificate, or ECDHE-RSA with AES-GCM, does"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "the server speaks neither TLS 1.2 nor TLS 1.3",
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied,
        ) => {
            "the server doesn't accept the client's certificate: it needs the extended key usage clientAuth, and an \
             authority that the server believes"
        }
        Error::InvalidMessage(_) => "what answers there doesn't speak TLS",
        _ => "TLS failed",
    };
    Fault::Tls(format!("{hint} ({cause})"))
}
