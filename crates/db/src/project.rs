//! A project as a whole, for the command that purges it.
//!
//! First it is closed: its quotas become 0, and the transaction waits for whoever began to write without
//! looking at them. From then on nothing new comes into it, until its last row, those quotas, is gone.

use bailey_core::ids::ProjectId;
use bailey_core::quota::{ProjectQuotas, Quotas};
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use sea_orm::prelude::Uuid;

use crate::{container, order, quota, secret};

/// How much there is of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    /// Secrets, expired ones included.
    pub secrets: u64,
    /// Containers.
    pub containers: u64,
    /// Orders, whatever became of them.
    pub orders: u64,
    /// Consumers that it registered, with secrets and containers of whichever project.
    pub consumers: u64,
    /// Static tokens for it.
    pub tokens: u64,
    /// First answers to requests that may be repeated.
    pub answers: u64,
    /// Payloads that are yet to be destroyed, though what referred to them is gone.
    pub deletions: u64,
    /// Certificate authorities that it had made.
    pub cas: u64,
    /// Quotas of its own, the store it prefers, and the CAs it has chosen, with the one it prefers.
    pub settings: u64,
}

impl Contents {
    /// The names of what is counted, each with its number.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 9] {
        let Self { secrets, containers, orders, consumers, tokens, answers, deletions, cas, settings } = *self;
        [
            ("secrets", secrets),
            ("containers", containers),
            ("orders", orders),
            ("consumers", consumers),
            ("tokens", tokens),
            ("first answers", answers),
            ("payloads to destroy", deletions),
            ("certificate authorities", cas),
            ("settings", settings),
        ]
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const COUNT: Sql = Sql::both(
    "SELECT (SELECT COUNT(*) FROM secrets WHERE project = $1), (SELECT COUNT(*) FROM containers WHERE project = $1), \
     (SELECT COUNT(*) FROM orders WHERE project = $1), \
     (SELECT COUNT(*) FROM secret_consumers WHERE project = $1) + \
     (SELECT COUNT(*) FROM container_consumers WHERE project = $1), \
     (SELECT COUNT(*) FROM static_tokens WHERE project = $1), \
     (SELECT COUNT(*) FROM idempotency_keys WHERE project = $1), \
     (SELECT COUNT(*) FROM deletions WHERE project = $1), (SELECT COUNT(*) FROM cas WHERE project = $1), \
     (SELECT COUNT(*) FROM project_quotas WHERE project = $1) + \
     (SELECT COUNT(*) FROM project_stores WHERE project = $1) + \
     (SELECT COUNT(*) FROM project_cas WHERE project = $1) + \
     (SELECT COUNT(*) FROM preferred_cas WHERE project = $1)",
);

/// How much there is of a project.
///
/// # Errors
/// `Unavailable`.
pub async fn contents<C: ConnectionTrait>(connection: &C, project: &ProjectId) -> Result<Contents, Error> {
    let row = connection.query_one_raw(COUNT.with(connection, [project.as_str().into()])).await;
    let Some(row) = row.explain("count project")? else { return Ok(Contents::default()) };
    let mut cells = Cells::of(&row);
    let mut count = || cells.take::<i64>().map(|count| u64::try_from(count).unwrap_or_default());
    let mut read = || {
        Ok(Contents {
            secrets: count()?,
            containers: count()?,
            orders: count()?,
            consumers: count()?,
            tokens: count()?,
            answers: count()?,
            deletions: count()?,
            cas: count()?,
            settings: count()?,
        })
    };
    read().explain("count project")
}

const CLOSED: ProjectQuotas =
    ProjectQuotas { secrets: Some(0), orders: Some(0), containers: Some(0), consumers: Some(0), cas: Some(0) };
const DELETE_TOKENS: Sql = Sql::both("DELETE FROM static_tokens WHERE project = $1");

/// Closes a project: nothing comes into it any more, and static tokens for it are worthless. Idempotent.
///
/// # Errors
/// `Unavailable`, also when others keep writing for too long.
pub async fn close<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    defaults: &Quotas,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    quota::merge(tx, project, defaults, &CLOSED, now).await?;
    tx.execute_raw(DELETE_TOKENS.with(tx, [project.as_str().into()])).await.explain("delete tokens")?;
    Ok(())
}

