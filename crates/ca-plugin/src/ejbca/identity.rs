//! The connection's secrets: who Bailey is to EJBCA, and whom it believes to be EJBCA. Reread when they change.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::sensitive::SecretBytes;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity};

use super::config::Config;

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time for a connection, which is not EJBCA's but the network's.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses: less than servers keep theirs.
const IDLE: Duration = Duration::from_secs(10);

/// What a file has in it, as far as it matters here: whether it changed.
type Content = Option<Vec<u8>>;

pub(super) struct Http {
    name: String,
    config: Config,
    headers: HeaderMap,
    current: Mutex<Current>,
}

struct Current {
    client: reqwest::Client,
    contents: [Content; 3],
    looked_at: Instant,
}

impl Http {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// `Internal` when they can't be used.
    pub(super) fn new(name: &str, config: &Config, headers: HeaderMap) -> Result<Self, CaError> {
        let contents = contents(config);
        let client = client(config, &headers)
            .map_err(|context| CaError::new(CaErrorKind::Internal, "open CA in EJBCA", context))?;
        let current = Mutex::new(Current { client, contents, looked_at: Instant::now() });
        Ok(Self { name: name.to_owned(), config: config.clone(), headers, current })
    }

    /// A client with what the files have now; with what they had before, while that can't be used.
    pub(super) fn client(&self) -> reqwest::Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked_at.elapsed() >= LOOK {
            current.looked_at = Instant::now();
            let contents = contents(&self.config);
            if contents != current.contents {
                match client(&self.config, &self.headers) {
                    Ok(client) => {
                        // What is half written is looked at again.
                        current.contents = contents;
                        current.client = client;
                        tracing::info!(ca = self.name, "the certificate shown to EJBCA was reread");
                    }
                    Err(problem) => {
                        tracing::warn!(ca = self.name, problem, "the certificate for EJBCA stays as it was");
                    }
                }
            }
        }
        current.client.clone()
    }
}

fn contents(config: &Config) -> [Content; 3] {
    [&config.certificate_file, &config.private_key_file, &config.ca_file].map(|file| {
        let bytes = SecretBytes::new(fs::read(file).ok()?);
        Some(digest(&SHA256, bytes.expose()).as_ref().to_vec())
    })
}

fn client(config: &Config, headers: &HeaderMap) -> Result<reqwest::Client, String> {
    let mut pem = read(&config.certificate_file)?;
    let key = SecretBytes::new(read(&config.private_key_file)?);
    pem.push(b'\n');
    pem.extend_from_slice(key.expose());
    let pem = SecretBytes::new(pem);
    let identity = Identity::from_pem(pem.expose())
        .map_err(|_| "certificate_file and private_key_file have no certificate and key".to_owned())?;
    // A redirection would have requests sent where nobody said they may go.
    let builder = reqwest::Client::builder().redirect(Policy::none()).connect_timeout(CONNECT);
    let builder = builder.pool_idle_timeout(IDLE).default_headers(headers.clone()).identity(identity);
    let builder = if config.ca_file.as_os_str().is_empty() {
        builder
    } else {
        let pem = read(&config.ca_file)?;
        let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|certificates| !certificates.is_empty());
        builder.tls_certs_only(certificates.ok_or_else(|| "ca_file has no certificate".to_owned())?)
    };
    builder.build().map_err(|error| format!("certificate and key don't go together: {error}"))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}
