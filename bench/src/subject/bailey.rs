//! Bailey, started as its users start it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::barbican::Client;
use super::{PATIENCE, PROJECTS, Server, Subject, wait};
use crate::exchange::Exchange;
use crate::http::Connection;
use crate::postgres::Postgres;
use crate::process::{Process, free_address};

/// How often its start is timed.
const STARTS: usize = 5;

/// An installation of Bailey, running or not: its folder, databases and configuration.
pub struct Installation {
    binary: PathBuf,
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    address: SocketAddr,
}

impl Installation {
    /// An installation named `name` under `folder`: on SQLite, or on two databases of `postgres`.
    pub fn new(binary: &Path, folder: &Path, name: &str, postgres: Option<&Postgres>) -> Result<Self> {
        let mut environment = Vec::new();
        if let Some(postgres) = postgres {
            environment.push(("BAILEY_DATABASE__URL", postgres.create(&format!("{name}_metadata"))?));
            environment.push(("BAILEY_VAULT__URL", postgres.create(&format!("{name}_vault"))?));
        }
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        Ok(Installation { binary: binary.to_owned(), folder, environment, address: free_address()? })
    }

    /// The same without the cache of ciphertexts.
    pub fn without_cache(mut self) -> Self {
        self.environment.push(("BAILEY_CACHE__CIPHERTEXT_BYTES", "0".into()));
        self
    }

    /// The same with these settings.
    pub fn with(mut self, settings: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.environment.extend(settings);
        self
    }

    /// The same with this configuration file: only that can say what there are several of.
    pub fn with_file(self, text: &str) -> Result<Self> {
        let file = self.folder.join("bailey.toml");
        fs::write(&file, text)?;
        Ok(self.with([("BAILEY_CONFIG", file.display().to_string())]))
    }

    /// Makes the keys of its store in a token, and waits until `process` can use them.
    pub async fn make_token_keys(&self, process: &mut Process) -> Result<()> {
        self.run(&["hsm", "generate"])?;
        wait(process, self.address, "/healthcheck", 200, Instant::now()).await.with_context(|| self.complaint())?;
        Ok(())
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&self) -> Result<Process> {
        let since = Instant::now();
        let mut process = self.spawn()?;
        wait(&mut process, self.address, "/", 300, since).await.with_context(|| self.complaint())?;
        Ok(process)
    }

    fn spawn(&self) -> Result<Process> {
        Process::start(&self.binary, &self.log(), |command| {
            command.envs(self.environment.iter().cloned());
            command.arg("serve").arg("--data-dir").arg(self.data()).args(["--listen", &self.address.to_string()]);
        })
    }

    /// A worker beside it, which does its work in a data folder of its own, with the same keys. It says on
    /// `health` whether it is ready.
    pub async fn start_worker(
        &self,
        name: &str,
        settings: impl IntoIterator<Item = (&'static str, String)>,
        health: SocketAddr,
    ) -> Result<Process> {
        let since = Instant::now();
        let mut process = Process::start(&self.binary, &self.log(), |command| {
            command.envs(self.environment.iter().cloned()).envs(settings);
            command.env("BAILEY_KEYS_DIR", self.data().join("keys")).env("BAILEY_METRICS__LISTEN", health.to_string());
            command.args(["worker", "--data-dir"]).arg(self.folder.join(name));
        })?;
        wait(&mut process, health, "/readyz", 200, since).await.with_context(|| self.complaint())?;
        Ok(process)
    }

    /// An API process that asks the workers on the same queue. It knows nothing of the installation.
    pub async fn start_api(
        &self,
        settings: impl IntoIterator<Item = (&'static str, String)>,
        address: SocketAddr,
    ) -> Result<Process> {
        let since = Instant::now();
        let mut process = Process::start(&self.binary, &self.log(), |command| {
            command.envs(settings).args(["api", "--listen", &address.to_string()]);
        })?;
        wait(&mut process, address, "/readyz", 200, since).await.with_context(|| self.complaint())?;
        Ok(process)
    }

    /// The files with the keys of its queue: the workers' and the API's.
    pub fn queue_keys(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("queue.key"), self.folder.join("queue-api.key"))
    }

    /// Makes the keys of its queue.
    pub fn make_queue_keys(&self) -> Result<()> {
        let (worker, api) = self.queue_keys();
        let mut command = Command::new(&self.binary);
        command.args(["queue", "keygen", "--data-dir"]).arg(self.data()).arg("--key-file").arg(&worker);
        let output = command.arg("--api-key-file").arg(&api).output()?;
        ensure!(output.status.success(), "queue keygen: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client with a token for each of `projects` projects.
    pub fn client(&self, projects: usize) -> Result<Client> {
        let tokens = (0..projects).map(|project| self.token(&format!("project-{project}"))).collect::<Result<_>>()?;
        Ok(Client { address: self.address, tokens })
    }

    fn token(&self, project: &str) -> Result<String> {
        let arguments = ["token", "create", "--project", project, "--user", "bench", "--role", "creator"];
        Ok(self.run(&arguments)?.trim().to_owned())
    }

    /// Runs an administrative command on it, and gives what that prints.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.envs(self.environment.iter().cloned()).args(arguments).arg("--data-dir").arg(self.data());
        let output = command.output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Times from start to the first right answer to `exchange`, each start after a stop.
    pub async fn time_starts(&self, exchange: &Exchange) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let since = Instant::now();
            let mut process = self.spawn()?;
            times.push(self.first_answer(&mut process, exchange, since).await?);
            process.stop();
        }
        Ok(times)
    }

    async fn first_answer(&self, process: &mut Process, exchange: &Exchange, since: Instant) -> Result<Duration> {
        let mut request = Vec::new();
        exchange.write(0, &mut request);
        while since.elapsed() < PATIENCE {
            process.check().with_context(|| self.complaint())?;
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.exchange(&request).await.is_ok_and(|answer| exchange.check(&answer).is_ok())
            {
                return Ok(since.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("no payload after {PATIENCE:?}: {}", self.complaint());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn complaint(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

/// A Bailey that keeps so many secrets, and how long its starts on the filled folder took.
pub async fn start(installation: &Installation, server: Server, secrets: usize) -> Result<(Subject, Vec<Duration>)> {
    let process = installation.start().await?;
    let client = installation.client(PROJECTS)?;
    let ids = client.fill(secrets).await?;
    process.stop();
    let starts = installation.time_starts(&client.read_payload(0, &ids[0])).await?;
    let process = installation.start().await?;
    let exchanges = client.exchanges(&ids);
    Ok((Subject { server, address: installation.address, process, exchanges }, starts))
}
