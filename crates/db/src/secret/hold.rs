//! Secrets that others are about to refer to.

use bailey_core::ids::{ProjectId, SecretId};
use bailey_sql::{Error, Explain};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::entity::secrets::{Column, Entity};

/// Ids of one statement: both engines limit its parameters, SQLite to 32,766.
const IDS_AT_ONCE: usize = 1_000;

/// Keeps secrets of a project from being deleted until the transaction ends; whether all of them are there
/// and none has expired. Each is named once.
///
/// # Errors
/// `Unavailable`.
pub async fn hold<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    secrets: &[SecretId],
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let unexpired = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now.trunc_subsecs(6)));
    for secrets in secrets.chunks(IDS_AT_ONCE) {
        let query = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Project.eq(project.as_str()))
            .filter(Column::Id.is_in(secrets.iter().map(|id| id.uuid())))
            .filter(unexpired.clone())
            // In one order, so that two who hold the same secrets don't wait for each other.
            .order_by_asc(Column::Id)
            .lock(LockType::KeyShare);
        let found: Vec<sea_orm::prelude::Uuid> = query.into_tuple().all(tx).await.explain("hold secrets")?;
        if found.len() < secrets.len() {
            return Ok(false);
        }
    }
    Ok(true)
}
