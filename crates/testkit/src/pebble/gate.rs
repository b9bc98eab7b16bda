//! Stands before a Pebble, lets everything through, and goes wrong when told to.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::Pebble;
use super::newer::Newer;
use crate::certificates;
use crate::ports;

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It never arrives.
    Request,
    /// It arrives, and its answer doesn't.
    Answer,
    /// Somebody else answers: status, headers and body.
    Forged(u16, String, String),
    /// It takes so long until it arrives.
    Slow(Duration),
    /// It arrives, and its answer takes so long.
    Late(Duration),
}

/// What a request for a path that begins so meets, and how often.
struct Rule {
    path: String,
    wrong: Wrong,
    times: usize,
}

/// Listens until it is dropped. URLs that Pebble tells through it lead back to it.
pub struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    pebble: u16,
    client: Arc<ClientConfig>,
    rules: Mutex<VecDeque<Rule>>,
    /// The path of each request that arrived at Pebble.
    seen: Mutex<Vec<String>>,
    is_closed: Mutex<bool>,
    /// What Pebble is too old for.
    newer: Mutex<Option<Newer>>,
}

impl Gate {
    /// Before this one.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn before(pebble: &Pebble) -> Result<Self> {
        let identity = pebble.authority.issue("gate")?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
        let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?)?;
        let port = ports::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let client = pebble.authority.client(None, rustls::DEFAULT_VERSIONS, &[])?;
        let shared = Arc::new(Shared {
            pebble: pebble.ports.acme,
            client,
            rules: Mutex::default(),
            seen: Mutex::default(),
            is_closed: Mutex::default(),
            newer: Mutex::default(),
        });
        let (server, all) = (Arc::new(server), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if *all.is_closed.lock().unwrap_or_else(PoisonError::into_inner) {
                    return;
                }
                let (server, all) = (Arc::clone(&server), Arc::clone(&all));
                std::thread::spawn(move || all.serve(stream, server).ok());
            }
        });
        Ok(Self { port, shared })
    }

    /// Where the directory is, as seen through it.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// Has the next requests for paths that begin so go wrong.
    pub fn wrong(&self, path: &str, wrong: Wrong, times: usize) {
        let rule = Rule { path: path.to_owned(), wrong, times };
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).push_back(rule);
    }

    /// Has everything go right from now on.
    pub fn go_right(&self) {
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Has it look like a newer server: with renewal information, which it hasn't any yet, and these profiles.
    pub fn renew(&self, profiles: &[&str]) {
        *self.newer() = Some(Newer::new(profiles));
    }

    /// What its renewal information says from now on of every certificate, and for how many seconds; nothing, and it is
    /// out of order.
    pub fn suggest(&self, window: Option<(DateTime<Utc>, DateTime<Utc>)>, retry_after: u32) {
        if let Some(newer) = self.newer().as_mut() {
            (newer.window, newer.retry_after) = (window, retry_after);
        }
    }

    /// What renewal information was asked for, by the certificates' names.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.newer().as_ref().map(|newer| newer.asked.clone()).unwrap_or_default()
    }

    /// What the orders said that Pebble took.
    #[must_use]
    pub fn ordered(&self) -> Vec<Value> {
        self.newer().as_ref().map(|newer| newer.ordered.clone()).unwrap_or_default()
    }

    fn newer(&self) -> MutexGuard<'_, Option<Newer>> {
        self.shared.newer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests for paths that begin so have arrived at Pebble.
    #[must_use]
    pub fn seen(&self, path: &str) -> usize {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|seen| seen.starts_with(path)).count()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        *self.shared.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        // Has the listener look.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl Shared {
    /// One request, and its answer.
    fn serve(&self, stream: TcpStream, server: Arc<ServerConfig>) -> Result<()> {
        let mut stream = StreamOwned::new(ServerConnection::new(server)?, stream);
        let request = read(&mut stream)?;
        let head = String::from_utf8_lossy(&request).into_owned();
        let path = head.split(' ').nth(1).context("no request")?.to_owned();
        let wrong = self.next(&path);
        match &wrong {
            Some(Wrong::Request) => return Ok(stream.sock.shutdown(Shutdown::Both)?),
            Some(Wrong::Forged(status, headers, body)) => {
                let head = format!("HTTP/1.1 {status} Forged\r\nContent-Length: {}\r\nConnection: close", body.len());
                stream.write_all(
                    format!("{head}\r\n{headers}\r\n\r\n{body}").replace("\r\n\r\n\r\n", "\r\n\r\n").as_bytes(),
                )?;
                return finish(stream);
            }
            Some(Wrong::Slow(time)) => std::thread::sleep(*time),
            Some(Wrong::Answer | Wrong::Late(_)) | None => {}
        }
        let newer = || self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        let own = newer().as_mut().map_or(Ok(None), |newer| newer.answer(&path, &request))?;
        let answer = match own {
            Some(own) => own,
            None => {
                let told = self.forward(&request)?;
                match newer().as_mut() {
                    Some(newer) => newer.amend(&path, host(&head), &request, told)?,
                    None => told,
                }
            }
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        if wrong == Some(Wrong::Answer) {
            return Ok(stream.sock.shutdown(Shutdown::Both)?);
        }
        if let Some(Wrong::Late(time)) = wrong {
            std::thread::sleep(time);
        }
        stream.write_all(&answer)?;
        finish(stream)
    }

    fn next(&self, path: &str) -> Option<Wrong> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter_mut().find(|rule| rule.times > 0 && path.starts_with(&rule.path))?;
        rule.times -= 1;
        Some(rule.wrong.clone())
    }

    /// What Pebble answers. It closes the connection after that, so the answer says the same of the other one.
    fn forward(&self, request: &[u8]) -> Result<Vec<u8>> {
        let mut stream = certificates::connect(&self.client, (Ipv4Addr::LOCALHOST, self.pebble).into())?;
        let at = request.windows(2).position(|bytes| bytes == b"\r\n").context("no request line")? + 2;
        let (first, rest) = request.split_at(at);
        stream.write_all(&[first, b"Connection: close\r\n", rest].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Whom a request was meant for.
fn host(head: &str) -> &str {
    let header = |line: &'_ str| -> Option<usize> { line.to_ascii_lowercase().starts_with("host:").then_some(5) };
    head.lines().find_map(|line| header(line).map(|at| line[at..].trim())).unwrap_or("localhost")
}

/// A request with its body.
fn read(stream: &mut impl std::io::Read) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(at) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
            if request.len() >= at + 4 + length {
                return Ok(request);
            }
        }
        let read = stream.read(&mut part)?;
        anyhow::ensure!(read > 0, "the client hung up");
        request.extend_from_slice(&part[..read]);
    }
}

fn finish(mut stream: StreamOwned<ServerConnection, TcpStream>) -> Result<()> {
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(stream.sock.shutdown(Shutdown::Write)?)
}
