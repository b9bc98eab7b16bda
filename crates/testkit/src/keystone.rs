//! A private Keystone on a free port of 127.0.0.1, with a database of its own in SQLite.
//!
//! Start reading at [`Keystone::shared`]. What tests make in it, they make under names of their own.

mod api;
pub(crate) mod exchange;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use tempfile::TempDir;
use uuid::Uuid;

use crate::process::{self, Process};
use crate::{clients, ports};

pub use api::{ApplicationCredential, Scope, User};
use exchange::Answer;

const PATIENCE: Duration = Duration::from_secs(60);
const ADMIN_PASSWORD: &str = "the admin's password";

/// A running Keystone; stopped and removed when dropped.
#[derive(Debug)]
pub struct Keystone {
    server: Mutex<Option<Process>>,
    /// Ids of roles by their names.
    roles: Mutex<HashMap<String, String>>,
    admin: Mutex<Option<String>>,
    port: u16,
    environment: PathBuf,
    names: AtomicU32,
    folder: TempDir,
}

impl Keystone {
    /// Starts one whose tokens live for an hour.
    ///
    /// # Errors
    /// When its environment can't be made or it doesn't start.
    pub fn start() -> Result<Self> {
        Self::start_with_tokens_for(Duration::from_secs(3_600))
    }

    /// Starts one whose tokens live so long, in whole seconds.
    ///
    /// # Errors
    /// As [`Keystone::start`].
    pub fn start_with_tokens_for(life: Duration) -> Result<Self> {
        let keystone = Self {
            server: Mutex::new(None),
            roles: Mutex::default(),
            admin: Mutex::default(),
            port: ports::free(),
            environment: clients::environment("keystone")?,
            names: AtomicU32::new(0),
            folder: tempfile::Builder::new().prefix("bailey-keystone-").tempdir()?,
        };
        keystone.configure(life)?;
        keystone.manage(&["db_sync"])?;
        let (url, port) = (keystone.url(), keystone.port.to_string());
        let mut bootstrap = vec!["bootstrap", "--bootstrap-username", "admin", "--bootstrap-password", ADMIN_PASSWORD];
        bootstrap.extend(["--bootstrap-project-name", "admin", "--bootstrap-role-name", "admin"]);
        bootstrap.extend(["--bootstrap-service-name", "keystone", "--bootstrap-region-id", "RegionOne"]);
        for interface in ["--bootstrap-admin-url", "--bootstrap-public-url", "--bootstrap-internal-url"] {
            bootstrap.extend([interface, &url]);
        }
        keystone.manage(&bootstrap).with_context(|| format!("bootstrap on port {port}"))?;
        keystone.restart()?;
        keystone.create_project_named("service").with_context(|| keystone.log())?;
        Ok(keystone)
    }

    /// The one of this test program: started by the first who asks, stopped when the last drops it.
    ///
    /// # Errors
    /// As [`Keystone::start`].
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Keystone>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Where its API is, with the version.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v3", self.port)
    }

    /// Stops it: nobody listens on its port.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<()> {
        let stopped = lock(&self.server).take();
        stopped.map_or(Ok(()), |mut server| server.stop().map(drop))
    }

    /// Starts it again if it was stopped, on the same port with the same data.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        let mut server = process::command(self.environment.join("bin/uwsgi"));
        server.args(["--http-socket", &format!("127.0.0.1:{}", self.port), "--virtualenv"]).arg(&self.environment);
        server.args(["--module", "keystone.wsgi.api:application", "--master", "--die-on-term", "--need-app"]);
        // One thread each: with several, it now and then doesn't see what it has just written.
        server.args(["--lazy-apps", "--processes", "3"]);
        // It doesn't keep connections alive, and without this says that it does.
        server.args([
            "--socket-timeout",
            "60",
            "--buffer-size",
            "65535",
            "--add-header",
            "Connection: close",
            "--disable-logging",
        ]);
        server.env("OS_KEYSTONE_CONFIG_FILES", self.path("keystone.conf"));
        let log = fs::File::create(self.path("uwsgi.log"))?;
        server.current_dir(self.folder.path()).stdout(log.try_clone()?).stderr(log);
        *lock(&self.server) = Some(Process::start(server)?);
        process::until(PATIENCE, || {
            let Answer { status, .. } = exchange::ask(self.port, "GET", "/v3", &[], None)?;
            ensure!(status == 200, "{status}");
            Ok(())
        })
        .with_context(|| self.log())
    }

    /// What it and its server wrote to their logs.
    #[must_use]
    pub fn log(&self) -> String {
        ["uwsgi.log", "keystone.log"].map(|file| fs::read_to_string(self.path(file)).unwrap_or_default()).concat()
    }

    /// A name that nothing in it has yet.
    #[must_use]
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn configure(&self, life: Duration) -> Result<()> {
        let folder = self.folder.path().display();
        let settings = format!(
            "[DEFAULT]\nlog_file = {folder}/keystone.log\n[database]\nconnection = sqlite:///{folder}/keystone.db\n\
             [token]\nprovider = fernet\nexpiration = {}\n[fernet_tokens]\nkey_repository = {folder}/tokens\n\
             [fernet_receipts]\nkey_repository = {folder}/receipts\n[credential]\nkey_repository = {folder}/credentials\n\
             [identity]\npassword_hash_algorithm = bcrypt\npassword_hash_rounds = 4\n\
             [oslo_policy]\nenforce_scope = True\nenforce_new_defaults = True\n",
            life.as_secs()
        );
        fs::write(self.path("keystone.conf"), settings)?;
        // What `fernet_setup` and `credential_setup` would make, each in its two seconds.
        for repository in ["tokens", "receipts", "credentials"] {
            let repository = self.path(repository);
            fs::create_dir(&repository)?;
            fs::set_permissions(&repository, fs::Permissions::from_mode(0o700))?;
            for file in ["0", "1"] {
                let key = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
                fs::write(repository.join(file), base64::engine::general_purpose::URL_SAFE.encode(key))?;
            }
        }
        Ok(())
    }

    fn manage(&self, arguments: &[&str]) -> Result<()> {
        let mut manage = Command::new(self.environment.join("bin/keystone-manage"));
        manage.arg("--config-file").arg(self.path("keystone.conf")).args(arguments);
        process::run(manage.current_dir(self.folder.path()).stdin(Stdio::null())).map(drop)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
