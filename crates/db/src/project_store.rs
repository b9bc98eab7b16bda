//! Which store a project prefers.

use bailey_core::ids::{ProjectId, StoreId};
use bailey_sql::{Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::entity::project_stores::Entity;

const PUT: Sql = Sql::both(
    "INSERT INTO project_stores (project, store_id, created_at, updated_at) VALUES ($1, $2, $3, $3) \
     ON CONFLICT (project) DO UPDATE SET store_id = excluded.store_id, updated_at = excluded.updated_at",
);
const DELETE: Sql = Sql::both("DELETE FROM project_stores WHERE project = $1");

/// The store that a project prefers, if it prefers one.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(connection: &C, project: &ProjectId) -> Result<Option<StoreId>, Error> {
    let row = Entity::find_by_id(project.as_str()).one(connection).await.explain("find preferred store")?;
    Ok(row.map(|row| row.store_id.into()))
}

/// Makes a project prefer a store.
///
/// # Errors
/// `Unavailable`.
pub async fn put<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    store: StoreId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let values = [project.as_str().into(), store.uuid().into(), now.trunc_subsecs(6).into()];
    tx.execute_raw(PUT.with(tx, values)).await.explain("prefer store")?;
    Ok(())
}

/// Makes a project prefer no store; whether it preferred one.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, project: &ProjectId) -> Result<bool, Error> {
    let deleted = tx.execute_raw(DELETE.with(tx, [project.as_str().into()])).await.explain("prefer no store")?;
    Ok(deleted.rows_affected() > 0)
}

const IS_PREFERRED: Sql = Sql::both("SELECT 1 FROM project_stores WHERE store_id = $1 LIMIT 1");

/// Whether any project prefers a store.
///
/// # Errors
/// `Unavailable`.
pub async fn is_preferred<C: ConnectionTrait>(connection: &C, store: StoreId) -> Result<bool, Error> {
    let row = connection.query_one_raw(IS_PREFERRED.with(connection, [store.uuid().into()])).await;
    Ok(row.explain("find preferred store")?.is_some())
}
