//! What looks at all projects: for admin commands, audits and start-up. No request comes here.

use bailey_core::ids::{MasterKeyId, ProjectId, SecretId, StoreId, WriteId};
use bailey_core::store::Place;
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound as _, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::placement::{self, Placement};
use crate::select;

/// The placements that refer to a store, of a project if there is one in `$2`.
macro_rules! placed_in {
    ($columns:literal, $secret_columns:literal, $condition:literal) => {
        concat!(
            "SELECT ",
            $secret_columns,
            " FROM secrets WHERE store_id = $1 AND (CAST($2 AS text) IS NULL OR project = $2)",
            $condition,
            " UNION ALL SELECT ",
            $columns,
            " FROM order_inputs WHERE store_id = $1 AND (CAST($2 AS text) IS NULL OR project = $2)",
            $condition
        )
    };
}

const LIVE_PLACEMENTS: Sql = Sql::both(concat!(
    placed_in!(
        "secret_id, project, content_type, write_id, store_id, reference, reference_key",
        "id, project, content_type, write_id, store_id, reference, reference_key",
        " AND write_id > $3"
    ),
    " ORDER BY write_id LIMIT $4"
));

/// Up to `limit` placements of secrets and of orders' inputs in a store with write ids above `after`, by
/// write id; of one project, if there is one. Those of expired secrets are among them.
///
/// # Errors
/// `Unavailable`.
pub async fn live_placements<C: ConnectionTrait>(
    connection: &C,
    store: StoreId,
    project: Option<&ProjectId>,
    after: Option<WriteId>,
    limit: u64,
) -> Result<Vec<(Place, Placement)>, Error> {
    let after = after.map_or(Uuid::nil(), |write| write.uuid());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [store.uuid().into(), project.map(ProjectId::as_str).into(), after.into(), limit.into()];
    let query = LIVE_PLACEMENTS.with(connection, values);
    let rows = connection.query_all_raw(query).await.explain("list placements")?;
    rows.iter().map(read_placement).collect::<Result<_, _>>().explain("list placements")
}

const COUNT_PLACEMENTS: Sql =
    Sql::both(concat!("SELECT COUNT(*) FROM (", placed_in!("write_id", "write_id", ""), ") placed"));

/// How many placements [`live_placements`] would list. Reads every secret: not for every day.
///
/// # Errors
/// `Unavailable`.
pub async fn count_placements<C: ConnectionTrait>(
    connection: &C,
    store: StoreId,
    project: Option<&ProjectId>,
) -> Result<u64, Error> {
    let query = COUNT_PLACEMENTS.with(connection, [store.uuid().into(), project.map(ProjectId::as_str).into()]);
    select::total(connection, query).await.explain("count placements")
}

const SEALED_UNDER: Sql = Sql::both(
    "SELECT id, project, content_type, write_id, store_id, reference, reference_key FROM secrets \
     WHERE reference_key = $1 AND write_id > $2 \
     UNION ALL \
     SELECT secret_id, project, content_type, write_id, store_id, reference, reference_key FROM order_inputs \
     WHERE reference_key = $1 AND write_id > $2 ORDER BY write_id LIMIT $3",
);

/// Up to `limit` placements of secrets and of orders' inputs whose reference is sealed under a version of the
/// worker key, with write ids above `after`, by write id. Reads every secret: not for every day.
///
/// # Errors
/// `Unavailable`.
pub async fn sealed_under<C: ConnectionTrait>(
    connection: &C,
    key: MasterKeyId,
    after: Option<WriteId>,
    limit: u64,
) -> Result<Vec<(Place, Placement)>, Error> {
    let after = after.map_or(Uuid::nil(), |write| write.uuid());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = SEALED_UNDER.with(connection, [key.uuid().into(), after.into(), limit.into()]);
    let rows = connection.query_all_raw(query).await.explain("list sealed references")?;
    rows.iter().map(read_placement).collect::<Result<_, _>>().explain("list sealed references")
}

fn read_placement(row: &QueryResult) -> Result<(Place, Placement), DbErr> {
    let mut cells = Cells::of(row);
    let secret: SecretId = cells.take::<Uuid>()?.into();
    let project = cells.parse()?;
    let content_type = cells.parse_some()?;
    let placement = placement::read(&mut cells, content_type)?;
    let placement = placement.ok_or_else(|| DbErr::Type("a write without a placement".to_owned()))?;
    Ok((Place { project, secret, write: placement.write }, placement))
}

const EXPIRED: Sql = Sql::both(
    "SELECT expires_at, id FROM secrets WHERE expires_at <= $1 AND (expires_at, id) > ($2, $3) \
     ORDER BY expires_at, id LIMIT $4",
);

