//! Access control lists.

use bailey_core::ids::{SecretId, UserId};
use bailey_sql::{Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, Set};

use crate::entity::acl_users::{ActiveModel, Entity};

const LOCK_SECRET: Sql = Sql {
    sqlite: "SELECT id FROM secrets WHERE id = $1",
    postgres: "SELECT id FROM secrets WHERE id = $1 FOR NO KEY UPDATE",
};
const PUT: Sql = Sql::both(
    "INSERT INTO acls (entity_kind, entity_id, operation, project_access, created_at, updated_at) \
     VALUES ('secret', $1, 'read', $2, $3, $3) ON CONFLICT (entity_id, entity_kind, operation) \
     DO UPDATE SET project_access = excluded.project_access, updated_at = excluded.updated_at",
);
const CLEAR_USERS: Sql =
    Sql::both("DELETE FROM acl_users WHERE entity_id = $1 AND entity_kind = 'secret' AND operation = 'read'");

/// Sets who may read a secret, of whatever project: the policy decided that the caller may. Users named
/// twice count once.
///
/// # Errors
/// `NotFound` if there is no such secret; `Unavailable`.
pub async fn put<C: ConnectionTrait>(
    tx: &C,
    secret: SecretId,
    project_access: bool,
    users: &[UserId],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    // An ACL belongs to one of several kinds of things, so no foreign key keeps its secret from going.
    let locked = tx.query_one_raw(LOCK_SECRET.with(tx, [secret.uuid().into()])).await.explain("lock secret")?;
    if locked.is_none() {
        return Err(Error::new(ErrorKind::NotFound, "put ACL", ""));
    }
    let values = [secret.uuid().into(), project_access.into(), now.trunc_subsecs(6).into()];
    tx.execute_raw(PUT.with(tx, values)).await.explain("put ACL")?;
    tx.execute_raw(CLEAR_USERS.with(tx, [secret.uuid().into()])).await.explain("clear ACL users")?;
    let mut users: Vec<&UserId> = users.iter().collect();
    users.sort_unstable();
    users.dedup();
    if users.is_empty() {
        return Ok(());
    }
    let rows = users.into_iter().map(|user| ActiveModel {
        entity_kind: Set("secret".to_owned()),
        entity_id: Set(secret.uuid()),
        operation: Set("read".to_owned()),
        user_id: Set(user.to_string()),
    });
    Entity::insert_many(rows).exec_without_returning(tx).await.explain("insert ACL users")?;
    Ok(())
}
