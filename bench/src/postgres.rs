//! A private PostgreSQL for the time of a run, as a plain installation has it: durable commits and
//! default sizes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User, chown};

use crate::process::{Process, free_address};

/// The user a cluster is run as where we are root, whom PostgreSQL refuses.
const SYSTEM_USER: &str = "postgres";
const SUPERUSER: &str = "bench";
/// Every server measured has its own pools.
const CONNECTIONS: &str = "max_connections=300";

/// A running cluster.
pub struct Postgres {
    binaries: PathBuf,
    address: SocketAddr,
    process: Process,
}

impl Postgres {
    /// Makes a cluster in `folder` and starts it.
    pub async fn start(folder: &Path) -> Result<Self> {
        let binaries = binaries()?;
        let data = folder.join("postgres");
        fs::create_dir(&data)?;
        if let Some(user) = system_user()? {
            chown(&data, Some(user.uid), Some(user.gid))?;
        }
        let mut initdb = unprivileged();
        initdb.arg(binaries.join("initdb")).args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        initdb.args(["--username", SUPERUSER, "--pgdata"]).arg(&data);
        run(&mut initdb)?;
        let address = free_address()?;
        let log = folder.join("postgres.log");
        let process = Process::spawn(unprivileged(), &binaries.join("postgres"), &log, Signal::SIGINT, |command| {
            command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
            command.args(["-c", CONNECTIONS, "-c", "unix_socket_directories="]);
        })?;
        let mut postgres = Postgres { binaries, address, process };
        postgres.wait().await?;
        Ok(postgres)
    }

    async fn wait(&mut self) -> Result<()> {
        for _ in 0..200 {
            self.process.check()?;
            if self.client("pg_isready").arg("--quiet").status()?.success() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("PostgreSQL doesn't answer");
    }

    /// Creates a database and gives its URL.
    pub fn create(&self, name: &str) -> Result<String> {
        run(self.client("createdb").arg(name))?;
        Ok(format!("postgres://{SUPERUSER}@{}/{name}", self.address))
    }

    /// The processor time it used.
    pub fn cpu(&self) -> Result<Duration> {
        self.process.cpu_with_children()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.args(["-h", "127.0.0.1", "-U", SUPERUSER, "-p", &self.address.port().to_string()]);
        command
    }
}

/// `setpriv`, dropping root if we are it; the program and its arguments follow.
fn unprivileged() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if Uid::effective().is_root() {
        command.args(["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--init-groups"]);
    }
    command
}

fn system_user() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    Ok(Some(User::from_name(SYSTEM_USER)?.with_context(|| format!("no user {SYSTEM_USER}: is PostgreSQL installed?"))?))
}

/// The newest of Debian's installed versions; their programs aren't on the path.
fn binaries() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|version| version.path()).max_by_key(number);
    Ok(newest.context("PostgreSQL isn't installed: run scripts/install-test-needs")?.join("bin"))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
