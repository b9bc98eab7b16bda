//! A private Pebble, the ACME server for tests, on free ports of 127.0.0.1, and a DNS that knows every name.
//!
//! Start reading at [`Pebble::start`]. What stands before it and goes wrong when told to is a [`Gate`]; what answers
//! `http-01` as Bailey does is a [`Responder`].

mod gate;
mod newer;
mod responder;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tempfile::TempDir;

use crate::certificates::{self, Authority};
use crate::keystone::exchange;
use crate::ports;
use crate::process::{self, Process};

pub use gate::{Gate, Wrong};
pub use responder::Responder;

const PATIENCE: Duration = Duration::from_secs(30);

/// The id of the account elsewhere that [`Settings::external_account`] asks for.
pub const EXTERNAL_ID: &str = "kid-1";
/// Its key.
pub const EXTERNAL_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// How a Pebble behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many of a hundred nonces it doesn't like.
    pub bad_nonces: u8,
    /// The most seconds that it takes its time for before it looks at a proof.
    pub delay_seconds: u8,
    /// Whether new accounts must be bound to one elsewhere.
    pub external_account: bool,
    /// How many more roots vouch for what it issues.
    pub alternate_roots: u8,
    /// How many orders there are on a page of an account's list.
    pub orders_per_page: u8,
    /// The port that it asks for proofs of the sort `http-01`; a free one, if there is none.
    pub http_port: Option<u16>,
    /// The DNS that it asks; its own one, which [`Pebble::set_txt`] writes to, if there is none.
    pub dns: Option<SocketAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bad_nonces: 15,
            delay_seconds: 1,
            external_account: false,
            alternate_roots: 0,
            orders_per_page: 3,
            http_port: None,
            dns: None,
        }
    }
}

/// A running Pebble; stopped and removed when dropped.
pub struct Pebble {
    server: Mutex<Option<Process>>,
    _names: Process,
    settings: Settings,
    ports: Ports,
    authority: Authority,
    folder: TempDir,
}

struct Ports {
    acme: u16,
    management: u16,
    http: u16,
    tls: u16,
    dns: u16,
    names: u16,
}

