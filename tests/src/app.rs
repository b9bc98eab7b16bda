//! A running Bailey: the built binary with a data folder of its own.

mod builder;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bailey_testkit::postgres::Postgres;
use bailey_testkit::process::Process;
use bailey_testkit::{binary, process};
use tempfile::TempDir;

use crate::http::Client;

pub use builder::{Builder, Database};

const PATIENCE: Duration = Duration::from_secs(30);

/// A Bailey; stopped and removed when dropped.
#[derive(Debug)]
pub struct TestApp {
    server: Mutex<Option<Process>>,
    address: SocketAddr,
    tokens: bool,
    database: Database,
    settings: Vec<(String, String)>,
    projects: AtomicU32,
    postgres: Option<Arc<Postgres>>,
    folder: TempDir,
}

impl TestApp {
    /// Starts with the defaults on `database`, in no-auth mode.
    #[must_use]
    pub fn builder(database: Database) -> Builder {
        Builder::new(database)
    }

    /// Starts with the defaults on `database`, unless `BAILEY_TEST_ADDRESS` names a server in
    /// no-auth mode that already runs: any implementation of the API can be asked the same.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn shared(database: Database) -> Result<Self> {
        let builder = Self::builder(database);
        match std::env::var("BAILEY_TEST_ADDRESS") {
            Ok(address) => {
                let mut app = builder.prepare()?;
                app.address = address.parse()?;
                Ok(app)
            }
            Err(_) => builder.start(),
        }
    }

    /// A client of a project that nobody else uses, with the role `admin`.
    ///
    /// # Panics
    /// When no token can be made.
    #[must_use]
    pub fn client(&self) -> Client {
        let number = self.projects.fetch_add(1, Ordering::Relaxed);
        let project = format!("project-{}-{number}", std::process::id());
        self.client_of(&project, "tester", &["admin"])
    }

    /// A client with this identity.
    ///
    /// # Panics
    /// When no token can be made.
    #[must_use]
    pub fn client_of(&self, project: &str, user: &str, roles: &[&str]) -> Client {
        let client = self.anonymous();
        if self.tokens {
            client.with("X-Auth-Token", &self.token(project, user, roles).expect("a token"))
        } else {
            client.with("X-Project-Id", project).with("X-User-Id", user).with("X-Roles", &roles.join(","))
        }
    }

    /// A client that says nothing of itself.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::anonymous(self.address)
    }

    /// Makes a token by `bailey token create`.
    ///
    /// # Errors
    /// When the command fails.
    pub fn token(&self, project: &str, user: &str, roles: &[&str]) -> Result<String> {
        let mut arguments = vec!["token", "create", "--project", project, "--user", user];
        arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
        Ok(self.admin(&arguments)?.trim().to_owned())
    }

    /// Runs an administrative command beside the server and returns what it printed.
    ///
    /// # Errors
    /// When it fails; the error carries what it wrote to stderr.
    pub fn admin(&self, arguments: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.command(arguments).output()?;
        ensure!(status.success(), "bailey {arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8(stdout)?)
    }

    /// The binary with these arguments, this folder and these databases, and nothing else of the
    /// environment.
    ///
    /// # Panics
    /// When the binary is missing.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = binary::bailey().unwrap_or_else(|error| panic!("{error}"));
        let mut command = process::command(binary);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.envs(self.settings.iter().map(|(name, value)| (name, value))).args(arguments);
        command
    }

    /// `bailey serve` as [`TestApp::restart`] starts it.
    #[must_use]
    pub fn serve_command(&self) -> Command {
        let address = self.address.to_string();
        let mut arguments = vec!["serve", "--listen", &address];
        if !self.tokens {
            arguments.extend(["--auth", "none-for-development"]);
        }
        self.command(&arguments)
    }

    /// Starts it, after stopping it if it runs, and waits until its health is good.
    ///
    /// # Errors
    /// When it isn't in time; the error carries its log.
    pub fn restart(&self) -> Result<()> {
        self.launch()?;
        let health = self.anonymous().get("/healthcheck");
        process::until(PATIENCE, || {
            let answer = health.try_send()?;
            ensure!(answer.status == 200, "{answer}");
            Ok(())
        })
        .with_context(|| self.log())
    }

    /// Starts it, after stopping it if it runs, and waits until it answers anything.
    ///
    /// # Errors
    /// When it doesn't in time; the error carries its log.
    pub fn launch(&self) -> Result<()> {
        self.stop()?;
        let mut command = self.serve_command();
        command.stdout(self.appending("stdout")?).stderr(self.appending("log")?);
        let mut server = Process::start(command)?;
        let versions = self.anonymous().get("/");
        process::until(PATIENCE, || {
            // A server that ended won't answer any more: no use in waiting.
            Ok(server.is_running().then(|| versions.try_send()).transpose()?)
        })?
        .with_context(|| format!("bailey serve ended: {}", self.log()))?;
        *self.lock() = Some(server);
        Ok(())
    }

    /// Stops it by SIGTERM; does nothing if it doesn't run.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<Option<ExitStatus>> {
        let server = self.lock().take();
        server.map(|mut server| server.stop()).transpose()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&self) {
        if let Some(mut server) = self.lock().take() {
            server.kill();
        }
    }

    /// Replaces the configuration file that it was built with; read at the next start.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write_file(&self, text: &str) {
        std::fs::write(self.path("bailey.toml"), text).expect("a configuration file");
    }

    /// Sends a signal to it.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        self.lock().as_ref().context("not running")?.signal(signal)
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.lock().as_ref().expect("a running server").pid()
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        process::resident_bytes(self.pid()).expect("memory of a running server")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which database it uses.
    #[must_use]
    pub fn database(&self) -> Database {
        self.database
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it wrote to stderr since it was first started.
    #[must_use]
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// What it wrote to stdout since it was first started.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// The PostgreSQL server that holds its databases.
    ///
    /// # Panics
    /// When it uses SQLite.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().expect("a Bailey on PostgreSQL")
    }

    /// URL of the metadata database.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.url("BAILEY_DATABASE__URL", "metadata.db")
    }

    /// URL of the vault.
    #[must_use]
    pub fn vault_url(&self) -> String {
        self.url("BAILEY_VAULT__URL", "vault.db")
    }

    fn url(&self, name: &str, file: &str) -> String {
        let setting = self.settings.iter().find(|(present, _)| present == name);
        setting.map_or_else(|| format!("sqlite://{}", self.data_dir().join(file).display()), |(_, url)| url.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    fn appending(&self, name: &str) -> Result<Stdio> {
        Ok(std::fs::File::options().create(true).append(true).open(self.path(name))?.into())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
