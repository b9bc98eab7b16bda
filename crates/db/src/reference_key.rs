//! Giving up a version of the worker key, as far as references are sealed under it.
//!
//! A tombstone comes first: from then on nobody brings a reference under that version into a row, however
//! long ago it was sealed. So what is counted after it is all there will ever be.

use bailey_core::ids::MasterKeyId;
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
use sea_orm::{ConnectionTrait, DbBackend};

/// The condition under which a reference may come into a row; its argument is the parameter that holds the
/// version it is sealed under, which may be NULL.
///
/// It belongs into the statement that writes the row. On PostgreSQL such a statement sees every tombstone that
/// it had to wait for, because it takes its snapshot after its tables' locks.
macro_rules! not_retired {
    ($key:literal) => {
        concat!("NOT EXISTS (SELECT 1 FROM retired_reference_keys WHERE id = ", $key, ")")
    };
}
pub(crate) use not_retired;

const IS_RETIRED: Sql = Sql::both("SELECT 1 FROM retired_reference_keys WHERE id = $1");

/// Complains if the version is what kept a statement with [`not_retired`] from changing a row.
pub(crate) async fn check<C: ConnectionTrait>(tx: &C, key: MasterKeyId, context: &'static str) -> Result<(), Error> {
    let found = tx.query_one_raw(IS_RETIRED.with(tx, [key.uuid().into()])).await.explain(context)?;
    if found.is_some() { Err(retired(context)) } else { Ok(()) }
}

pub(crate) fn retired(context: &'static str) -> Error {
    Error::new(ErrorKind::Retired, context, "its version of the worker key was given up meanwhile")
}

/// Waits for transactions that may have written a reference already. On SQLite there is one writer anyway.
const WAIT_FOR_WRITERS: &str =
    "SET LOCAL lock_timeout = '3s'; LOCK TABLE secrets, deletions, order_inputs, idempotency_keys IN SHARE MODE";
const RETIRE: Sql = Sql::both("INSERT INTO retired_reference_keys (id) VALUES ($1) ON CONFLICT (id) DO NOTHING");

/// Leaves a tombstone for a version, which must be one that nobody may make active. Once this is committed,
/// no reference under the version is. Idempotent.
///
/// # Errors
/// `Unavailable`, also when writers that are under way don't end.
pub async fn retire<C: ConnectionTrait>(tx: &C, key: MasterKeyId) -> Result<(), Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(WAIT_FOR_WRITERS).await.explain("wait for writers")?;
    }
    tx.execute_raw(RETIRE.with(tx, [key.uuid().into()])).await.explain("retire worker key")?;
    Ok(())
}

const LOCK: Sql = Sql {
    sqlite: "SELECT 1 FROM retired_reference_keys WHERE id = $1",
    postgres: "SELECT 1 FROM retired_reference_keys WHERE id = $1 FOR UPDATE",
};
const COUNT: Sql = Sql::both(
    "SELECT CAST((SELECT COUNT(*) FROM secrets WHERE reference_key = $1) \
     + (SELECT COUNT(*) FROM deletions WHERE reference_key = $1) \
     + (SELECT COUNT(*) FROM order_inputs WHERE reference_key = $1) \
     + (SELECT COUNT(*) FROM idempotency_keys WHERE fingerprint_key = $1) AS bigint)",
);
const REVIVE: Sql = Sql::both("DELETE FROM retired_reference_keys WHERE id = $1");

/// How many references and fingerprints are under a version with a tombstone. If there are any, the tombstone goes, so that a
/// writer who is late is not refused for nothing; if not, there never will be one again.
///
/// # Errors
/// `Unavailable`, also when there is no tombstone: somebody else, who found references, took it away.
pub async fn settle<C: ConnectionTrait>(tx: &C, key: MasterKeyId) -> Result<u64, Error> {
    // The lock orders those who settle: whoever finds nothing is not contradicted by another's older count.
    let tombstone = tx.query_one_raw(LOCK.with(tx, [key.uuid().into()])).await.explain("lock tombstone")?;
    if tombstone.is_none() {
        return Err(Error::new(ErrorKind::Unavailable, "settle worker key", "it is being given up by somebody else"));
    }
    let row = tx.query_one_raw(COUNT.with(tx, [key.uuid().into()])).await.explain("count references")?;
    let count = row.map(|row| Cells::of(&row).take::<i64>()).transpose().explain("count references")?;
    let count = count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    if count > 0 {
        tx.execute_raw(REVIVE.with(tx, [key.uuid().into()])).await.explain("revive worker key")?;
    }
    Ok(count)
}
