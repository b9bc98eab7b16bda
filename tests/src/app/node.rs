//! One process of a Bailey.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bailey_testkit::binary;
use bailey_testkit::process::{self, Process};
use nix::sys::signal::Signal;

use crate::http::Client;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a process is for, as its command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Serve,
    /// Serving the API.
    Api,
    /// Working.
    Worker,
}

/// A process that can be stopped, killed and started again; stopped when dropped.
#[derive(Debug)]
pub struct Node {
    role: Role,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    /// Where the API is served; a worker has its probes there.
    address: SocketAddr,
    /// Where its output goes.
    folder: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Node {
    /// A process that doesn't run yet. `folder` is where its output is appended to.
    #[must_use]
    pub fn new(
        role: Role,
        arguments: &[&str],
        variables: Vec<(String, String)>,
        address: SocketAddr,
        folder: &Path,
    ) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { role, arguments, variables, address, folder: folder.to_owned(), process: Mutex::new(None) }
    }

    /// The same with another setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &Path) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.display().to_string()));
        self
    }

    /// What it is for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The command that starts it.
    ///
    /// # Panics
    /// When the binary is missing.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = bailey(&self.folder, &self.variables);
        command.args(&self.arguments);
        command
    }

    /// Starts it, after stopping it if it runs, and waits until its health is good.
    ///
    /// # Errors
    /// When it isn't in time; the error carries its log.
    pub fn restart(&self) -> Result<()> {
        self.launch()?;
        self.wait_for(match self.role {
            Role::Serve | Role::Api => "/healthcheck",
            Role::Worker => "/readyz",
        })
    }

    /// Starts it, after stopping it if it runs, and waits until it answers anything.
    ///
    /// # Errors
    /// When it doesn't in time; the error carries its log.
    pub fn launch(&self) -> Result<()> {
        self.stop()?;
        let mut command = self.command();
        command.stdout(self.appending("stdout")?).stderr(self.appending("log")?);
        let process = Process::start(command)?;
        let life = Client::anonymous(self.address).get("/livez");
        *self.lock() = Some(process);
        self.until(|| life.try_send().map(drop).map_err(Into::into))
    }

    /// Waits until it answers 200 there.
    fn wait_for(&self, path: &str) -> Result<()> {
        let health = Client::anonymous(self.address).get(path);
        self.until(|| {
            let answer = health.try_send()?;
            ensure!(answer.status == 200, "{answer}");
            Ok(())
        })
    }

    /// Tries until it succeeds, or there is no use in it, because the process has ended.
    fn until(&self, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
        let attempt = || self.is_running().then(&mut attempt).transpose();
        let done = process::until(PATIENCE, attempt).with_context(|| self.log())?;
        done.with_context(|| format!("{:?} ended: {}", self.arguments, self.log()))
    }

    fn is_running(&self) -> bool {
        self.lock().as_mut().is_some_and(Process::is_running)
    }

    /// Stops it by SIGTERM; does nothing if it doesn't run.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<Option<ExitStatus>> {
        let process = self.lock().take();
        process.map(|mut process| process.stop()).transpose()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&self) {
        if let Some(mut process) = self.lock().take() {
            process.kill();
        }
    }

    /// Sends a signal to it.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.lock().as_ref().context("not running")?.signal(signal)
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.lock().as_ref().expect("a running process").pid()
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it wrote to stderr since it was first started, and whoever else writes there.
    #[must_use]
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// What it wrote to stdout since it was first started, and whoever else writes there.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join(name)).unwrap_or_default()).into_owned()
    }

    fn appending(&self, name: &str) -> Result<Stdio> {
        Ok(std::fs::File::options().create(true).append(true).open(self.folder.join(name))?.into())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The binary with these variables, and nothing else of the environment.
///
/// # Panics
/// When the binary is missing.
pub(super) fn bailey(home: &Path, variables: &[(String, String)]) -> Command {
    let binary = binary::bailey().unwrap_or_else(|error| panic!("{error}"));
    let mut command = process::command(binary);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}
