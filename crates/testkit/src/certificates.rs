//! A certificate authority of the tests' own, and TLS clients that believe it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

/// How long a server may take for a handshake or an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A fresh one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its own certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `localhost` and 127.0.0.1, good for servers and clients.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue(&self, name: &str) -> Result<Identity> {
        self.issue_until(name, 4096)
    }

    /// The same, which ends with the year before.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue_until(&self, name: &str, year: i32) -> Result<Identity> {
        self.issue_for(name, year, &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// The same, good for servers only.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue_to_server(&self, name: &str) -> Result<Identity> {
        self.issue_for(name, 4096, &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    fn issue_for(&self, name: &str, year: i32, usages: &[ExtendedKeyUsagePurpose]) -> Result<Identity> {
        let mut params = params(name, &["localhost", "127.0.0.1"])?;
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate()?;
        Ok(Identity { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }

    /// A client that believes this authority, shows `identity` and speaks these versions and protocols. It begins
    /// a session of its own with each connection.
    ///
    /// # Errors
    /// When the identity is none.
    pub fn client(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let mut client = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
                builder
                    .with_client_auth_cert(vec![certificate], PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?)?
            }
        };
        // A session that is taken up again shows the certificate of before.
        client.resumption = Resumption::disabled();
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(client))
    }
}

impl Identity {
    /// Writes both into a folder, as `certificate.pem` and `key.pem`, and returns where they are.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn write(&self, folder: &Path) -> io::Result<[PathBuf; 2]> {
        let files = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
        for (file, text) in files.iter().zip([&self.certificate, &self.key]) {
            std::fs::write(file, text)?;
        }
        Ok(files)
    }
}

fn params(name: &str, names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Connects as `client` and finishes the handshake.
///
/// # Errors
/// When the connection or the handshake fails. A TLS 1.3 server may refuse a client's certificate later.
pub fn connect(
    client: &Arc<ClientConfig>,
    address: SocketAddr,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let server = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::clone(client), server).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}
