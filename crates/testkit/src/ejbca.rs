//! A strict stand-in for EJBCA's REST interface, made from its published description: EJBCA itself needs an
//! application server and a database of its own, and doesn't run in these tests.
//!
//! What it doesn't know it refuses: unknown fields, missing ones, clients without the certificate of the one
//! administrator, a key that another end entity uses. To enrol the same end entity again gives another certificate,
//! as it does with EJBCA, and everything that was signed is counted.

mod api;
mod book;
mod http;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Identity};
use crate::memory::{MemoryAuthority, random};
use book::{Book, Decision};
use http::Answer;

/// The CA's name.
pub const AUTHORITY: &str = "IssuingCA";
/// The certificate profile that there is.
pub const CERTIFICATE_PROFILE: &str = "TLS-SERVER";
/// The end entity profile that there is; it grants hosts below `example.test`.
pub const END_ENTITY_PROFILE: &str = "Bailey-Servers";
/// The header that a gateway before it insists on.
pub const HEADER: &str = "x-gateway-key";
/// The common name of the one administrator.
const ADMINISTRATOR: &str = "bailey";
/// The CA's subject.
const SUBJECT: &str = "CN=memory CA";

/// What can be asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `GET v1/certificate/status`
    Status,
    /// `POST v1/certificate/pkcs10enroll`
    Enrol,
    /// `POST v1/certificate/certificaterequest`
    Request,
    /// `POST v1/certificate/{id}/finalize`
    Finalize,
    /// `POST v1/certificate/search`
    Search,
    /// `GET v1/certificate/{issuer}/{serial}/revocationstatus`
    RevocationStatus,
    /// `PUT v1/certificate/{issuer}/{serial}/revoke`
    Revoke,
    /// `GET v1/ca`
    Authorities,
    /// `GET v1/ca/{subject}/certificate/download`
    Chain,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before anything is done.
    CutBefore,
    /// It is done, and the connection breaks before the answer.
    CutAfter,
    /// It is done, and the connection breaks within the answer.
    CutWithin,
    /// It is done after this time, whether or not anybody waits for the answer.
    Late(Duration),
    /// What stands before EJBCA answers with this status; nothing is done.
    Gateway(u16),
    /// It is done, and what stands before EJBCA answers with this status.
    GatewayAfter(u16),
    /// EJBCA answers with this status; nothing is done.
    Refused(u16),
    /// It is done, and the answer is no JSON.
    Garbage,
    /// It is done, and the answer is a certificate for another key.
    OtherKey,
}

/// What all connections share.
struct Inner {
    address: SocketAddr,
    authority: MemoryAuthority,
    /// What the gateway's header has to say.
    header: String,
    book: Mutex<Book>,
    needs_approval: AtomicBool,
    faults: Mutex<BTreeMap<Operation, VecDeque<Fault>>>,
    asked: Mutex<Vec<Operation>>,
}

