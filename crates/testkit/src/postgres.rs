//! A private PostgreSQL server on a free port of 127.0.0.1.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::ports;
use crate::process::{self, Process};

const PATIENCE: Duration = Duration::from_secs(30);

/// The user a server runs as when the tests run as root, which PostgreSQL refuses.
const SYSTEM_USER: &str = "postgres";

/// A running server; stopped and removed when dropped.
///
/// Its default collation isn't that of bytes, so that a column which forgot `COLLATE "C"` shows.
#[derive(Debug)]
pub struct Postgres {
    server: Mutex<Option<Process>>,
    port: u16,
    settings: Vec<String>,
    databases: AtomicU32,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server that trades durability for speed: enough as long as the machine stays up.
    ///
    /// # Errors
    /// When PostgreSQL isn't installed or doesn't start.
    pub fn start() -> Result<Self> {
        Self::start_with(&["fsync=off", "full_page_writes=off"])
    }

    /// Starts a server with `settings` of `postgresql.conf`, each `name=value`.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bailey-postgres-").tempdir()?;
        if let Some(user) = system_user()? {
            chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let postgres = Self {
            server: Mutex::new(None),
            port: ports::free(),
            settings: settings.iter().map(ToString::to_string).collect(),
            databases: AtomicU32::new(0),
            folder,
        };
        let mut initdb = as_system_user(&program("initdb")?)?;
        initdb.args(["--no-sync", "-U", "postgres", "-A", "trust", "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "-D"]).arg(postgres.data());
        process::run(initdb.current_dir(postgres.folder.path()))?;
        postgres.restart()?;
        Ok(postgres)
    }

    /// The server of this test program: started by the first who asks, stopped when the last drops it.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// When the server is down.
    pub fn create_database(&self) -> Result<String> {
        self.create_database_from("template0")
    }

    /// Makes a copy of the database named `template` (or of the one with that URL) and returns its
    /// URL. Nobody may be connected to the template.
    ///
    /// # Errors
    /// When the server is down or the template in use.
    pub fn create_database_from(&self, template: &str) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.rsplit('/').next().unwrap_or(template);
        self.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(self.url(&name))
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs `sql` in a database given by name or URL; rows come as lines, fields parted by `|`.
    ///
    /// # Errors
    /// When the server is down or refuses it.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.client("psql")?;
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d"]).arg(name_of(database));
        Ok(String::from_utf8(process::run(&mut psql)?)?)
    }

    /// A full dump, as SQL, of a database given by name or URL.
    ///
    /// # Errors
    /// When the server is down.
    pub fn dump(&self, database: &str) -> Result<Vec<u8>> {
        process::run(self.client("pg_dump")?.arg("-d").arg(name_of(database)))
    }

    /// Dumps a database given by name or URL into a file, for [`restore`](Self::restore).
    ///
    /// # Errors
    /// When the server is down or the file can't be written.
    pub fn back_up(&self, database: &str, file: &Path) -> Result<()> {
        let mut dump = self.client("pg_dump")?;
        process::run(dump.args(["--format=custom", "--file"]).arg(file).arg("-d").arg(name_of(database))).map(drop)
    }

    /// Replaces what is in a database by what was dumped.
    ///
    /// # Errors
    /// When the server is down, the file is none of [`back_up`](Self::back_up), or a table is in use.
    pub fn restore(&self, database: &str, file: &Path) -> Result<()> {
        let mut restore = self.client("pg_restore")?;
        restore.args(["--clean", "--if-exists", "--exit-on-error", "-d"]).arg(name_of(database)).arg(file);
        process::run(&mut restore).map(drop)
    }

    /// Stops the server as `pg_ctl -m fast` does: clients are cut off.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&self) -> Result<()> {
        let stopped = self.lock().take();
        stopped.map_or(Ok(()), |mut server| server.stop().map(drop))
    }

    /// Kills the server at once, as a crash would.
    ///
    /// # Errors
    /// When its processes are still there after a while.
    pub fn kill(&self) -> Result<()> {
        let Some(mut server) = self.lock().take() else { return Ok(()) };
        // SIGQUIT makes the postmaster take its children along; SIGKILL would leave them behind.
        server.signal(Signal::SIGQUIT)?;
        server.wait(PATIENCE).map(drop)
    }

    /// Starts the server again if it was stopped, on the same port with the same data.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        let mut server = as_system_user(&program("postgres")?)?;
        server.arg("-D").arg(self.data()).args(["-h", "127.0.0.1", "-k", "", "-p", &self.port.to_string()]);
        let always = ["max_connections=300", "shared_buffers=64MB", "log_min_messages=fatal"].map(String::from);
        for setting in always.iter().chain(&self.settings) {
            server.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.folder.path().join("server.log"))?;
        server.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(log);
        *self.lock() = Some(Process::start(server)?.stopped_by(Signal::SIGINT));
        process::until(PATIENCE, || self.psql("postgres", "SELECT 1")).with_context(|| self.log())?;
        Ok(())
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn client(&self, name: &str) -> Result<Command> {
        let mut client = process::command(program(name)?);
        client.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        Ok(client)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(database: &str) -> &str {
    database.rsplit('/').next().unwrap_or(database)
}

/// The newest of Debian's installed versions; their programs aren't on the PATH.
fn program(name: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .map(|version| version.path())
        .filter(|version| version.join("bin").join(name).is_file())
        .max_by_key(|version| {
            version.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or_default()
        })
        .map(|version| version.join("bin").join(name))
        .with_context(|| format!("{name} of PostgreSQL is not installed: run scripts/install-test-needs"))
}

fn system_user() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    User::from_name(SYSTEM_USER)?.map(Some).with_context(|| format!("there is no user {SYSTEM_USER}"))
}

fn as_system_user(program: &Path) -> Result<Command> {
    let mut command = Command::new("setpriv");
    if system_user()?.is_some() {
        command.args(["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--init-groups"]);
    }
    command.args(["--pdeathsig", "INT", "--"]).arg(program).stdin(Stdio::null());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_copied_and_survive_a_crash() {
        let postgres = Postgres::start().unwrap();
        let template = postgres.create_database().unwrap();
        postgres.psql(&template, "CREATE TABLE t (x text); INSERT INTO t VALUES ('a'), ('B')").unwrap();
        let copy = postgres.create_database_from(&template).unwrap();
        assert_eq!(postgres.psql(&copy, "SELECT x FROM t ORDER BY x").unwrap(), "a\nB\n");
        postgres.kill().unwrap();
        assert!(postgres.psql(&copy, "SELECT 1").is_err());
        postgres.restart().unwrap();
        assert_eq!(postgres.psql(&copy, "SELECT count(*) FROM t").unwrap(), "2\n");
        assert!(String::from_utf8(postgres.dump(&copy).unwrap()).unwrap().contains("COPY public.t"));
    }

    #[test]
    fn a_dropped_server_leaves_nothing() {
        let postgres = Postgres::start().unwrap();
        let (port, folder) = (postgres.port(), postgres.folder.path().to_owned());
        drop(postgres);
        assert!(!folder.exists());
        std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    }
}
