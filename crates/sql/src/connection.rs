//! What queries run on: the pool for reads, a transaction for writes.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use tracing::Instrument as _;

use crate::measure::{Call, Measure};

/// Waits for `call`, but not longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, DbErr>> + Send,
) -> Result<T, DbErr> {
    tokio::time::timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned()))))
}

/// Reads: any connection of the pool, each statement on its own.
pub(crate) struct Reader {
    pub(crate) pool: DatabaseConnection,
    pub(crate) timeout: Duration,
    pub(crate) measure: Measure,
}

impl Reader {
    async fn ask<T>(&self, kind: Call, call: impl Future<Output = Result<T, DbErr>> + Send) -> Result<T, DbErr> {
        let _begun = self.measure.begin(kind);
        let result = within(self.timeout, call).instrument(self.measure.span(kind)).await;
        result.inspect_err(|_| self.measure.failures(kind).increment(1))
    }
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.ask(Call::Write, self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.ask(Call::Read, self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.ask(Call::Read, self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.ask(Call::Read, self.pool.query_all_raw(statement)).await
    }
}

/// A transaction as a closure given to [`Db::write`](crate::Db::write) sees it.
///
/// It remembers the first statement that failed: PostgreSQL ignores everything after that, and a
/// COMMIT then silently rolls back, so such a transaction must not count as committed.
pub struct Tx {
    inner: DatabaseTransaction,
    timeout: Duration,
    failed: OnceLock<DbErr>,
}

impl Tx {
    pub(crate) fn new(inner: DatabaseTransaction, timeout: Duration) -> Self {
        Self { inner, timeout, failed: OnceLock::new() }
    }

    /// The first statement's failure, if one failed.
    pub(crate) fn failure(&self) -> Option<&DbErr> {
        self.failed.get()
    }

    pub(crate) fn into_inner(self) -> DatabaseTransaction {
        self.inner
    }

    async fn watch<T>(&self, call: impl Future<Output = Result<T, DbErr>> + Send) -> Result<T, DbErr> {
        let result = within(self.timeout, call).await;
        if let Err(error) = &result {
            let _ = self.failed.set(error.clone());
        }
        result
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.watch(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.watch(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.watch(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.watch(self.inner.query_all_raw(statement)).await
    }
}