impl Pebble {
    /// Starts one with a DNS in which every name is 127.0.0.1.
    ///
    /// # Errors
    /// When Pebble isn't installed or doesn't start.
    pub fn start(settings: Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bailey-pebble-").tempdir()?;
        let authority = Authority::new("authority of a test")?;
        std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
        authority.issue("pebble")?.write(folder.path())?;
        let free = ports::free;
        let http = settings.http_port.unwrap_or_else(free);
        let ports = Ports { acme: free(), management: free(), http, tls: free(), dns: free(), names: free() };
        let mut names = process::command(program("pebble-challtestsrv")?);
        names.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.arg("-dns01").arg(format!("127.0.0.1:{}", ports.dns));
        names.arg("-management").arg(format!("127.0.0.1:{}", ports.names));
        names.stdout(Stdio::null()).stderr(Stdio::null());
        let names = Process::start(names)?;
        let pebble = Self { server: Mutex::new(None), _names: names, settings, ports, authority, folder };
        let reached = |port| process::until(PATIENCE, || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?));
        reached(pebble.ports.names).context("pebble-challtestsrv")?;
        pebble.restart()?;
        Ok(pebble)
    }

    /// Stops the server: clients are cut off, and it forgets everything.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<()> {
        let stopped = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        stopped.map_or(Ok(()), |mut server| server.stop().map(drop))
    }

    /// Starts the server anew, on the same ports and with nothing in its memory.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        let keys = if self.settings.external_account { json!({EXTERNAL_ID: EXTERNAL_KEY}) } else { json!({}) };
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.ports.acme),
            "managementListenAddress": format!("127.0.0.1:{}", self.ports.management),
            "certificate": self.file("certificate.pem"),
            "privateKey": self.file("key.pem"),
            "httpPort": self.ports.http,
            "tlsPort": self.ports.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self.settings.external_account,
            "externalAccountMACKeys": keys,
        }});
        std::fs::write(self.file("pebble.json"), config.to_string())?;
        let log = std::fs::File::create(self.file("pebble.log"))?;
        let mut server = process::command(program("pebble")?);
        let dns = self.settings.dns.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.dns)));
        server.arg("-config").arg(self.file("pebble.json")).args(["-dnsserver", &dns.to_string(), "-strict"]);
        server.env("PEBBLE_WFE_NONCEREJECT", self.settings.bad_nonces.to_string());
        server.env("PEBBLE_ALTERNATE_ROOTS", self.settings.alternate_roots.to_string());
        server.env("PEBBLE_WFE_ORDERS_PER_PAGE", self.settings.orders_per_page.to_string());
        // Proofs are asked for each time: what is found valid from before would be no test of them.
        server.env("PEBBLE_AUTHZREUSE", "0");
        match self.settings.delay_seconds {
            0 => server.env("PEBBLE_VA_NOSLEEP", "1"),
            seconds => server.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        server.stdout(log.try_clone()?).stderr(log);
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(Process::start(server)?);
        process::until(PATIENCE, || self.read("/roots/0")).with_context(|| self.log())?;
        Ok(())
    }

    /// Where its directory is.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.ports.acme)
    }

    /// The certificate of the authority that vouches for the server itself.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// Where it asks for proofs of the sort `http-01`.
    #[must_use]
    pub const fn http_port(&self) -> u16 {
        self.ports.http
    }

    /// One of the roots that vouch for what it issues; DER.
    ///
    /// # Errors
    /// When it is down.
    pub fn root(&self, number: u8) -> Result<Vec<u8>> {
        let pem = self.read(&format!("/roots/{number}"))?;
        Ok(CertificateDer::from_pem_slice(&pem)?.to_vec())
    }

    /// Whether it has revoked the certificate with this serial number, in hex.
    ///
    /// # Errors
    /// When it is down, or has issued no such certificate.
    pub fn has_revoked(&self, serial: &str) -> Result<bool> {
        let status: serde_json::Value =
            serde_json::from_slice(&self.read(&format!("/cert-status-by-serial/{serial}"))?)?;
        Ok(status["Status"] == "Revoked")
    }

    /// How many orders it was asked for since it started.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.count("Added order ")
    }

    /// How many certificates it issued since it started.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.count("Issued certificate serial ")
    }

    /// How many accounts it has made since it started.
    #[must_use]
    pub fn accounts(&self) -> u64 {
        self.count(" accounts in memory")
    }

    /// Makes a TXT record, the only one of its name.
    ///
    /// # Errors
    /// When the DNS is down.
    pub fn set_txt(&self, name: &str, value: &str) -> Result<()> {
        self.tell("/set-txt", &json!({"host": format!("{name}."), "value": value}))
    }

    /// Takes the TXT records of a name away.
    ///
    /// # Errors
    /// When the DNS is down.
    pub fn clear_txt(&self, name: &str) -> Result<()> {
        self.tell("/clear-txt", &json!({"host": format!("{name}.")}))
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("pebble.log")).unwrap_or_default()
    }

    fn count(&self, what: &str) -> u64 {
        self.log().matches(what).count() as u64
    }

    fn tell(&self, target: &str, body: &serde_json::Value) -> Result<()> {
        let answer = exchange::ask(self.ports.names, "POST", target, &[], Some(body))?;
        ensure!(answer.status == 200, "the DNS answers {}: {}", answer.status, answer.body);
        Ok(())
    }

    /// Reads what the server tells whoever runs it.
    fn read(&self, target: &str) -> Result<Vec<u8>> {
        let client = self.authority.client(None, rustls::DEFAULT_VERSIONS, &[])?;
        let mut stream = certificates::connect(&client, (Ipv4Addr::LOCALHOST, self.ports.management).into())?;
        let request = format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no answer")?;
        ensure!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer));
        Ok(answer.split_off(at + 4))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn program(name: &str) -> Result<PathBuf> {
    let found = ["/usr/bin", "/usr/local/bin"].into_iter().map(|folder| Path::new(folder).join(name));
    let found = found.into_iter().find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed: run scripts/install-test-needs"))
}
