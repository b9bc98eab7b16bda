//! Quotas: what projects may have, and room for what they want.
//!
//! Whoever creates in a limited project holds its lock from before the count until the commit, so that
//! nobody counts what is about to change. Projects without a limit take no lock: instead, whoever
//! limits one waits for everybody who began to write without.

use bailey_core::ids::ProjectId;
use bailey_core::quota::{Counted, ProjectQuotas, QuotaEntry, Quotas};
use bailey_core::secret::{Page, PageRequest};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Value};

const FIND: Sql =
    Sql::both("SELECT secrets, orders, containers, consumers, cas FROM project_quotas WHERE project = $1");
const LIST: Sql = Sql::both(
    "SELECT project, secrets, orders, containers, consumers, cas FROM project_quotas \
     ORDER BY created_at, project LIMIT $1 OFFSET $2",
);
const COUNT: Sql = Sql::both("SELECT COUNT(*) FROM project_quotas");
const MERGE: Sql = Sql::both(
    "INSERT INTO project_quotas (project, secrets, orders, containers, consumers, cas, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (project) DO UPDATE SET \
     secrets = COALESCE(excluded.secrets, project_quotas.secrets), \
     orders = COALESCE(excluded.orders, project_quotas.orders), \
     containers = COALESCE(excluded.containers, project_quotas.containers), \
     consumers = COALESCE(excluded.consumers, project_quotas.consumers), \
     cas = COALESCE(excluded.cas, project_quotas.cas), updated_at = excluded.updated_at",
);
const DELETE: Sql = Sql::both("DELETE FROM project_quotas WHERE project = $1");

/// A project's own quotas, if it has any.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(connection: &C, project: &ProjectId) -> Result<Option<ProjectQuotas>, Error> {
    let row = connection.query_one_raw(FIND.with(connection, [project.as_str().into()])).await;
    let row = row.explain("find quotas")?;
    row.as_ref().map(|row| read(&mut Cells::of(row))).transpose().explain("find quotas")
}

/// The projects that have quotas of their own, by when they first had.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(connection: &C, page: PageRequest) -> Result<Page<QuotaEntry>, Error> {
    let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let values = [bounded(page.limit).into(), bounded(page.offset).into()];
    let rows = connection.query_all_raw(LIST.with(connection, values)).await.explain("list quotas")?;
    let entry = |row| {
        let mut cells = Cells::of(row);
        Ok(QuotaEntry { project: cells.parse()?, quotas: read(&mut cells)? })
    };
    let items = rows.iter().map(entry).collect::<Result<_, _>>().explain("list quotas")?;
    let total = number(connection, &COUNT, []).await.explain("count quotas")?;
    Ok(Page { items, total })
}

fn read(cells: &mut Cells<'_>) -> Result<ProjectQuotas, DbErr> {
    Ok(ProjectQuotas {
        secrets: cells.take()?,
        orders: cells.take()?,
        containers: cells.take()?,
        consumers: cells.take()?,
        cas: cells.take()?,
    })
}

async fn number<C: ConnectionTrait>(
    connection: &C,
    sql: &Sql,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let row = connection.query_one_raw(sql.with(connection, values)).await?;
    let number: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// Changes a project's own quotas; what `change` doesn't mention stays. Once it is committed, whatever
/// is created meets the new limits.
///
/// # Errors
/// `Unavailable`, also when others keep writing for too long.
pub async fn merge<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    defaults: &Quotas,
    change: &ProjectQuotas,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    lock(tx, project).await?;
    let before = find(tx, project).await?.unwrap_or_default();
    wait_for_unlimited(tx, &defaults.with(&before), &defaults.with(&before.merged(change))).await?;
    let ProjectQuotas { secrets, orders, containers, consumers, cas } = *change;
    let values = [project.as_str().into(), secrets.into(), orders.into(), containers.into(), consumers.into()];
    let values = values.into_iter().chain([cas.into(), now.trunc_subsecs(6).into()]);
    tx.execute_raw(MERGE.with(tx, values)).await.explain("merge quotas")?;
    Ok(())
}

/// Removes a project's own quotas; whether it had any. From then on the defaults count.
///
/// # Errors
/// `Unavailable`, also when others keep writing for too long.
pub async fn delete<C: ConnectionTrait>(tx: &C, project: &ProjectId, defaults: &Quotas) -> Result<bool, Error> {
    lock(tx, project).await?;
    let Some(before) = find(tx, project).await? else { return Ok(false) };
    wait_for_unlimited(tx, &defaults.with(&before), defaults).await?;
    let deleted = tx.execute_raw(DELETE.with(tx, [project.as_str().into()])).await.explain("delete quotas")?;
    Ok(deleted.rows_affected() > 0)
}

/// Whether there is room in a project for all that is `wanted`. In a limited project it stays so until
/// the transaction ends: nobody else gets the same room.
///
/// # Errors
/// `Unavailable`.
pub async fn reserve<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    defaults: &Quotas,
    wanted: &[(Counted, u64)],
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    announce(tx, wanted).await?;
    let is_limited = |quotas: &Quotas| some(wanted).any(|(counted, _)| quotas.limit(counted).is_some());
    if !is_limited(&effective(tx, project, defaults).await?) {
        return Ok(true);
    }
    lock(tx, project).await?;
    has_room(tx, project, defaults, wanted, now).await
}

