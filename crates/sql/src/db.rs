//! The handle itself.

use std::fmt;
use std::sync::Arc;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tracing::Instrument as _;

use crate::config::Config;
use crate::connection::{Reader, Tx};
use crate::error::{Error, ErrorKind, Explain};
use crate::listen::Listener;
use crate::lock::Lock;
use crate::measure::{Call, Measure, Pools};
use crate::transaction::BoxFuture;
use crate::{connect, postgres, sqlite};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// A SQLite file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// A database. Clones share its connections.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    reader: Reader,
    writer: Writer,
    pools: Pools,
}

enum Writer {
    Postgres { options: Box<PgConnectOptions> },
    Sqlite { pool: DatabaseConnection, task: sqlite::Writer },
}

impl Db {
    /// Opens the database and asks it something.
    ///
    /// # Errors
    /// `Unavailable` if it doesn't answer; `Internal` if the URL makes no sense.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        Self::connect_as("database", config).await
    }

    /// As [`connect`](Self::connect), under this name in metrics and traces.
    ///
    /// # Errors
    /// The same.
    pub async fn connect_as(name: &'static str, config: &Config) -> Result<Self, Error> {
        let db = Self::prepare(name, config)?;
        db.ping().await?;
        Ok(db)
    }

    /// Prepares the handle; connections are made when they are needed, so that the database may be
    /// down. Needs a Tokio runtime around it.
    ///
    /// # Errors
    /// `Internal` if the URL makes no sense; `Unavailable` if a SQLite file can't be opened or created.
    pub fn connect_lazy(config: &Config) -> Result<Self, Error> {
        Self::prepare("database", config)
    }

    fn prepare(name: &'static str, config: &Config) -> Result<Self, Error> {
        let timeout = config.timeout();
        let (pool, pools, writer, measure) = if config.url.starts_with("sqlite:") {
            let (measure, connect::Sqlite { reader, writer, pools }) =
                (Measure::new(name, "sqlite"), connect::sqlite(config)?);
            let task = sqlite::Writer::start(writer.clone(), timeout, &measure);
            (reader, pools, Writer::Sqlite { pool: writer, task }, measure)
        } else if config.url.starts_with("postgres://") || config.url.starts_with("postgresql://") {
            let (pool, pools) = connect::postgres(config)?;
            let options = Box::new(connect::postgres_options(config)?);
            (pool, pools, Writer::Postgres { options }, Measure::new(name, "postgresql"))
        } else {
            return Err(Error::new(
                ErrorKind::Internal,
                "configure database",
                "the URL begins with neither sqlite:// nor postgres://",
            ));
        };
        // PostgreSQL gives up after `timeout` itself; this is for one that doesn't answer at all.
        let reader = Reader { pool, timeout: timeout.mul_f32(1.25), measure };
        Ok(Self(Arc::new(Inner { reader, writer, pools })))
    }

    /// Which database it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.0.writer {
            Writer::Postgres { .. } => Engine::Postgres,
            Writer::Sqlite { .. } => Engine::Sqlite,
        }
    }

    /// What reads run on: they see what was committed before each of them.
    #[must_use]
    pub fn reader(&self) -> &(impl ConnectionTrait + use<>) {
        &self.0.reader
    }

    /// Runs a closure in a transaction and answers once that is durable.
    ///
    /// The closure makes database calls only, and may be run again: what it changed outside the
    /// database it would change twice. If it fails, panics, or goes on after one of its statements
    /// failed, nothing of it remains. Dropping the returned future doesn't stop a transaction that has
    /// begun on SQLite; on PostgreSQL it may.
    ///
    /// On SQLite, closures that wait are committed together, each under a savepoint of its own.
    ///
    /// # Errors
    /// The closure's own. `Unavailable` if the transaction could not be begun in time, or if it is not
    /// known whether it was committed. `Internal` if the closure panicked.
    pub async fn write<F, T, E>(&self, closure: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let Reader { pool, timeout, measure } = &self.0.reader;
        let (_begun, span) = (measure.begin(Call::Write), measure.span(Call::Write));
        match &self.0.writer {
            Writer::Postgres { .. } => postgres::write(pool, *timeout, measure, closure).instrument(span).await,
            Writer::Sqlite { task, .. } => task.write(closure).instrument(span).await,
        }
    }

    /// Tells the metrics' recorder how many connections there are and who waits for one; to be called
    /// whenever somebody wants to know.
    pub fn export(&self) {
        let queued = match &self.0.writer {
            Writer::Postgres { .. } => 0,
            Writer::Sqlite { task, .. } => task.queued(),
        };
        self.0.pools.export(&self.0.reader.measure, queued);
    }

    /// Something to wait on for what others tell on a channel; nobody does on SQLite, where all that
    /// writes is this process.
    #[must_use]
    pub fn listener(&self, channel: &'static str) -> Option<Listener> {
        match &self.0.writer {
            Writer::Postgres { options } => {
                Some(Listener::new(options.as_ref().clone(), self.0.reader.timeout, channel))
            }
            Writer::Sqlite { .. } => None,
        }
    }

    /// Waits until no other process holds the lock with this key, and takes it. On SQLite there is none:
    /// nobody else is there.
    ///
    /// # Errors
    /// `Unavailable` if it is held for longer than the configured time-out.
    pub async fn lock(&self, key: i64) -> Result<Lock, Error> {
        match &self.0.writer {
            Writer::Postgres { options } => Lock::take(options, self.0.reader.timeout, key).await,
            Writer::Sqlite { .. } => Ok(Lock::none()),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `Unavailable` if it doesn't.
    pub async fn ping(&self) -> Result<(), Error> {
        let question = match self.engine() {
            Engine::Postgres => "SELECT 1",
            // Unlike a constant, this makes SQLite look into the file.
            Engine::Sqlite => "SELECT 1 FROM sqlite_schema LIMIT 1",
        };
        self.0.reader.execute_unprepared(question).await.explain("ask database")?;
        Ok(())
    }

    /// The pool that may change the schema. For `migrations` only.
    #[must_use]
    pub fn schema_connection(&self) -> &DatabaseConnection {
        match &self.0.writer {
            Writer::Postgres { .. } => &self.0.reader.pool,
            Writer::Sqlite { pool, .. } => pool,
        }
    }

    /// Lets waiting writes finish, then closes all connections. Calls after it are `Unavailable`.
    pub async fn close(&self) {
        if let Writer::Sqlite { pool, task } = &self.0.writer {
            task.close().await;
            let _ = pool.close_by_ref().await;
        }
        let _ = self.0.reader.pool.close_by_ref().await;
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.engine()).finish()
    }
}
