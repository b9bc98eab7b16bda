//! A KMIP server that goes wrong when told to: it asks the real one behind it, and answers what that says, or what a
//! [`Fault`] makes of it.

mod connection;
mod fault;
mod node;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificates::Identity;

pub use fault::Fault;

/// Operations with their numbers (KMIP 1.4, section 9.1.3.2.27).
const OPERATIONS: [(&str, u32); 12] = [
    ("Create", 0x01),
    ("CreateKeyPair", 0x02),
    ("Register", 0x03),
    ("Locate", 0x08),
    ("Get", 0x0A),
    ("GetAttributes", 0x0B),
    ("GetAttributeList", 0x0C),
    ("Activate", 0x12),
    ("Revoke", 0x13),
    ("Destroy", 0x14),
    ("Query", 0x18),
    ("DiscoverVersions", 0x1E),
];

/// A running server. It takes no more connections once it is dropped.
#[derive(Debug)]
pub struct HostileKmip {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections know.
#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    to_clients: Arc<ServerConfig>,
    to_server: Arc<ClientConfig>,
    operations: Mutex<BTreeMap<u32, Told>>,
    /// Every object that the server ever named.
    ids: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// What is to happen to an operation, and what has happened.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    fault: Option<Fault>,
    times: u64,
    calls: u64,
    struck: u64,
}

impl HostileKmip {
    /// In front of `server`, whose certificate, as `identity`, it shows its clients; to `server` it is `client`. Both
    /// certificates are issued by `ca`. It asks its clients for none.
    ///
    /// # Errors
    /// When one of them is none, or there is no port.
    pub fn before(server: SocketAddr, ca: &str, identity: &Identity, client: &Identity) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            to_clients: Arc::new(to_clients(identity)?),
            to_server: Arc::new(to_server(ca, client)?),
            operations: Mutex::default(),
            ids: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_listener.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&of_listener);
                // How a connection ends is for its client to tell.
                std::thread::spawn(move || drop(connection::serve(&shared, client)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has every further answer to `operation` go wrong.
    ///
    /// # Panics
    /// When there is no such operation.
    pub fn set(&self, operation: &str, fault: Fault) {
        self.set_times(operation, fault, u64::MAX);
    }

    /// Has the next `times` answers to `operation` go wrong.
    ///
    /// # Panics
    /// When there is no such operation.
    pub fn set_times(&self, operation: &str, fault: Fault, times: u64) {
        let mut operations = self.shared.operations();
        let told = operations.entry(number(operation)).or_default();
        (told.fault, told.times) = (Some(fault), times);
    }

    /// Has all answers go right again.
    pub fn lift_all(&self) {
        self.shared.operations().values_mut().for_each(|told| told.fault = None);
    }

    /// How often `operation` was asked for.
    ///
    /// # Panics
    /// When there is no such operation.
    #[must_use]
    pub fn calls(&self, operation: &str) -> u64 {
        self.shared.operations().get(&number(operation)).map_or(0, |told| told.calls)
    }

    /// How often an answer to `operation` went wrong.
    ///
    /// # Panics
    /// When there is no such operation.
    #[must_use]
    pub fn struck(&self, operation: &str) -> u64 {
        self.shared.operations().get(&number(operation)).map_or(0, |told| told.struck)
    }
}

impl Drop for HostileKmip {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn operations(&self) -> MutexGuard<'_, BTreeMap<u32, Told>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and says how its answer is to go wrong.
    fn strike(&self, operation: u32) -> Option<Fault> {
        let mut operations = self.operations();
        let told = operations.entry(operation).or_default();
        told.calls += 1;
        let fault = told.fault.filter(|_| told.times > 0)?;
        told.times -= 1;
        told.struck += 1;
        Some(fault)
    }

    fn ids(&self) -> MutexGuard<'_, Vec<String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object that is none of `these`: the latest one, or one that isn't there.
    fn other(&self, these: &[String]) -> String {
        let ids = self.ids();
        let other = ids.iter().rev().find(|id| !these.contains(id));
        other.cloned().unwrap_or_else(|| "987654321".to_owned())
    }
}

fn number(operation: &str) -> u32 {
    let found = OPERATIONS.iter().find(|(name, _)| *name == operation);
    found.unwrap_or_else(|| panic!("no operation {operation}")).1
}

fn to_clients(identity: &Identity) -> Result<ServerConfig> {
    let (certificate, key) = parsed(identity)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok(builder.with_single_cert(vec![certificate], key)?)
}

fn to_server(ca: &str, client: &Identity) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let (certificate, key) = parsed(client)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    Ok(builder.with_client_auth_cert(vec![certificate], key)?)
}

fn parsed(identity: &Identity) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    Ok((certificate, PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?))
}
