//! Access control lists of secrets and containers.

use bailey_core::acl::{Acl, AclChange};
use bailey_core::ids::{EntityId, ProjectId, UserId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryResult, Set};

use crate::entity::acl_users::{ActiveModel, Entity};
use crate::owned::{PerKind, kind, touch};
use crate::target::read_users;

macro_rules! find {
    ($kind:literal, $table:literal, $aggregate:literal) => {
        concat!(
            "SELECT a.project_access, a.created_at, a.updated_at, (SELECT ",
            $aggregate,
            " FROM acl_users u WHERE u.entity_id = a.entity_id AND u.entity_kind = '",
            $kind,
            "' AND u.operation = 'read') FROM ",
            $table,
            " e JOIN acls a ON a.entity_id = e.id AND a.entity_kind = '",
            $kind,
            "' AND a.operation = 'read' WHERE e.id = $1 AND e.project = $2"
        )
    };
    ($kind:literal, $table:literal) => {
        Sql {
            sqlite: find!($kind, $table, "json_group_array(u.user_id)"),
            postgres: find!($kind, $table, "CAST(json_agg(u.user_id) AS text)"),
        }
    };
}

const FIND: PerKind = PerKind { secret: find!("secret", "secrets"), container: find!("container", "containers") };

/// The ACL of a secret or container, if one was stored.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    entity: EntityId,
) -> Result<Option<Acl>, Error> {
    let question = FIND.of(entity).with(connection, [entity.uuid().into(), project.as_str().into()]);
    let row = connection.query_one_raw(question).await;
    row.and_then(|row| row.as_ref().map(read).transpose()).explain("find ACL")
}

fn read(row: &QueryResult) -> Result<Acl, DbErr> {
    let mut cells = Cells::of(row);
    Ok(Acl {
        project_access: cells.take()?,
        created_at: cells.take()?,
        updated_at: cells.take()?,
        users: read_users(cells.take::<Option<String>>()?.as_deref())?,
    })
}

const PUT: Sql = Sql::both(
    "INSERT INTO acls (entity_kind, entity_id, operation, project_access, created_at, updated_at) \
     VALUES ($2, $1, 'read', COALESCE($3, TRUE), $4, $4) ON CONFLICT (entity_id, entity_kind, operation) \
     DO UPDATE SET project_access = COALESCE($3, acls.project_access), updated_at = excluded.updated_at",
);

/// Changes the ACL of a secret or container, or makes one. What `change` doesn't say stays as it is, or is
/// as by default in a new one. Users named twice count once.
///
/// # Errors
/// `NotFound` if there is no such entity in the project; `Unavailable`.
pub async fn put<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    entity: EntityId,
    change: &AclChange,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    // An ACL belongs to one of several kinds of things, so no foreign key keeps its entity from going.
    touch(tx, project, entity, now).await?;
    let values = [entity.uuid().into(), kind(entity).into(), change.project_access.into(), now.trunc_subsecs(6).into()];
    tx.execute_raw(PUT.with(tx, values)).await.explain("put ACL")?;
    match &change.users {
        Some(users) => replace_users(tx, entity, users).await,
        None => Ok(()),
    }
}

const CLEAR_USERS: Sql =
    Sql::both("DELETE FROM acl_users WHERE entity_id = $1 AND entity_kind = $2 AND operation = 'read'");

/// Rows of one statement: both engines limit its parameters, SQLite to 32,766.
const ROWS_AT_ONCE: usize = 1_000;

async fn replace_users<C: ConnectionTrait>(tx: &C, entity: EntityId, users: &[UserId]) -> Result<(), Error> {
    let values = [entity.uuid().into(), kind(entity).into()];
    tx.execute_raw(CLEAR_USERS.with(tx, values)).await.explain("clear ACL users")?;
    let mut users: Vec<&UserId> = users.iter().collect();
    users.sort_unstable();
    users.dedup();
    for users in users.chunks(ROWS_AT_ONCE) {
        let rows = users.iter().map(|user| ActiveModel {
            entity_kind: Set(kind(entity).to_owned()),
            entity_id: Set(entity.uuid()),
            operation: Set("read".to_owned()),
            user_id: Set(user.to_string()),
        });
        Entity::insert_many(rows).exec_without_returning(tx).await.explain("insert ACL users")?;
    }
    Ok(())
}

macro_rules! delete {
    ($kind:literal, $table:literal) => {
        Sql::both(concat!(
            "DELETE FROM acls WHERE entity_id = (SELECT e.id FROM ",
            $table,
            " e WHERE e.id = $1 AND e.project = $2) AND entity_kind = '",
            $kind,
            "' AND operation = 'read'"
        ))
    };
}

const DELETE: PerKind = PerKind { secret: delete!("secret", "secrets"), container: delete!("container", "containers") };

/// Removes the ACL of a secret or container, if there is one.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, project: &ProjectId, entity: EntityId) -> Result<(), Error> {
    let values = [entity.uuid().into(), project.as_str().into()];
    tx.execute_raw(DELETE.of(entity).with(tx, values)).await.explain("delete ACL")?;
    Ok(())
}