/// Removes up to `limit` of a closed project's things: orders before containers, those before secrets, and at last
/// the consumers that it registered, with whosever secrets and containers, and its first answers; how many. What
/// orders were about to make comes to be before they are gone, or never. Payloads are due for deletion.
///
/// # Errors
/// `Unavailable`.
pub async fn remove_some<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    limit: u64,
    now: DateTime<Utc>,
) -> Result<u64, Error> {
    let mut removed = 0;
    for id in ids(tx, &ORDERS, project, limit).await? {
        removed += u64::from(order::delete(tx, project, id, now).await?);
    }
    if removed > 0 {
        return Ok(removed);
    }
    for id in ids(tx, &CONTAINERS, project, limit).await? {
        removed += u64::from(container::delete(tx, project, id).await?);
    }
    if removed > 0 {
        return Ok(removed);
    }
    for id in ids(tx, &SECRETS, project, limit).await? {
        removed += u64::from(secret::delete(tx, project, id, now).await?);
    }
    for sql in REMOVE_REST {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let remove = tx.execute_raw(sql.with(tx, [project.as_str().into(), limit.into()])).await;
        removed += remove.explain("empty project")?.rows_affected();
    }
    Ok(removed)
}

const ORDERS: Sql = Sql::both("SELECT id FROM orders WHERE project = $1 ORDER BY id LIMIT $2");
const CONTAINERS: Sql = Sql::both("SELECT id FROM containers WHERE project = $1 ORDER BY id LIMIT $2");
const SECRETS: Sql = Sql::both("SELECT id FROM secrets WHERE project = $1 ORDER BY id LIMIT $2");

async fn ids<C: ConnectionTrait, I: From<Uuid>>(
    tx: &C,
    sql: &Sql,
    project: &ProjectId,
    limit: u64,
) -> Result<Vec<I>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx.query_all_raw(sql.with(tx, [project.as_str().into(), limit.into()])).await.explain("list project")?;
    let ids = rows.iter().map(|row| Cells::of(row).take::<Uuid>().map(I::from));
    ids.collect::<Result<_, _>>().explain("list project")
}

const REMOVE_REST: [Sql; 3] = [
    Sql::both(
        "DELETE FROM secret_consumers WHERE project = $1 AND id IN \
         (SELECT id FROM secret_consumers WHERE project = $1 LIMIT $2)",
    ),
    Sql::both(
        "DELETE FROM container_consumers WHERE project = $1 AND id IN \
         (SELECT id FROM container_consumers WHERE project = $1 LIMIT $2)",
    ),
    Sql::both(
        "DELETE FROM idempotency_keys WHERE project = $1 AND (user_id, route, key) IN \
         (SELECT user_id, route, key FROM idempotency_keys WHERE project = $1 LIMIT $2)",
    ),
];

/// The last one is what keeps the project closed.
const FORGET: [Sql; 5] = [
    Sql::both("DELETE FROM project_cas WHERE project = $1"),
    Sql::both("DELETE FROM preferred_cas WHERE project = $1"),
    Sql::both("DELETE FROM project_stores WHERE project = $1"),
    Sql::both("DELETE FROM project_counters WHERE project = $1"),
    Sql::both("DELETE FROM project_quotas WHERE project = $1"),
];

/// Removes the last rows of a project, and so opens it again to whoever comes under its name.
///
/// # Errors
/// `Conflict` while there is anything in it: nothing of the transaction may be committed. `Unavailable`.
pub async fn forget<C: ConnectionTrait>(tx: &C, project: &ProjectId) -> Result<(), Error> {
    let left = contents(tx, project).await?;
    if !(Contents { settings: 0, ..left }).is_empty() {
        return Err(Error::new(ErrorKind::Conflict, "forget project", "there is something in it again"));
    }
    for sql in FORGET {
        tx.execute_raw(sql.with(tx, [project.as_str().into()])).await.explain("forget project")?;
    }
    Ok(())
}
