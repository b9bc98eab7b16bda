//! Opening the pools: one for PostgreSQL, two for SQLite.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use sea_orm::DatabaseConnection;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, Connection};

use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::measure::Pools;

/// Connections for reading a SQLite file.
const SQLITE_READERS: u32 = 4;
/// A connection that was idle for longer is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How to connect to PostgreSQL.
pub(crate) fn postgres_options(config: &Config) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions =
        config.url.parse().map_err(|_| misconfigured("the URL is not of the form postgres://USER@HOST/DATABASE"))?;
    let milliseconds = config.timeout().as_millis().to_string();
    Ok(options
        .application_name("bailey")
        // The second one frees what a process that was stopped in the middle of a transaction has locked.
        .options(["statement_timeout", "idle_in_transaction_session_timeout"].map(|name| (name, milliseconds.as_str())))
        .disable_statement_logging())
}

/// A pool for PostgreSQL that connects when it is first used.
pub(crate) fn postgres(config: &Config) -> Result<(DatabaseConnection, Pools), Error> {
    let (timeout, options) = (config.timeout(), postgres_options(config)?);
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections.max(1))
        .acquire_timeout(timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Ok((pool.clone().into(), Pools::Postgres(pool)))
}

/// The two pools for a SQLite file.
pub(crate) struct Sqlite {
    pub(crate) reader: DatabaseConnection,
    pub(crate) writer: DatabaseConnection,
    pub(crate) pools: Pools,
}

/// Pools for a SQLite file, which is created with mode 0600 if it isn't there.
pub(crate) fn sqlite(config: &Config) -> Result<Sqlite, Error> {
    let timeout = config.timeout();
    let options: SqliteConnectOptions =
        config.url.parse().map_err(|_| misconfigured("the URL is not of the form sqlite://PATH"))?;
    let path = options.get_filename().to_owned();
    if config.url.contains(":memory:") || config.url.contains("mode=memory") || path.as_os_str().is_empty() {
        return Err(misconfigured("a SQLite database needs a file"));
    }
    // SQLite gives its -wal and -shm files the mode of the database file.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "open database file", format!("{}: {error}", path.display()))
    })?;
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(timeout)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .pragma("wal_autocheckpoint", "1000")
        .pragma("case_sensitive_like", "ON")
        // In KiB. The system caches the file too, and ten connections would otherwise hold 2 MB each.
        .pragma("cache_size", "-1000")
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().acquire_timeout(timeout).test_before_acquire(false);
    let reader =
        pool.clone().max_connections(SQLITE_READERS).connect_lazy_with(options.clone().pragma("query_only", "ON"));
    let writer = pool
        .max_connections(1)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Some errors end a whole transaction behind the driver's back; its count of open ones
                // is then wrong for good. The ping waits until a rollback in flight is done.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_lazy_with(options);
    let pools = Pools::Sqlite { reader: reader.clone(), writer: writer.clone() };
    Ok(Sqlite { reader: reader.into(), writer: writer.into(), pools })
}

fn misconfigured(detail: &'static str) -> Error {
    Error::new(ErrorKind::Internal, "configure database", detail)
}
