//! Keeping other processes out while something is done that all of them may begin at once.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

use crate::connection::within;
use crate::error::{Error, Explain as _};

/// An advisory lock of PostgreSQL, over a connection of its own. It ends with
/// [`release`](Self::release), and with the process.
#[must_use]
pub struct Lock(Option<DatabaseConnection>);

impl Lock {
    /// No lock: on SQLite the one process that serves is alone.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Waits until nobody else has it.
    pub(crate) async fn take(options: &PgConnectOptions, timeout: Duration, key: i64) -> Result<Self, Error> {
        // Of one connection, which is kept: the lock is the session's.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone());
        let connection = DatabaseConnection::from(pool);
        let lock = format!("SELECT pg_advisory_lock({key})");
        let taken = within(timeout, connection.execute_unprepared(&lock)).await.explain("wait for other processes");
        let lock = Self(Some(connection));
        match taken {
            Ok(_) => Ok(lock),
            Err(error) => {
                lock.release().await;
                Err(error)
            }
        }
    }

    /// Lets the next one in.
    pub async fn release(self) {
        if let Some(connection) = self.0 {
            let _ = connection.close().await;
        }
    }
}
