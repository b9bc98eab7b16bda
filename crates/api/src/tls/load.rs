//! From files to what rustls works with.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::config::{ClientAuth, TlsConfig, path};
use super::provider;

/// Whom "others" are among a file's mode bits: reading.
const OTHERS_READ: u32 = 0o004;

/// Which file is no good, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl TlsError {
    fn of(what: &str, file: &Path, why: impl Display) -> Self {
        Self(format!("the {what} {}: {why}", file.display()))
    }
}

impl Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// What one reading of the files gave: it fits together.
pub struct Loaded {
    /// The server's certificate and key.
    pub identity: Arc<CertifiedKey>,
    /// Whom clients' certificates are to be from; `None` when nobody is asked for one.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Loaded {
    pub fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let (certificate, key) = (path(&config.certificate), path(&config.key));
        let chain = certificates("certificate", certificate)?;
        let identity = CertifiedKey::from_der(chain, private_key(key)?, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::of("key", key, format_args!("it doesn't belong to the certificate {}", certificate.display()))
            }
            rustls::Error::InvalidCertificate(error) => TlsError::of("certificate", certificate, error),
            other => TlsError::of("key", key, other),
        })?;
        let clients = match config.client_auth {
            ClientAuth::Off => None,
            ClientAuth::Optional | ClientAuth::Required => Some(clients(path(&config.client_ca))?),
        };
        Ok(Self { identity: Arc::new(identity), clients })
    }
}

fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = fs::read(file).map_err(|error| TlsError::of(what, file, error))?;
    let read = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::of(what, file, "it holds no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::of(what, file, error)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let complaint = |error: &dyn Display| TlsError::of("key", file, error);
    let pem = Zeroizing::new(fs::read(file).map_err(|error| complaint(&error))?);
    if fs::metadata(file).is_ok_and(|metadata| metadata.mode() & OTHERS_READ != 0) {
        tracing::warn!(file = %file.display(), "everybody on this machine can read the key of the certificate");
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => complaint(&"it holds no key in PEM that is usable without a passphrase"),
        // The others may quote what they read.
        _ => complaint(&"it is not PEM"),
    })
}

fn clients(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    const WHAT: &str = "authority of clients";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(WHAT, file)? {
        roots.add(certificate).map_err(|error| TlsError::of(WHAT, file, error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = verifier.build().map_err(|error| TlsError::of(WHAT, file, error))?;
    Ok(verifier)
}
