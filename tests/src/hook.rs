//! A webhook that is told of renewed certificates, with TLS or without it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::certificates::Identity;
use bailey_testkit::process;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What signs what it is told: `webhook_key`.
pub const KEY: &str = "whsec_CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

/// Something that it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `webhook-id`.
    pub id: String,
    pub body: String,
    /// Whether it said that it has heard.
    pub is_answered: bool,
}

/// Listens until the test program ends.
#[derive(Debug)]
pub struct Hook {
    port: u16,
    scheme: &'static str,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_silent: AtomicBool,
    told: Mutex<Vec<Told>>,
}

impl Hook {
    /// Starts it; with an identity it speaks TLS and nothing else.
    ///
    /// # Errors
    /// When it can't listen, or the identity is none.
    pub fn start(identity: Option<&Identity>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (shared, server) = (Arc::<Shared>::default(), identity.map(tls).transpose()?);
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (all, server) = (Arc::clone(&all), server.clone());
                // Whoever breaks off has been told nothing.
                thread::spawn(move || match server {
                    Some(server) => all.serve(StreamOwned::new(ServerConnection::new(server)?, stream)),
                    None => all.serve(stream),
                });
            }
        });
        Ok(Self { port, scheme: if identity.is_some() { "https" } else { "http" }, shared })
    }

    /// The block that has it told; `more` are further lines of it.
    #[must_use]
    pub fn block(&self, more: &str) -> String {
        let Self { scheme, port, .. } = self;
        format!("[renewal]\nwebhook = \"{scheme}://localhost:{port}/renewed\"\nwebhook_key = \"{KEY}\"\n{more}\n")
    }

    /// Has it hear and say nothing, or not any more.
    pub fn set_silent(&self, is_silent: bool) {
        self.shared.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// All that it was told, in order.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it was told so much.
    ///
    /// # Errors
    /// When it isn't in time.
    pub fn wait_for(&self, count: usize, patience: Duration) -> Result<Vec<Told>> {
        process::until(patience, || {
            let told = self.told();
            ensure!(told.len() >= count, "told {} times instead of {count}", told.len());
            Ok(told)
        })
    }
}

impl Shared {
    /// One request, and perhaps an answer.
    fn serve(&self, mut stream: impl Read + Write) -> Result<()> {
        let (head, body) = request(&mut stream)?;
        let header = head.lines().find_map(|line| line.strip_prefix("webhook-id: "));
        let id = header.context("no webhook-id")?.to_owned();
        let is_answered = !self.is_silent.load(Ordering::SeqCst);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(Told { id, body, is_answered });
        if is_answered {
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
            return Ok(stream.flush()?);
        }
        // Until the other side is gone.
        while stream.read(&mut [0; 64])? > 0 {}
        Ok(())
    }
}

/// Head and body of a request.
fn request(stream: &mut impl Read) -> Result<(String, String)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.context("no length")?.parse()? {
                return Ok((head.to_owned(), body.to_owned()));
            }
        }
        let read = stream.read(&mut part)?;
        ensure!(read > 0, "the client hung up");
        bytes.extend_from_slice(&part[..read]);
    }
}

fn tls(identity: &Identity) -> Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let server = server.with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok(Arc::new(server.with_single_cert(vec![certificate], key)?))
}
