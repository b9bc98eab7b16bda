//! What belongs to a secret or to a container alike.

use bailey_core::ids::{EntityId, ProjectId};
use bailey_sql::{Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;

/// One statement for what belongs to secrets, and its like for containers.
pub(crate) struct PerKind {
    pub secret: Sql,
    pub container: Sql,
}

impl PerKind {
    pub(crate) const fn of(&self, entity: EntityId) -> &Sql {
        match entity {
            EntityId::Secret(_) => &self.secret,
            EntityId::Container(_) => &self.container,
        }
    }
}

/// How tables that hold something of both tell them apart.
pub(crate) const fn kind(entity: EntityId) -> &'static str {
    match entity {
        EntityId::Secret(_) => "secret",
        EntityId::Container(_) => "container",
    }
}

const LOCK: PerKind = PerKind {
    secret: Sql {
        sqlite: "SELECT id FROM secrets WHERE id = $1 AND project = $2",
        postgres: "SELECT id FROM secrets WHERE id = $1 AND project = $2 FOR UPDATE",
    },
    container: Sql {
        sqlite: "SELECT id FROM containers WHERE id = $1 AND project = $2",
        postgres: "SELECT id FROM containers WHERE id = $1 AND project = $2 FOR UPDATE",
    },
};

/// Keeps everybody else from changing the entity and what belongs to it until the transaction ends.
///
/// # Errors
/// `NotFound` if there is no such entity in the project; `Unavailable`.
pub(crate) async fn hold<C: ConnectionTrait>(tx: &C, project: &ProjectId, entity: EntityId) -> Result<(), Error> {
    let question = LOCK.of(entity).with(tx, [entity.uuid().into(), project.as_str().into()]);
    match tx.query_one_raw(question).await.explain("lock entity")? {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::NotFound, "lock entity", "")),
    }
}

const TOUCH: PerKind = PerKind {
    secret: Sql::both("UPDATE secrets SET updated_at = $3 WHERE id = $1 AND project = $2"),
    container: Sql::both("UPDATE containers SET updated_at = $3 WHERE id = $1 AND project = $2"),
};

/// Notes that the entity changed, and holds it as [`hold`] does.
///
/// # Errors
/// As [`hold`].
pub(crate) async fn touch<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    entity: EntityId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let values = [entity.uuid().into(), project.as_str().into(), now.trunc_subsecs(6).into()];
    let touched = tx.execute_raw(TOUCH.of(entity).with(tx, values)).await.explain("touch entity")?;
    if touched.rows_affected() == 0 { Err(Error::new(ErrorKind::NotFound, "touch entity", "")) } else { Ok(()) }
}
