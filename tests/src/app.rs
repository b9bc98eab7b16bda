//! A running Bailey: the built binary with a data folder of its own.

mod builder;
mod node;
mod split;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_testkit::postgres::Postgres;
use bailey_testkit::process;
use tempfile::TempDir;

use crate::http::Client;

use split::Split;

pub use builder::{Builder, Database};
pub use node::{Node, Role};
pub use store::{Store, Token, kmip_block};

/// A configuration with two stores; `first` is the default.
pub const TWO_STORES: &str = r#"
    [[stores]]
    name = "first"
    kind = "simple"
    default = true
    [[stores]]
    name = "second"
    kind = "simple"
"#;

/// A Bailey; stopped and removed when dropped.
#[derive(Debug)]
pub struct TestApp {
    /// What it is made of, in the order in which they are started; the last one serves the API.
    nodes: Vec<Node>,
    address: SocketAddr,
    tokens: bool,
    database: Database,
    settings: Vec<(String, String)>,
    projects: AtomicU32,
    postgres: Option<Arc<Postgres>>,
    split: Option<Split>,
    token: Option<Arc<Token>>,
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

    /// How another one is started that works beside this one: on the same databases, with the same keys and
    /// settings. Two can't work on SQLite's files.
    #[must_use]
    pub fn beside(&self) -> Builder {
        Builder::beside(self)
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
        let mut command = node::bailey(self.folder.path(), &self.settings);
        command.args(arguments);
        command
    }

    /// `bailey serve` as [`TestApp::restart`] starts it.
    #[must_use]
    pub fn serve_command(&self) -> Command {
        self.front().command()
    }

    /// Starts it, after stopping it if it runs, and waits until its health is good.
    ///
    /// # Errors
    /// When it isn't in time; the error carries its log.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.nodes.iter().try_for_each(Node::restart)
    }

    /// Makes the keys of its store in the token. Whatever works there has to have been started once.
    fn make_token_keys(&self) -> Result<()> {
        self.launch()?;
        process::until(Duration::from_secs(60), || self.admin(&["hsm", "generate"]))?;
        self.stop()?;
        Ok(())
    }

    /// Starts it, after stopping it if it runs, and waits until it answers anything.
    ///
    /// # Errors
    /// When it doesn't in time; the error carries its log.
    pub fn launch(&self) -> Result<()> {
        self.stop()?;
        self.nodes.iter().try_for_each(Node::launch)
    }

    /// Stops it by SIGTERM and tells how the process that serves the API ended; does nothing if it doesn't run.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<Option<ExitStatus>> {
        let statuses: Result<Vec<_>> = self.nodes.iter().rev().map(Node::stop).collect();
        Ok(statuses?[0])
    }

    /// Ends it by SIGKILL.
    pub fn kill(&self) {
        self.nodes.iter().for_each(Node::kill);
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
        self.nodes.iter().try_for_each(|node| node.signal(signal))
    }

    /// The id of the process that serves the API.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.front().pid()
    }

    /// The processes that it is made of, in the order in which they are started; the last one serves the API.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        process::resident_bytes(self.pid()).expect("memory of a running server")
    }

    /// The name of the store that payloads go to, unless a configuration file has it otherwise.
    #[must_use]
    pub fn store_name(&self) -> &'static str {
        self.token.as_ref().map_or("simple", |token| token.store_name())
    }

    /// The token that its keys are in.
    ///
    /// # Panics
    /// When they are in a file.
    #[must_use]
    pub fn token_of_store(&self) -> &Token {
        self.token.as_deref().expect("a store with its keys in a token")
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
        self.front().log()
    }

    /// What it wrote to stdout since it was first started.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.front().stdout()
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
        self.url(builder::DATABASE_URL, "metadata.db")
    }

    /// URL of the vault.
    #[must_use]
    pub fn vault_url(&self) -> String {
        self.url(builder::VAULT_URL, "vault.db")
    }

    fn url(&self, name: &str, file: &str) -> String {
        let setting = self.settings.iter().rfind(|(present, _)| present == name);
        setting.map_or_else(|| format!("sqlite://{}", self.data_dir().join(file).display()), |(_, url)| url.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    /// The process that serves the API.
    fn front(&self) -> &Node {
        self.nodes.last().expect("a Bailey has a process")
    }
}
