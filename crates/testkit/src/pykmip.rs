//! A private PyKMIP, a KMIP server, on a free port of 127.0.0.1.
//!
//! It shows its objects to whoever registered them only, whom it knows by the common name of their certificate.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::version::TLS12;
use tempfile::TempDir;

use crate::certificates::{self, Authority, Identity};
use crate::process::{self, Process};
use crate::{clients, ports};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const SHORT: Duration = Duration::from_secs(1);

/// A running PyKMIP; stopped and removed when dropped.
pub struct PyKmip {
    server: Mutex<Option<Process>>,
    port: u16,
    environment: PathBuf,
    authority: Authority,
    clients: Mutex<HashMap<String, Client>>,
    folder: TempDir,
}

impl Drop for PyKmip {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

impl fmt::Debug for PyKmip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyKmip").field("port", &self.port).finish_non_exhaustive()
    }
}

/// What a client shows to it, and by what it knows it.
#[derive(Debug, Clone)]
pub struct Client {
    /// The authority of the server's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl PyKmip {
    /// Starts one.
    ///
    /// # Errors
    /// When its environment can't be made or it doesn't start.
    pub fn start() -> Result<Self> {
        let server = Self {
            server: Mutex::new(None),
            port: ports::free(),
            environment: clients::environment("pykmip")?,
            authority: Authority::new("PyKMIP's authority")?,
            clients: Mutex::default(),
            folder: tempfile::Builder::new().prefix("bailey-pykmip-").tempdir()?,
        };
        server.configure()?;
        server.restart()?;
        Ok(server)
    }

    /// The one of this test program: started by the first who asks, stopped when the last drops it.
    ///
    /// # Errors
    /// As [`PyKmip::start`].
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<PyKmip>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Who issued its certificate, and issues those of its clients.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The client with this common name, the same whenever it is asked for.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn client(&self, name: &str) -> Result<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(name) {
            return Ok(client.clone());
        }
        let client = self.client_with(name, &self.authority.issue(name)?)?;
        clients.insert(name.to_owned(), client.clone());
        Ok(client)
    }

    /// A client that shows `identity`, in files under this name.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn client_with(&self, name: &str, identity: &Identity) -> Result<Client> {
        let folder = self.path("clients").join(name);
        fs::create_dir_all(&folder)?;
        let [certificate, key] = identity.write(&folder)?;
        Ok(Client { ca: self.path("ca.pem"), certificate, key })
    }

    /// A connection as the client with this common name, on which nothing was asked yet.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn connect(&self, name: &str) -> Result<impl Read + Write + Send + use<>> {
        let client = self.authority.client(Some(&self.authority.issue(name)?), &[&TLS12], &[])?;
        Ok(certificates::connect(&client, (Ipv4Addr::LOCALHOST, self.port).into())?)
    }

    /// The database in which it keeps its objects, in SQLite.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path("pykmip.db")
    }

    /// Has it forget all its objects: whatever it is asked to locate, it looks at each of them.
    ///
    /// # Errors
    /// When its database can't be changed.
    pub fn forget(&self) -> Result<()> {
        let sqlite = |query: &str| {
            let mut sqlite = Command::new("sqlite3");
            process::run(sqlite.args(["-cmd", ".timeout 10000"]).arg(self.database()).arg(query))
        };
        let tables = String::from_utf8(sqlite("SELECT name FROM sqlite_master WHERE type = 'table'")?)?;
        let delete: String = tables.lines().map(|table| format!("DELETE FROM {table};")).collect();
        sqlite(&format!("BEGIN; {delete} COMMIT")).map(drop)
    }

    /// Stops it: nobody listens on its port.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn stop(&self) -> Result<()> {
        let Some(mut server) = self.lock().take() else { return Ok(()) };
        // It waits for clients to end their connections, ten seconds for each.
        let children = children(server.pid());
        server.signal(Signal::SIGCONT)?;
        server.signal(Signal::SIGTERM)?;
        if server.wait(SHORT).is_err() {
            for child in children {
                let _gone = kill(Pid::from_raw(child), Signal::SIGKILL);
            }
            server.kill();
        }
        Ok(())
    }

    /// Suspends it: connections are there, and nobody answers on them. Ends with [`resume`](Self::resume).
    ///
    /// # Errors
    /// When it isn't running.
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// When it isn't running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Starts it again if it was stopped, on the same port with the same objects.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        let mut server = process::command(self.environment.join("bin/pykmip-server"));
        server.arg("-f").arg(self.path("server.conf")).arg("-l").arg(self.path("server.log"));
        let output = fs::File::create(self.path("output.log"))?;
        server.current_dir(self.folder.path()).stdout(output.try_clone()?).stderr(output);
        *self.lock() = Some(Process::start(server)?);
        let is_listening = || {
            std::net::TcpStream::connect(self.address())?;
            let running = self.lock().as_mut().is_some_and(Process::is_running);
            ensure!(running, "it ended");
            Ok(())
        };
        process::until(PATIENCE, is_listening).with_context(|| self.log())
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        ["output.log", "server.log"].map(|file| fs::read_to_string(self.path(file)).unwrap_or_default()).concat()
    }

    fn configure(&self) -> Result<()> {
        let identity = self.authority.issue("PyKMIP")?;
        let [certificate, key] = identity.write(self.folder.path())?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let (ca, policies) = (self.path("ca.pem"), self.path("policies"));
        fs::write(&ca, self.authority.pem())?;
        fs::create_dir(&policies)?;
        let shown = |path: &Path| path.display().to_string();
        let lines = [
            "[server]".to_owned(),
            "hostname=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("certificate_path={}", shown(&certificate)),
            format!("key_path={}", shown(&key)),
            format!("ca_path={}", shown(&ca)),
            "auth_suite=TLS1.2".to_owned(),
            format!("policy_path={}", shown(&policies)),
            "enable_tls_client_auth=True".to_owned(),
            // Less would leave out why it refuses; more would be a line for each object that a Locate looks at.
            "logging_level=INFO".to_owned(),
            format!("database_path={}", shown(&self.database())),
        ];
        Ok(fs::write(self.path("server.conf"), lines.join("\n") + "\n")?)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.lock().as_ref().context("it isn't running")?.signal(signal)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
