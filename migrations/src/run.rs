//! Bringing a schema up to date, one process at a time.

use sea_orm_migration::MigratorTrait;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use crate::version::{self, SchemaVersion};
use crate::{Error, Metadata, Schema, Vault};

/// What a database holds beside what this binary knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What the database holds; `None` if it was never migrated.
    pub found: Option<SchemaVersion>,
    /// What this binary makes.
    pub known: SchemaVersion,
}

impl Status {
    /// Whether the schema is at least what this binary makes.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.found.is_some_and(|found| found.version >= self.known.version)
    }

    /// Whether this binary can work with the schema, now or after [`migrate`].
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.found.is_none_or(|found| found.oldest_reader <= self.known.version)
    }
}

/// Tells what a database holds. Changes nothing.
///
/// # Errors
/// [`Error::Database`].
pub async fn status<C: ConnectionTrait>(schema: Schema, connection: &C) -> Result<Status, Error> {
    Ok(Status { found: version::find(connection).await?, known: schema.version() })
}

/// Brings a schema up to what this binary knows. All of it happens, or nothing; any number of
/// processes may call it at the same time; a schema that is newer, but readable, stays as it is.
///
/// # Errors
/// [`Error::BinaryTooOld`] if this binary can't work with the schema; [`Error::Database`].
pub async fn migrate(schema: Schema, connection: &DatabaseConnection) -> Result<Status, Error> {
    let before = status(schema, connection).await?;
    if !before.is_current() {
        let transaction = begin_alone(schema, connection).await?;
        migrate_within(schema, &transaction).await?;
        transaction.commit().await?;
    }
    let after = status(schema, connection).await?;
    match after.found {
        Some(found) if !after.is_readable() => Err(Error::BinaryTooOld { schema, found }),
        _ => Ok(after),
    }
}

async fn migrate_within(schema: Schema, transaction: &DatabaseTransaction) -> Result<(), Error> {
    // Whoever held the lock may have done the work.
    if status(schema, transaction).await?.is_current() {
        return Ok(());
    }
    match schema {
        Schema::Metadata => Metadata::up(transaction, None).await?,
        Schema::Vault => Vault::up(transaction, None).await?,
    }
    Ok(version::put(transaction, schema.version()).await?)
}

/// Begins a transaction that no other process can be in at the same time.
async fn begin_alone(schema: Schema, connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let immediate =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let transaction = connection.begin_with_options(immediate).await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        // Building an index over many rows takes longer than any request may.
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        let key = match schema {
            Schema::Metadata => 0x0062_6169_6c65_7901_i64,
            Schema::Vault => 0x0062_6169_6c65_7902_i64,
        };
        transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({key})")).await?;
    }
    Ok(transaction)
}