/// Whether there is room just now; without the lock, that is a guess.
///
/// # Errors
/// `Unavailable`.
pub async fn has_room<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    defaults: &Quotas,
    wanted: &[(Counted, u64)],
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let quotas = effective(connection, project, defaults).await?;
    for (counted, number) in some(wanted) {
        let Some(limit) = quotas.limit(counted) else { continue };
        if count(connection, project, counted, limit, now).await?.saturating_add(number) > limit {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whoever wants none of something needs no room for it, however much too many there are.
fn some(wanted: &[(Counted, u64)]) -> impl Iterator<Item = (Counted, u64)> {
    wanted.iter().copied().filter(|(_, number)| *number > 0)
}

async fn effective<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    defaults: &Quotas,
) -> Result<Quotas, Error> {
    Ok(defaults.with(&find(connection, project).await?.unwrap_or_default()))
}

const COUNT_SECRETS: Sql = Sql::both(
    "SELECT CAST((SELECT COUNT(*) FROM (SELECT 1 FROM secrets \
     WHERE project = $1 AND (expires_at IS NULL OR expires_at > $3) LIMIT $2) found) + \
     (SELECT COALESCE(SUM(charged_secrets), 0) FROM orders WHERE project = $1 AND status = 'PENDING') AS bigint)",
);
const COUNT_CONTAINERS: Sql = Sql::both(
    "SELECT CAST((SELECT COUNT(*) FROM (SELECT 1 FROM containers WHERE project = $1 LIMIT $2) found) + \
     (SELECT COALESCE(SUM(charged_containers), 0) FROM orders WHERE project = $1 AND status = 'PENDING') AS bigint)",
);
const COUNT_ORDERS: Sql = Sql::both("SELECT COUNT(*) FROM (SELECT 1 FROM orders WHERE project = $1 LIMIT $2) found");
const COUNT_SECRET_CONSUMERS: Sql =
    Sql::both("SELECT COUNT(*) FROM (SELECT 1 FROM secret_consumers WHERE project = $1 LIMIT $2) found");
const COUNT_CONTAINER_CONSUMERS: Sql =
    Sql::both("SELECT COUNT(*) FROM (SELECT 1 FROM container_consumers WHERE project = $1 LIMIT $2) found");
const COUNT_CAS: Sql = Sql::both("SELECT COUNT(*) FROM (SELECT 1 FROM cas WHERE project = $1 LIMIT $2) found");

/// How many there are; beyond `limit` it is not looked at more than it takes to know.
async fn count<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    counted: Counted,
    limit: u64,
    now: DateTime<Utc>,
) -> Result<u64, Error> {
    let values: [Value; 2] = [project.as_str().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let values = values.into_iter();
    let count = match counted {
        Counted::Secrets => number(connection, &COUNT_SECRETS, values.chain([now.trunc_subsecs(6).into()])).await,
        Counted::Containers => number(connection, &COUNT_CONTAINERS, values).await,
        Counted::Orders => number(connection, &COUNT_ORDERS, values).await,
        Counted::SecretConsumers => number(connection, &COUNT_SECRET_CONSUMERS, values).await,
        Counted::ContainerConsumers => number(connection, &COUNT_CONTAINER_CONSUMERS, values).await,
        Counted::Cas => number(connection, &COUNT_CAS, values).await,
    };
    count.explain("count against quota")
}

// SQLite has one writer at a time: what follows is for PostgreSQL alone.

/// An advisory lock and not the project's row: there may be none where the default limits, and it may
/// come and go. Projects whose names hash alike share one, which only makes them wait for each other.
const LOCK: Sql = Sql::both("SELECT pg_advisory_xact_lock(7369, hashtext($1))");

async fn lock<C: ConnectionTrait>(tx: &C, project: &ProjectId) -> Result<(), Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.query_one_raw(LOCK.with(tx, [project.as_str().into()])).await.explain("lock quota")?;
    }
    Ok(())
}

/// Takes what inserting takes anyway, but before the limits are read: they can't be set in between.
async fn announce<C: ConnectionTrait>(tx: &C, wanted: &[(Counted, u64)]) -> Result<(), Error> {
    let tables: Vec<&str> = some(wanted).filter_map(|(counted, _)| written(counted).first().copied()).collect();
    if tx.get_database_backend() == DbBackend::Postgres && !tables.is_empty() {
        let announcement = format!("LOCK TABLE {} IN ROW EXCLUSIVE MODE", tables.join(", "));
        tx.execute_unprepared(&announcement).await.explain("announce writing")?;
    }
    Ok(())
}

/// Waits for everybody who began to write before a limit came to be and didn't look for room; who begins
/// later waits, and meets the limit.
async fn wait_for_unlimited<C: ConnectionTrait>(tx: &C, before: &Quotas, after: &Quotas) -> Result<(), Error> {
    let newly = |counted: &Counted| before.limit(*counted).is_none() && after.limit(*counted).is_some();
    let mut tables: Vec<&str> = Counted::ALL.into_iter().filter(newly).flat_map(written).copied().collect();
    tables.sort_unstable();
    tables.dedup();
    if tx.get_database_backend() == DbBackend::Postgres && !tables.is_empty() {
        // Others queue behind whoever waits for a table; a second more than autovacuum takes to give way.
        tx.execute_unprepared("SET LOCAL lock_timeout = '2s'").await.explain("bound waiting")?;
        let waiting = format!("LOCK TABLE {} IN SHARE MODE", tables.join(", "));
        tx.execute_unprepared(&waiting).await.explain("wait for writers")?;
    }
    Ok(())
}

/// The tables that hold what is counted, and charges for it.
const fn written(counted: Counted) -> &'static [&'static str] {
    match counted {
        Counted::Secrets => &["secrets", "orders"],
        Counted::Orders => &["orders"],
        Counted::Containers => &["containers", "orders"],
        Counted::SecretConsumers => &["secret_consumers"],
        Counted::ContainerConsumers => &["container_consumers"],
        Counted::Cas => &["cas"],
    }
}
