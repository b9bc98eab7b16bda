//! TLS on the API: certificate and key come from files, which may be replaced while the server runs.
//!
//! rustls asks for them at each handshake, so new connections use what is there and open ones go on.

mod config;
mod load;

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use config::{ClientAuth, MinVersion, TlsConfig};
pub use load::TlsError;

use load::Loaded;

/// What a file holds, as SHA-256; `None` when it can't be read. Times and sizes may stay the same when two
/// certificates are written one right after the other.
type Content = Option<[u8; 32]>;

/// What the server proves who it is with, and what it believes of clients.
pub struct Certificates {
    config: TlsConfig,
    current: RwLock<Arc<Loaded>>,
    seen: Mutex<Seen>,
}

/// What the last look at the files found.
#[derive(Debug, Default)]
struct Seen {
    contents: [Content; 3],
    complaint: Option<String>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is no good, and why.
    pub fn open(config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        let seen = Seen { contents: contents(config), complaint: None };
        let current = RwLock::new(Arc::new(Loaded::read(config)?));
        Ok(Arc::new(Self { config: config.clone(), current, seen: Mutex::new(seen) }))
    }

    /// Reads the files again if one of them has changed. While they are no good, what was read before stays in
    /// use, and each look reads them again.
    pub fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = contents(&self.config);
        if seen.complaint.is_some() || seen.contents != contents {
            self.read_again(&mut seen, contents);
        }
    }

    /// Reads the files again, and says what came of it.
    pub fn reload(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.complaint = None;
        self.read_again(&mut seen, contents(&self.config));
    }

    /// `contents` are older than what is read: a change in between is seen at the next look.
    fn read_again(&self, seen: &mut Seen, contents: [Content; 3]) {
        seen.contents = contents;
        match Loaded::read(&self.config) {
            Ok(loaded) => {
                seen.complaint = None;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                tracing::info!(certificate = %self.config.certificate.display(), "certificate read again");
            }
            Err(error) => {
                let complaint = Some(error.to_string());
                if seen.complaint != complaint {
                    tracing::error!(%error, "the certificate in use stays");
                }
                seen.complaint = complaint;
            }
        }
    }

    /// Settings of a server that shows what is current at each handshake.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let versions: &[_] = match self.config.min_version {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
        if self.config.client_auth == ClientAuth::Off {
            return Ok(builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as _));
        }
        let mut server =
            builder.with_client_cert_verifier(Arc::clone(self) as _).with_cert_resolver(Arc::clone(self) as _);
        // A session that is taken up again is not verified again: its authority may be trusted no more.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(server)
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn clients(&self) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        self.current().clients.clone().ok_or_else(|| rustls::Error::General("no client is asked for".to_owned()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.config).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().identity))
    }
}

impl ClientCertVerifier for Certificates {
    fn client_auth_mandatory(&self) -> bool {
        self.config.client_auth == ClientAuth::Required
    }

    /// None: it is borrowed, and what would be named may be replaced.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.clients()?.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn contents(config: &TlsConfig) -> [Content; 3] {
    [&config.certificate, &config.key, &config.client_ca].map(|file| content(config::path(file)))
}

fn content(file: &Path) -> Content {
    let bytes = Zeroizing::new(fs::read(file).ok()?);
    Some(Sha256::digest(&bytes).into())
}
