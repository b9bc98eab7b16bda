//! A private NATS server on a free port of 127.0.0.1, with TLS, logins and permissions, and somebody on it who
//! sees everything.

mod certificates;
mod spy;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::ports;
use crate::process::{self, Process};

pub use spy::{Seen, Spy};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the names of the subjects begin with that users may use.
pub const SUBJECT: &str = "bailey";
/// The password of each user, who is called as in [`User`].
pub const PASSWORD: &str = "nats-password-canary";
/// An nkey that may do what [`User::Api`] may, and its seed.
const NKEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
/// The seed of an nkey that may do what [`User::Api`] may.
pub const NKEY_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

/// Who may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// May ask, and hear what is answered.
    Api,
    /// May hear what is asked, and answer.
    Worker,
    /// May do everything.
    Operator,
}

impl User {
    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Operator => "operator",
        }
    }
}

/// A running server; stopped and removed when dropped.
#[derive(Debug)]
pub struct Nats {
    server: Mutex<Option<Process>>,
    port: u16,
    folder: TempDir,
}

impl Nats {
    /// Starts a server that wants TLS, a client's certificate and a login.
    ///
    /// # Errors
    /// When NATS isn't installed or doesn't start.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// Starts a server with more lines of configuration.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub fn start_with(settings: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bailey-nats-").tempdir()?;
        let nats = Self { server: Mutex::new(None), port: ports::free(), folder };
        certificates::write(nats.folder.path())?;
        std::fs::write(nats.file("nats.conf"), nats.configuration(settings))?;
        nats.restart()?;
        Ok(nats)
    }

    fn configuration(&self, settings: &str) -> String {
        let file = |name| self.file(name).display().to_string();
        let (requests, replies) = (format!("{SUBJECT}.requests"), format!("{SUBJECT}.replies.>"));
        let api = format!("permissions: {{publish: [\"{requests}\"], subscribe: [\"{replies}\"]}}");
        let worker = format!("permissions: {{publish: [\"{replies}\"], subscribe: [\"{requests}\"]}}");
        format!(
            "listen: \"127.0.0.1:{port}\"\n\
             tls {{cert_file: \"{certificate}\", key_file: \"{key}\", ca_file: \"{ca}\", verify: true, timeout: 10}}\n\
             authorization {{timeout: 10, users: [\n\
             {{user: api, password: \"{PASSWORD}\", {api}}}\n\
             {{nkey: {NKEY}, {api}}}\n\
             {{user: worker, password: \"{PASSWORD}\", {worker}}}\n\
             {{user: operator, password: \"{PASSWORD}\"}}\n\
             ]}}\n\
             {settings}\n",
            port = self.port,
            certificate = file("server.pem"),
            key = file("server.key"),
            ca = file("ca.pem"),
        )
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.port)
    }

    /// The certificate of the authority that vouches for the server and for clients.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A client's certificate.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// The private key of a client's certificate.
    #[must_use]
    pub fn private_key_file(&self) -> PathBuf {
        self.file("client.key")
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Process::pid)
    }

    /// Stops the server: clients are cut off.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<()> {
        let stopped = self.lock().take();
        stopped.map_or(Ok(()), |mut server| server.stop().map(drop))
    }

    /// Kills the server at once, as a crash would.
    pub fn kill(&self) {
        if let Some(mut server) = self.lock().take() {
            server.kill();
        }
    }

    /// Starts the server again, on the same port.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        let mut server = process::command(program()?);
        server.arg("-c").arg(self.file("nats.conf")).current_dir(self.folder.path());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.file("server.log"))?;
        server.stdout(Stdio::null()).stderr(log);
        *self.lock() = Some(Process::start(server)?);
        process::until(PATIENCE, || Ok(std::net::TcpStream::connect(("127.0.0.1", self.port))?))
            .with_context(|| self.log())?;
        Ok(())
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("server.log")).unwrap_or_default()
    }

    /// Somebody who sees all that goes over the server, and can send what nobody has sent.
    ///
    /// # Errors
    /// When the server is down.
    pub async fn spy(&self) -> Result<Spy> {
        Spy::connect(self).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Debian's server isn't on everybody's PATH.
fn program() -> Result<&'static Path> {
    let places = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server", "/usr/bin/nats-server"];
    let found = places.into_iter().map(Path::new).find(|place| place.is_file());
    found.context("nats-server is not installed: run scripts/install-test-needs")
}
