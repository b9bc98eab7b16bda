//! Payloads whose secrets are gone, until their stores have destroyed them.

use bailey_core::ids::{MasterKeyId, ProjectId, StoreId, WriteId};
use bailey_core::store::Place;
use bailey_sql::{Error, Explain, Sql, parse};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::entity::deletions::{Column, Entity, Model};

/// Bytes to destroy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Whose bytes they were.
    pub place: Place,
    /// The store that holds them.
    pub store: StoreId,
    /// The store's reference, sealed.
    pub reference: Vec<u8>,
    /// The version of the worker key it is sealed under.
    pub key: MasterKeyId,
    /// How often it was tried in vain.
    pub attempts: i32,
}

/// Up to `limit` deletions that are due, longest due first.
///
/// # Errors
/// `Unavailable`.
pub async fn due<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>, limit: u64) -> Result<Vec<Deletion>, Error> {
    let query = Entity::find()
        .filter(Column::NextAttemptAt.lte(now.trunc_subsecs(6)))
        .order_by_asc(Column::NextAttemptAt)
        .order_by_asc(Column::WriteId)
        .limit(limit);
    let rows = query.all(connection).await.explain("list deletions")?;
    rows.into_iter().map(read).collect::<Result<_, _>>().explain("list deletions")
}

/// Up to `limit` deletions of a project, due or not, with write ids above `after`, by write id.
///
/// # Errors
/// `Unavailable`.
pub async fn of_project<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    after: Option<WriteId>,
    limit: u64,
) -> Result<Vec<Deletion>, Error> {
    let query = Entity::find()
        .filter(Column::Project.eq(project.as_str()))
        .filter(Column::WriteId.gt(after.map_or(Uuid::nil(), WriteId::uuid)))
        .order_by_asc(Column::WriteId)
        .limit(limit);
    let rows = query.all(connection).await.explain("list deletions of project")?;
    rows.into_iter().map(read).collect::<Result<_, _>>().explain("list deletions of project")
}

fn read(row: Model) -> Result<Deletion, DbErr> {
    let place = Place { project: parse(&row.project)?, secret: row.secret_id.into(), write: row.write_id.into() };
    Ok(Deletion {
        place,
        store: row.store_id.into(),
        reference: row.reference,
        key: row.reference_key.into(),
        attempts: row.attempts,
    })
}

const FINISH_WRITE: Sql = Sql::both("DELETE FROM writes WHERE write_id = $1 AND state = 'dead'");
const FINISH: Sql = Sql::both("DELETE FROM deletions WHERE write_id = $1");
const POSTPONE: Sql =
    Sql::both("UPDATE deletions SET attempts = attempts + 1, next_attempt_at = $2 WHERE write_id = $1");

/// Forgets a deletion and its write: the bytes are destroyed. Idempotent.
///
/// # Errors
/// `Unavailable`.
pub async fn finish<C: ConnectionTrait>(tx: &C, write: WriteId) -> Result<(), Error> {
    for sql in [FINISH_WRITE, FINISH] {
        tx.execute_raw(sql.with(tx, [write.uuid().into()])).await.explain("finish deletion")?;
    }
    Ok(())
}

/// Counts a vain attempt and sets the time of the next.
///
/// # Errors
/// `Unavailable`.
pub async fn postpone<C: ConnectionTrait>(tx: &C, write: WriteId, next_attempt_at: DateTime<Utc>) -> Result<(), Error> {
    let values = [write.uuid().into(), next_attempt_at.trunc_subsecs(6).into()];
    tx.execute_raw(POSTPONE.with(tx, values)).await.explain("postpone deletion")?;
    Ok(())
}

/// How many payloads are yet to be destroyed.
///
/// # Errors
/// `Unavailable`.
pub async fn count<C: ConnectionTrait>(connection: &C) -> Result<u64, Error> {
    Entity::find().count(connection).await.explain("count deletions")
}

/// How many payloads are yet to be destroyed in a store; of one project, if there is one.
///
/// # Errors
/// `Unavailable`.
pub async fn count_in<C: ConnectionTrait>(
    connection: &C,
    store: StoreId,
    project: Option<&ProjectId>,
) -> Result<u64, Error> {
    let mut query = Entity::find().filter(Column::StoreId.eq(store.uuid()));
    if let Some(project) = project {
        query = query.filter(Column::Project.eq(project.as_str()));
    }
    query.count(connection).await.explain("count deletions")
}