impl Inner {
    fn url(&self) -> String {
        format!("https://localhost:{}/ejbca/ejbca-rest-api", self.address.port())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    fn needs_approval(&self) -> bool {
        self.needs_approval.load(Ordering::Relaxed)
    }
}

/// A running stand-in; ends when dropped.
pub struct EjbcaStandIn {
    inner: Arc<Inner>,
    management: Authority,
    folder: tempfile::TempDir,
    serving: JoinHandle<()>,
}

impl EjbcaStandIn {
    /// Starts one on a free port of localhost.
    ///
    /// # Errors
    /// When no key can be made or no port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (management, folder) = (Authority::new("management CA of a stand-in")?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("authority.pem"), management.pem())?;
        management.issue(ADMINISTRATOR)?.write(folder.path())?;
        let inner = Arc::new(Inner {
            address: listener.local_addr()?,
            authority: MemoryAuthority::new()?,
            header: random().iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
            book: Mutex::default(),
            needs_approval: AtomicBool::new(false),
            faults: Mutex::default(),
            asked: Mutex::default(),
        });
        let acceptor = TlsAcceptor::from(Arc::new(server(&management)?));
        let shared = Arc::clone(&inner);
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&shared), acceptor.clone(), connection));
            }
        });
        Ok(Self { inner, management, folder, serving })
    }

    /// Where its REST interface is.
    #[must_use]
    pub fn url(&self) -> String {
        self.inner.url()
    }

    /// What [`HEADER`] has to say.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.inner.header
    }

    /// The certificate of the authority that vouches for it, PEM.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The administrator's certificate and key, PEM.
    #[must_use]
    pub fn identity_files(&self) -> [PathBuf; 2] {
        ["certificate.pem", "key.pem"].map(|name| self.folder.path().join(name))
    }

    /// Puts another identity into [`identity_files`](Self::identity_files): the administrator's, renewed, or of
    /// somebody who may do nothing.
    ///
    /// # Errors
    /// When it can't be made or written.
    pub fn replace_identity(&self, is_administrator: bool) -> Result<()> {
        let name = if is_administrator { ADMINISTRATOR } else { "somebody else" };
        let identity: Identity = self.management.issue(name)?;
        identity.write(self.folder.path())?;
        Ok(())
    }

    /// The root that its certificates lead to, DER.
    #[must_use]
    pub fn root(&self) -> Vec<u8> {
        self.inner.authority.root()
    }

    /// How many certificates it has issued.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.inner.authority.signed()
    }

    /// How often it was asked for something, faults included.
    #[must_use]
    pub fn asked(&self, operation: Operation) -> usize {
        self.inner.asked.lock().unwrap().iter().filter(|asked| **asked == operation).count()
    }

    /// Whether an administrator has to approve each enrolment from now on.
    pub fn require_approval(&self, is_required: bool) {
        self.inner.needs_approval.store(is_required, Ordering::Relaxed);
    }

    /// Approves all that waits.
    pub fn approve(&self) {
        self.inner.book().decide(Decision::Approved);
    }

    /// Rejects all that waits.
    pub fn reject(&self) {
        self.inner.book().decide(Decision::Rejected);
    }

    /// Has the time run out for all that waits.
    pub fn expire(&self) {
        self.inner.book().decide(Decision::Expired);
    }

    /// Has the next request for an operation that has no fault before it go wrong.
    pub fn fail(&self, operation: Operation, fault: Fault) {
        self.inner.faults.lock().unwrap().entry(operation).or_default().push_back(fault);
    }

    /// The enrolment codes of its end entities, and of those that wait to be approved.
    #[must_use]
    pub fn codes(&self) -> Vec<String> {
        let book = self.inner.book();
        let waiting = book.approvals.values().map(|approval| &approval.entity);
        book.entities.values().chain(waiting).map(|entity| entity.password.clone()).collect()
    }

    /// Why a certificate was revoked, if it was.
    #[must_use]
    pub fn revoked(&self, der: &[u8]) -> Option<String> {
        self.inner.book().certificates.iter().find(|known| known.der == der)?.revoked.clone()
    }
}

impl Drop for EjbcaStandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// TLS that asks for a client's certificate and lets EJBCA complain if there is none.
fn server(management: &Authority) -> Result<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(management.pem().as_bytes())?)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let clients = clients.allow_unauthenticated().build()?;
    let identity = management.issue("EJBCA")?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_client_cert_verifier(clients).with_single_cert(vec![certificate], key)?)
}

/// Serves a connection until one of both closes it.
async fn serve(inner: Arc<Inner>, acceptor: TlsAcceptor, connection: TcpStream) {
    let Ok(mut stream) = acceptor.accept(connection).await else { return };
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| der.to_vec());
    let client = shown.and_then(|der| common_name(&der).ok());
    let mut kept = Vec::new();
    while let Ok(Some(request)) = http::read(&mut stream, &mut kept).await {
        let Some((answer, is_whole)) = respond(&inner, &request, client.as_deref()).await else { return };
        if http::write(&mut stream, &answer, is_whole).await.is_err() || !is_whole {
            return;
        }
    }
}

fn common_name(der: &[u8]) -> Result<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der)?;
    let name = parsed.subject().iter_common_name().next().context("a certificate without a common name")?;
    Ok(name.as_str()?.to_owned())
}

/// The answer, and whether all of it is sent; none where the connection breaks.
async fn respond(inner: &Inner, request: &http::Request, client: Option<&str>) -> Option<(Answer, bool)> {
    let Some(operation) = api::operation(request) else { return Some((Answer::html(404), true)) };
    if request.header(HEADER) != Some(&inner.header) {
        return Some((Answer::html(403), true));
    }
    inner.asked.lock().unwrap().push(operation);
    let fault = inner.faults.lock().unwrap().get_mut(&operation).and_then(VecDeque::pop_front);
    let done = || api::answer(inner, operation, request, client);
    Some(match fault {
        None => (done(), true),
        Some(Fault::CutBefore) => return None,
        Some(Fault::CutAfter) => {
            done();
            return None;
        }
        Some(Fault::CutWithin) => (done(), false),
        Some(Fault::Late(wait)) => {
            tokio::time::sleep(wait).await;
            (done(), true)
        }
        Some(Fault::Gateway(status)) => (Answer::html(status), true),
        Some(Fault::GatewayAfter(status)) => {
            done();
            (Answer::html(status), true)
        }
        Some(Fault::Refused(status)) => (api::refused(status), true),
        Some(Fault::Garbage) => (Answer { body: b"<html>{".to_vec(), ..done() }, true),
        Some(Fault::OtherKey) => (api::other_key(inner, done()), true),
    })
}
