//! The CAs there are: configured ones, which are everybody's, and those that projects have below them.

use bailey_core::ca::{CaOrigin, CaQuery, ConfiguredCa};
use bailey_core::ids::{CaId, ProjectId};
use bailey_core::secret::Page;
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::SubsecRound;
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr, Value};

use crate::select::{Listed, Select};

const LISTED: Listed = Listed { columns: "c.id", table: "cas c", id: "c.id" };

fn read(cells: &mut Cells<'_>) -> Result<ConfiguredCa, DbErr> {
    let (id, name, plugin) = (cells.take::<Uuid>()?.into(), cells.take()?, cells.take()?);
    let (plugin_ca_id, description) = (cells.take()?, cells.take()?);
    let (parent, project, creator) = (cells.take::<Option<Uuid>>()?, cells.parse_some()?, cells.parse_some()?);
    let origin = match parent.zip(project) {
        Some((parent, project)) => CaOrigin::Project { parent: parent.into(), project, creator },
        None => CaOrigin::Configured,
    };
    let (created_at, updated_at) = (cells.take::<DateTimeUtc>()?, cells.take::<DateTimeUtc>()?);
    Ok(ConfiguredCa { id, name, plugin, plugin_ca_id, description, origin, created_at, updated_at })
}

const FIND: Sql = Sql::both(
    "SELECT id, name, plugin, plugin_ca_id, description, parent_id, project, creator, created_at, updated_at \
     FROM cas WHERE id = $1 AND (project IS NULL OR project = $2)",
);

/// A CA, if it is configured, or was, or is the project's own.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    id: CaId,
) -> Result<Option<ConfiguredCa>, Error> {
    let values = [id.uuid().into(), project.as_str().into()];
    let row = connection.query_one_raw(FIND.with(connection, values)).await.explain("find CA")?;
    row.map(|row| read(&mut Cells::of(&row))).transpose().explain("find CA")
}

/// Which CAs a list is of, beside the project's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that are configured.
    All,
    /// Those among them that the project has chosen.
    Chosen,
}

/// Part of a project's CAs, by creation: its own, and those of the `configured` ones that are in scope.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    query: &CaQuery,
    scope: Scope,
    configured: &[CaId],
) -> Result<Page<CaId>, Error> {
    let CaQuery { plugin, plugin_ca_id, page } = query;
    let mut select = Select::new(connection, LISTED.table);
    let mut values: Vec<Value> = vec![project.as_str().into()];
    values.extend(configured.iter().map(|id| Value::from(id.uuid())));
    // `IN` takes no empty list.
    let known = if configured.is_empty() { "NULL".to_owned() } else { vec!["?"; configured.len()].join(", ") };
    let mut condition = format!("(c.project = ? OR (c.project IS NULL AND c.id IN ({known})");
    if scope == Scope::Chosen {
        values.push(project.as_str().into());
        condition += " AND EXISTS (SELECT 1 FROM project_cas p WHERE p.project = ? AND p.ca_id = c.id)";
    }
    select.when_all(&(condition + "))"), values);
    for (column, value) in [("c.plugin = ?", plugin), ("c.plugin_ca_id = ?", plugin_ca_id)] {
        if let Some(value) = value {
            select.when(column, value.as_str());
        }
    }
    let total = select.count(connection).await.explain("count CAs")?;
    let order = "c.created_at ASC, c.id ASC";
    let id = |cells: &mut Cells<'_>| Ok(CaId::from(cells.take::<Uuid>()?));
    let items = select.page(connection, &LISTED, order, *page, id).await.explain("list CAs")?;
    Ok(Page { items, total })
}

const INSERT: Sql = Sql::both(
    "INSERT INTO cas (id, name, plugin, plugin_ca_id, description, parent_id, project, creator, created_at, \
     updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
);

/// Inserts a CA.
///
/// # Errors
/// `Conflict` if it is there; `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, ca: &ConfiguredCa) -> Result<(), Error> {
    let (parent, project, creator) = match &ca.origin {
        CaOrigin::Configured => (None, None, None),
        CaOrigin::Project { parent, project, creator } => (Some(parent), Some(project), creator.as_ref()),
    };
    let values = [
        ca.id.uuid().into(),
        ca.name.as_str().into(),
        ca.plugin.as_str().into(),
        ca.plugin_ca_id.as_str().into(),
        ca.description.as_deref().into(),
        parent.map(|id| id.uuid()).into(),
        project.map(|project| project.as_str()).into(),
        creator.map(|user| user.as_str()).into(),
        ca.created_at.trunc_subsecs(6).into(),
        ca.updated_at.trunc_subsecs(6).into(),
    ];
    tx.execute_raw(INSERT.with(tx, values)).await.explain("insert CA")?;
    Ok(())
}

const HAS_BELOW: Sql = Sql::both("SELECT 1 FROM cas WHERE parent_id = $1 AND project = $2 LIMIT 1");

/// Whether a project has CAs below one of its own.
///
/// # Errors
/// `Unavailable`.
pub async fn has_below<C: ConnectionTrait>(connection: &C, project: &ProjectId, id: CaId) -> Result<bool, Error> {
    let values = [id.uuid().into(), project.as_str().into()];
    let row = connection.query_one_raw(HAS_BELOW.with(connection, values)).await.explain("look for CAs below")?;
    Ok(row.is_some())
}

const LOWEST: Sql = Sql::both(
    "SELECT c.id, c.parent_id FROM cas c WHERE c.project = $1 AND c.parent_id IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM cas b WHERE b.parent_id = c.id) ORDER BY c.id LIMIT 1",
);

/// A CA of a project's with none below it, and the one above it; `None` once the project has none.
///
/// # Errors
/// `Unavailable`.
pub async fn lowest<C: ConnectionTrait>(connection: &C, project: &ProjectId) -> Result<Option<(CaId, CaId)>, Error> {
    let row = connection.query_one_raw(LOWEST.with(connection, [project.as_str().into()])).await;
    let Some(row) = row.explain("find lowest CA")? else { return Ok(None) };
    let mut cells = Cells::of(&row);
    let mut id = || cells.take::<Uuid>().map(CaId::from);
    Ok(Some((id().explain("find lowest CA")?, id().explain("find lowest CA")?)))
}

const DELETE: Sql = Sql::both("DELETE FROM cas WHERE id = $1 AND project = $2");

/// Deletes a CA of a project's; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, project: &ProjectId, id: CaId) -> Result<bool, Error> {
    let values = [id.uuid().into(), project.as_str().into()];
    let deleted = tx.execute_raw(DELETE.with(tx, values)).await.explain("delete CA")?;
    Ok(deleted.rows_affected() > 0)
}
