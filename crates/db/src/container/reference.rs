//! What is in containers.

use std::collections::HashMap;

use bailey_core::container::SecretReference;
use bailey_core::ids::{ContainerId, ProjectId};
use bailey_sql::{Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set};

use crate::container::lock;
use crate::entity::container_secrets::{ActiveModel, Column, Entity};

/// Rows of one statement: both engines limit its parameters, SQLite to 32,766.
const ROWS_AT_ONCE: usize = 1_000;

/// What these containers hold, each list in the order in which it came. Whether the caller may see the
/// containers has been decided where their ids came from.
///
/// # Errors
/// `Unavailable`.
pub async fn references<C: ConnectionTrait>(
    connection: &C,
    containers: &[ContainerId],
) -> Result<HashMap<ContainerId, Vec<SecretReference>>, Error> {
    let mut references: HashMap<ContainerId, Vec<SecretReference>> = HashMap::new();
    if containers.is_empty() {
        return Ok(references);
    }
    let query = Entity::find()
        .filter(Column::ContainerId.is_in(containers.iter().map(|id| id.uuid())))
        .order_by_asc(Column::ContainerId)
        .order_by_asc(Column::Position);
    for row in query.all(connection).await.explain("list references")? {
        let reference = SecretReference { name: row.name, secret: row.secret_id.into() };
        references.entry(row.container_id.into()).or_default().push(reference);
    }
    Ok(references)
}

pub(super) async fn insert<C: ConnectionTrait>(
    tx: &C,
    container: ContainerId,
    references: &[SecretReference],
) -> Result<(), Error> {
    let rows = references.iter().zip(0..).map(|(reference, position)| row(container, position, reference));
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        Entity::insert_many(rows.to_vec()).exec_without_returning(tx).await.explain("insert references")?;
    }
    Ok(())
}

fn row(container: ContainerId, position: i32, reference: &SecretReference) -> ActiveModel {
    ActiveModel {
        container_id: Set(container.uuid()),
        position: Set(position),
        secret_id: Set(reference.secret.uuid()),
        name: Set(reference.name.clone()),
    }
}

macro_rules! pair {
    () => {
        "container_id = (SELECT c.id FROM containers c WHERE c.id = $1 AND c.project = $2) \
         AND secret_id = $3 AND name IS NOT DISTINCT FROM $4"
    };
}

const FIND: Sql = Sql::both(concat!("SELECT 1 FROM container_secrets WHERE ", pair!()));
const LAST: Sql = Sql::both("SELECT COALESCE(MAX(position), -1) FROM container_secrets WHERE container_id = $1");
const REMOVE: Sql = Sql::both(concat!("DELETE FROM container_secrets WHERE ", pair!()));

/// What became of a reference that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    Yes,
    /// It was there already: the same secret under the same name.
    Twin,
    /// There is no such container in the project.
    NoContainer,
}

/// Adds a reference behind the others. Whether the secret may be there is asked before, by
/// [`secret::hold`](crate::secret::hold).
///
/// # Errors
/// `InUse` if there is no such secret; `Unavailable`.
pub async fn add_reference<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    container: ContainerId,
    reference: &SecretReference,
) -> Result<Added, Error> {
    // Without it, two could add the same pair at once: no unique key compares absent names.
    if !lock(tx, project, container).await? {
        return Ok(Added::NoContainer);
    }
    let find = FIND.with(tx, values(project, container, reference));
    if tx.query_one_raw(find).await.explain("find reference")?.is_some() {
        return Ok(Added::Twin);
    }
    let last = tx.query_one_raw(LAST.with(tx, [container.uuid().into()])).await;
    let last: i32 =
        last.and_then(|row| row.map_or(Ok(-1), |row| row.try_get_by_index(0))).explain("count references")?;
    let row = row(container, last + 1, reference);
    Entity::insert(row).exec_without_returning(tx).await.explain("insert reference")?;
    Ok(Added::Yes)
}

/// Removes a reference; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn remove_reference<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    container: ContainerId,
    reference: &SecretReference,
) -> Result<bool, Error> {
    let remove = REMOVE.with(tx, values(project, container, reference));
    Ok(tx.execute_raw(remove).await.explain("remove reference")?.rows_affected() > 0)
}

const TOUCH: Sql = Sql::both("UPDATE containers SET updated_at = $3 WHERE id = $1 AND project = $2");
const TAKE_OUT: Sql = Sql::both(
    "DELETE FROM container_secrets \
     WHERE container_id = (SELECT c.id FROM containers c WHERE c.id = $1 AND c.project = $2) AND name = $3",
);

/// Puts these secrets into a container in place of those that are there under any of `names`; whether the container
/// is there. The secrets that were there stay what they are, elsewhere.
///
/// # Errors
/// `InUse` if there is no such secret; `Unavailable`.
pub async fn renew<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    container: ContainerId,
    names: &[&str],
    references: &[SecretReference],
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    if !lock(tx, project, container).await? {
        return Ok(false);
    }
    for name in names {
        let values = [container.uuid().into(), project.as_str().into(), (*name).into()];
        tx.execute_raw(TAKE_OUT.with(tx, values)).await.explain("renew references")?;
    }
    for reference in references {
        add_reference(tx, project, container, reference).await?;
    }
    let values = [container.uuid().into(), project.as_str().into(), now.trunc_subsecs(6).into()];
    tx.execute_raw(TOUCH.with(tx, values)).await.explain("renew references")?;
    Ok(true)
}

fn values(project: &ProjectId, container: ContainerId, reference: &SecretReference) -> [sea_orm::Value; 4] {
    let SecretReference { name, secret } = reference;
    [container.uuid().into(), project.as_str().into(), secret.uuid().into(), name.as_deref().into()]
}
