//! The CAs that projects have chosen. A project that has chosen any prefers one of them, whatever happens at once:
//! every change of its choice waits for the project's lock.

use bailey_core::ids::{CaId, ProjectId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Value};

use super::EVERYBODY;

/// SQLite has one writer at a time anyway.
const LOCK: Sql = Sql::both("SELECT pg_advisory_xact_lock(7370, hashtext($1))");

/// Keeps everybody else from changing what a project has of CAs until the transaction ends.
///
/// # Errors
/// `Unavailable`.
pub async fn lock<C: ConnectionTrait>(tx: &C, project: &ProjectId) -> Result<(), Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.query_one_raw(LOCK.with(tx, [project.as_str().into()])).await.explain("lock choice of CAs")?;
    }
    Ok(())
}

const CHOOSE: Sql = Sql::both(
    "INSERT INTO project_cas (project, ca_id, created_at) VALUES ($1, $2, $3) ON CONFLICT (project, ca_id) DO NOTHING",
);

const PREFER_FIRST: Sql = Sql::both(
    "INSERT INTO preferred_cas (project, ca_id, updated_at) VALUES ($1, $2, $3) ON CONFLICT (project) DO NOTHING",
);

/// Has a project choose a CA, and prefer it if it prefers none.
///
/// # Errors
/// `Unavailable`.
pub async fn choose<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: CaId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    for sql in [CHOOSE, PREFER_FIRST] {
        let values = [project.as_str().into(), id.uuid().into(), now.trunc_subsecs(6).into()];
        tx.execute_raw(sql.with(tx, values)).await.explain("choose CA")?;
    }
    Ok(())
}

const DISMISS: Sql = Sql::both("DELETE FROM project_cas WHERE project = $1 AND ca_id = $2");

/// Takes a choice back; whether there was such a one.
///
/// # Errors
/// `Unavailable`.
pub async fn dismiss<C: ConnectionTrait>(tx: &C, project: &ProjectId, id: CaId) -> Result<bool, Error> {
    let values = [project.as_str().into(), id.uuid().into()];
    let dismissed = tx.execute_raw(DISMISS.with(tx, values)).await.explain("dismiss CA")?;
    Ok(dismissed.rows_affected() > 0)
}

const HAS_CHOSEN: Sql = Sql::both("SELECT 1 FROM project_cas WHERE project = $1 LIMIT 1");
const HAS_CHOSEN_THIS: Sql = Sql::both("SELECT 1 FROM project_cas WHERE project = $1 AND ca_id = $2");

/// What there is to go by where an order names no CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// What the project prefers.
    pub preferred: Option<CaId>,
    /// What all prefer that prefer none themselves.
    pub preferred_by_all: Option<CaId>,
    /// Whether the project has chosen any CA: then its orders go to chosen ones only.
    pub has_chosen_any: bool,
}

const FIND: Sql = Sql::both(
    "SELECT (SELECT ca_id FROM preferred_cas WHERE project = $1), (SELECT ca_id FROM preferred_cas WHERE project = $2), \
     (SELECT ca_id FROM project_cas WHERE project = $1 LIMIT 1)",
);

/// What a project has chosen.
///
/// # Errors
/// `Unavailable`.
pub async fn choice<C: ConnectionTrait>(connection: &C, project: &ProjectId) -> Result<Choice, Error> {
    let values = [project.as_str().into(), EVERYBODY.into()];
    let row = connection.query_one_raw(FIND.with(connection, values)).await.explain("find choice of CA")?;
    let Some(row) = row else { return Ok(Choice::default()) };
    let mut cells = Cells::of(&row);
    let mut id = || -> Result<_, DbErr> { Ok(cells.take::<Option<Uuid>>()?.map(CaId::from)) };
    let mut read = || Ok(Choice { preferred: id()?, preferred_by_all: id()?, has_chosen_any: id()?.is_some() });
    read().explain("find choice of CA")
}

/// Whether a project has chosen any CA.
///
/// # Errors
/// `Unavailable`.
pub async fn has_chosen_any<C: ConnectionTrait>(connection: &C, project: &ProjectId) -> Result<bool, Error> {
    is_there(connection, &HAS_CHOSEN, [project.as_str().into()]).await
}

/// Whether a project has chosen this CA.
///
/// # Errors
/// `Unavailable`.
pub async fn has_chosen<C: ConnectionTrait>(connection: &C, project: &ProjectId, id: CaId) -> Result<bool, Error> {
    is_there(connection, &HAS_CHOSEN_THIS, [project.as_str().into(), id.uuid().into()]).await
}

async fn is_there<C: ConnectionTrait>(
    connection: &C,
    sql: &Sql,
    values: impl IntoIterator<Item = Value>,
) -> Result<bool, Error> {
    Ok(connection.query_one_raw(sql.with(connection, values)).await.explain("look for chosen CA")?.is_some())
}

const PROJECTS: Sql = Sql::both("SELECT project FROM project_cas WHERE ca_id = $1 ORDER BY created_at, project");

/// The projects that have chosen a CA, by when they did.
///
/// # Errors
/// `Unavailable`.
pub async fn projects<C: ConnectionTrait>(connection: &C, id: CaId) -> Result<Vec<ProjectId>, Error> {
    let rows = connection.query_all_raw(PROJECTS.with(connection, [id.uuid().into()])).await;
    let projects = rows.explain("list projects of CA")?.iter().map(|row| Cells::of(row).parse()).collect();
    Result::<_, DbErr>::explain(projects, "list projects of CA")
}
