//! Containers: rows, lists, and the references in them.

mod list;
mod reference;

use bailey_core::container::{Container, ContainerType};
use bailey_core::ids::{ContainerId, ProjectId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::SubsecRound;
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr};

use crate::counter;

pub use list::list;
pub use reference::{Added, add_reference, references, remove_reference, renew};

/// What the project's containers are counted as.
const RESOURCE: &str = "container";

/// The columns that [`read`] expects, of a table called `c`.
macro_rules! container_columns {
    () => {
        "c.id, c.project, c.creator, c.name, c.container_type, c.created_at, c.updated_at"
    };
}
pub(crate) use container_columns;

pub(crate) fn read(cells: &mut Cells<'_>) -> Result<Container, DbErr> {
    Ok(Container {
        id: cells.take::<Uuid>()?.into(),
        project: cells.parse()?,
        creator: cells.parse_some()?,
        name: cells.take()?,
        container_type: cells.parse::<ContainerType>()?,
        created_at: cells.take::<DateTimeUtc>()?,
        updated_at: cells.take::<DateTimeUtc>()?,
        secrets: Vec::new(),
        consumers: Vec::new(),
    })
}

const INSERT: Sql = Sql::both(
    "INSERT INTO containers (id, project, creator, name, container_type, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
const LOCK: Sql = Sql {
    sqlite: "SELECT id FROM containers WHERE id = $1 AND project = $2",
    postgres: "SELECT id FROM containers WHERE id = $1 AND project = $2 FOR UPDATE",
};
const DELETE_ACL: Sql = Sql::both("DELETE FROM acls WHERE entity_id = $1 AND entity_kind = 'container'");
const DELETE: Sql = Sql::both("DELETE FROM containers WHERE id = $1 AND project = $2");

/// Inserts a container with its references. Whether the secrets are there, the project's and not expired
/// is asked before, by [`secret::hold`](crate::secret::hold). Its `consumers` are not looked at.
///
/// # Errors
/// `InUse` if a secret isn't there; `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, container: &Container) -> Result<(), Error> {
    let values = [
        container.id.uuid().into(),
        container.project.as_str().into(),
        container.creator.as_ref().map(|user| user.as_str()).into(),
        container.name.as_deref().into(),
        container.container_type.as_str().into(),
        container.created_at.trunc_subsecs(6).into(),
        container.updated_at.trunc_subsecs(6).into(),
    ];
    tx.execute_raw(INSERT.with(tx, values)).await.explain("insert container")?;
    reference::insert(tx, container.id, &container.secrets).await?;
    counter::add(tx, &container.project, RESOURCE, 1).await
}

/// Keeps everybody else from changing the container and what belongs to it until the transaction ends;
/// whether it is there.
///
/// # Errors
/// `Unavailable`.
pub async fn lock<C: ConnectionTrait>(tx: &C, project: &ProjectId, id: ContainerId) -> Result<bool, Error> {
    let row = tx.query_one_raw(LOCK.with(tx, [id.uuid().into(), project.as_str().into()])).await;
    Ok(row.explain("lock container")?.is_some())
}

/// Deletes a container with its references, ACL and consumers; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, project: &ProjectId, id: ContainerId) -> Result<bool, Error> {
    // No foreign key takes the ACL along, and one that another transaction sets meanwhile must go too.
    if !lock(tx, project, id).await? {
        return Ok(false);
    }
    tx.execute_raw(DELETE_ACL.with(tx, [id.uuid().into()])).await.explain("delete ACL")?;
    let values = [id.uuid().into(), project.as_str().into()];
    tx.execute_raw(DELETE.with(tx, values)).await.explain("delete container")?;
    counter::add(tx, project, RESOURCE, -1).await?;
    Ok(true)
}
