//! First answers to requests that may be repeated.
//!
//! The row is inserted in the resource's own transaction. Whoever comes second on the key waits for the
//! first to end, and then finds its answer.

use bailey_core::ids::{MasterKeyId, ProjectId, UserId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use crate::reference_key::{not_retired, retired};

/// Whose key it is, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The caller's project.
    pub project: ProjectId,
    /// The caller.
    pub user: Option<UserId>,
    /// What was asked for.
    pub route: &'static str,
    /// The key as the client gave it.
    pub key: String,
}

impl Owner {
    /// Values for `project, user_id, route, key`. No user's id is blank.
    fn values(&self) -> [Value; 4] {
        let user = self.user.as_ref().map_or("", |user| user.as_str());
        [self.project.as_str().into(), user.into(), self.route.into(), self.key.as_str().into()]
    }
}

/// What the first request asked for, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    /// Tells whether another request asked for the same.
    pub fingerprint: Vec<u8>,
    /// The version of the worker key that it was made with.
    pub fingerprint_key: MasterKeyId,
    /// The resource that was made.
    pub resource: Uuid,
}

const FIND: Sql = Sql::both(
    "SELECT fingerprint, fingerprint_key, resource_id FROM idempotency_keys \
     WHERE project = $1 AND user_id = $2 AND route = $3 AND key = $4 AND created_at > $5",
);

/// What came of the first request with this key, if it came after `since`.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    owner: &Owner,
    since: DateTime<Utc>,
) -> Result<Option<First>, Error> {
    let values = owner.values().into_iter().chain([since.trunc_subsecs(6).into()]);
    let row = connection.query_one_raw(FIND.with(connection, values)).await.explain("find first answer")?;
    row.as_ref().map(read).transpose().explain("find first answer")
}

fn read(row: &QueryResult) -> Result<First, DbErr> {
    let mut cells = Cells::of(row);
    Ok(First {
        fingerprint: cells.take()?,
        fingerprint_key: cells.take::<Uuid>()?.into(),
        resource: cells.take::<Uuid>()?,
    })
}

// A row that is too old counts for nothing, purged or not.
const CLAIM: Sql = Sql::both(concat!(
    "INSERT INTO idempotency_keys (project, user_id, route, key, fingerprint, fingerprint_key, resource_id, created_at) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE ",
    not_retired!("$6"),
    " ON CONFLICT (project, user_id, route, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
     fingerprint_key = excluded.fingerprint_key, resource_id = excluded.resource_id, \
     created_at = excluded.created_at WHERE idempotency_keys.created_at <= $9"
));

/// Makes `mine` the first answer; what is first instead, if another request with this key came after
/// `since`. Waits for one that is under way.
///
/// # Errors
/// `Retired` if the version of the worker key was given up: nothing of the transaction may be committed.
/// `Unavailable`.
pub async fn claim<C: ConnectionTrait>(
    tx: &C,
    owner: &Owner,
    mine: &First,
    now: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<Option<First>, Error> {
    let values: [Value; 5] = [
        mine.fingerprint.clone().into(),
        mine.fingerprint_key.uuid().into(),
        mine.resource.into(),
        now.trunc_subsecs(6).into(),
        since.trunc_subsecs(6).into(),
    ];
    let claim = CLAIM.with(tx, owner.values().into_iter().chain(values));
    if tx.execute_raw(claim).await.explain("claim idempotency key")?.rows_affected() > 0 {
        return Ok(None);
    }
    let first = find(tx, owner, since).await?;
    first.map(Some).ok_or_else(|| retired("claim idempotency key"))
}

const PURGE: Sql = Sql::both(
    "DELETE FROM idempotency_keys WHERE created_at <= $1 AND (project, user_id, route, key) IN \
     (SELECT project, user_id, route, key FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2)",
);

/// Forgets up to `limit` answers that were given at `until` or before; how many it were.
///
/// # Errors
/// `Unavailable`.
pub async fn purge<C: ConnectionTrait>(tx: &C, until: DateTime<Utc>, limit: u64) -> Result<u64, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let purge = PURGE.with(tx, [until.trunc_subsecs(6).into(), limit.into()]);
    Ok(tx.execute_raw(purge).await.explain("purge idempotency keys")?.rows_affected())
}