/// Up to `limit` secrets that had expired at `before`, longest expired first, with when they did; those
/// behind `after` in this order.
///
/// # Errors
/// `Unavailable`.
pub async fn expired<C: ConnectionTrait>(
    connection: &C,
    before: DateTime<Utc>,
    after: Option<(DateTime<Utc>, SecretId)>,
    limit: u64,
) -> Result<Vec<(DateTime<Utc>, SecretId)>, Error> {
    let (after, id) = after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |(time, id)| (time, id.uuid()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [before.trunc_subsecs(6).into(), after.trunc_subsecs(6).into(), id.into(), limit.into()];
    let rows = connection.query_all_raw(EXPIRED.with(connection, values)).await.explain("list expired secrets")?;
    let read = |row: &QueryResult| {
        let mut cells = Cells::of(row);
        Ok((cells.take::<DateTime<Utc>>()?, cells.take::<Uuid>()?.into()))
    };
    rows.iter().map(read).collect::<Result<_, _>>().explain("list expired secrets")
}

const COUNT_BY_REFERENCE_KEY: Sql = Sql::both(
    "SELECT reference_key, CAST(COUNT(*) AS bigint) FROM (\
     SELECT reference_key FROM secrets WHERE reference_key IS NOT NULL \
     UNION ALL SELECT reference_key FROM deletions \
     UNION ALL SELECT reference_key FROM order_inputs \
     UNION ALL SELECT fingerprint_key FROM idempotency_keys) used GROUP BY reference_key ORDER BY reference_key",
);

/// How many sealed references and fingerprints there are under each version of the worker key; versions without any are
/// not among them.
///
/// # Errors
/// `Unavailable`.
pub async fn count_by_reference_key<C: ConnectionTrait>(connection: &C) -> Result<Vec<(MasterKeyId, u64)>, Error> {
    let rows =
        connection.query_all_raw(COUNT_BY_REFERENCE_KEY.with(connection, [])).await.explain("count references")?;
    let read = |row: &QueryResult| {
        let mut cells = Cells::of(row);
        let key: Uuid = cells.take()?;
        let count: i64 = cells.take()?;
        Ok((key.into(), u64::try_from(count).unwrap_or_default()))
    };
    rows.iter().map(read).collect::<Result<_, _>>().explain("count references")
}

const ANYTHING: Sql = Sql::both(
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM secrets) OR EXISTS (SELECT 1 FROM writes) \
     OR EXISTS (SELECT 1 FROM deletions)",
);

/// Whether nothing was ever stored: no secret, no write, nothing to destroy.
///
/// # Errors
/// `Unavailable`.
pub async fn is_empty<C: ConnectionTrait>(connection: &C) -> Result<bool, Error> {
    Ok(connection.query_one_raw(ANYTHING.with(connection, [])).await.explain("look for anything")?.is_none())
}

const STORE_USE: Sql = Sql::both(
    "SELECT (SELECT COUNT(*) FROM secrets WHERE store_id = $1), (SELECT COUNT(*) FROM order_inputs WHERE store_id = $1), \
     (SELECT COUNT(*) FROM deletions WHERE store_id = $1), (SELECT COUNT(*) FROM project_stores WHERE store_id = $1)",
);

/// What needs a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreUse {
    /// Secrets whose payload is in it, expired ones included.
    pub secrets: u64,
    /// Inputs of orders that are in it.
    pub inputs: u64,
    /// Payloads in it that are yet to be destroyed, though what referred to them is gone.
    pub deletions: u64,
    /// Projects that prefer it.
    pub projects: u64,
}

/// What needs a store. Reads every secret: not for every day.
///
/// # Errors
/// `Unavailable`.
pub async fn store_use<C: ConnectionTrait>(connection: &C, store: StoreId) -> Result<StoreUse, Error> {
    let row = connection.query_one_raw(STORE_USE.with(connection, [store.uuid().into()])).await;
    let Some(row) = row.explain("count store")? else { return Ok(StoreUse::default()) };
    let mut cells = Cells::of(&row);
    let mut count = || cells.take::<i64>().map(|count| u64::try_from(count).unwrap_or_default());
    let mut read = || Ok(StoreUse { secrets: count()?, inputs: count()?, deletions: count()?, projects: count()? });
    read().explain("count store")
}

const PREFERRING: Sql = Sql::both("SELECT project FROM project_stores WHERE store_id = $1 ORDER BY project");

/// The projects that prefer a store.
///
/// # Errors
/// `Unavailable`.
pub async fn projects_preferring<C: ConnectionTrait>(connection: &C, store: StoreId) -> Result<Vec<ProjectId>, Error> {
    let rows = connection.query_all_raw(PREFERRING.with(connection, [store.uuid().into()])).await;
    let read = |row: &QueryResult| Cells::of(row).parse();
    rows.explain("list projects")?.iter().map(read).collect::<Result<_, DbErr>>().explain("list projects")
}
