//! Configured CAs by their permanent ids.

use bailey_core::ids::CaId;
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, Value};

const INSERT: Sql = Sql::both(
    "INSERT INTO cas (id, name, plugin, plugin_ca_id, description, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (id) DO NOTHING",
);
const UPDATE: Sql = Sql::both(
    "UPDATE cas SET name = $2, plugin_ca_id = $3, description = $4, updated_at = $5 WHERE id = $1 \
     AND (name <> $2 OR plugin_ca_id <> $3 OR COALESCE(description, '') <> COALESCE($4, ''))",
);
const NAMED: Sql = Sql::both("SELECT id, plugin FROM cas WHERE name = $1 AND project IS NULL");
const FIND: Sql = Sql::both("SELECT id, plugin FROM cas WHERE id = $1 AND project IS NULL");
const OPERATION: &str = "register CA";

/// A CA as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// Its configured id; the name decides where there is none.
    pub id: Option<CaId>,
    /// Its name.
    pub name: String,
    /// The kind of its plugin; never changes.
    pub plugin: String,
    /// How the plugin calls it.
    pub plugin_ca_id: String,
    /// What it is for.
    pub description: Option<String>,
}

/// The permanent id of a configured CA. The configured id wins, and gives its CA the configured name; without one
/// the name decides, and a name that is new gets a fresh id.
///
/// # Errors
/// `Conflict` if the name belongs to another id, or the id or name to a CA of another kind; `Unavailable`.
pub async fn register<C: ConnectionTrait>(tx: &C, ca: &Configured, now: DateTime<Utc>) -> Result<CaId, Error> {
    let now = now.trunc_subsecs(6);
    let named = find(tx, &NAMED, ca.name.as_str().into()).await?;
    let id = match (ca.id, named) {
        (Some(id), Some((named, _))) if id != named => {
            return Err(contradiction(format!("the name {} belongs to CA {named}, not to {id}", ca.name)));
        }
        (Some(id), _) | (None, Some((id, _))) => id,
        (None, None) => CaId::new(),
    };
    let (key, description) = (id.uuid(), ca.description.as_deref());
    let (name, plugin, plugin_ca_id) = (ca.name.as_str(), ca.plugin.as_str(), ca.plugin_ca_id.as_str());
    let values = [key.into(), name.into(), plugin.into(), plugin_ca_id.into(), description.into(), now.into()];
    tx.execute_raw(INSERT.with(tx, values)).await.explain(OPERATION)?;
    match find(tx, &FIND, key.into()).await? {
        Some((_, known)) if known == plugin => {}
        Some((_, known)) => return Err(contradiction(format!("CA {id} ({name}) is of kind {known}, not {plugin}"))),
        None => return Err(contradiction(format!("CA {id} is one that a project has made"))),
    }
    let values = [key.into(), name.into(), plugin_ca_id.into(), description.into(), now.into()];
    tx.execute_raw(UPDATE.with(tx, values)).await.explain(OPERATION)?;
    Ok(id)
}

const FIND_BELOW: Sql = Sql::both("SELECT parent_id, name FROM cas WHERE id = $1 AND parent_id IS NOT NULL");

/// Which CA a project's is below, and what it is called; of whichever project: what is told of it is public.
///
/// # Errors
/// `Unavailable`.
pub async fn find_below<C: ConnectionTrait>(connection: &C, id: CaId) -> Result<Option<(CaId, String)>, Error> {
    find_pair(connection, &FIND_BELOW, id.uuid().into(), "find CA").await
}

async fn find<C: ConnectionTrait>(tx: &C, sql: &Sql, value: Value) -> Result<Option<(CaId, String)>, Error> {
    find_pair(tx, sql, value, OPERATION).await
}

async fn find_pair<C: ConnectionTrait>(
    connection: &C,
    sql: &Sql,
    value: Value,
    operation: &'static str,
) -> Result<Option<(CaId, String)>, Error> {
    let Some(row) = connection.query_one_raw(sql.with(connection, [value])).await.explain(operation)? else {
        return Ok(None);
    };
    let mut cells = Cells::of(&row);
    let id: Uuid = cells.take().explain(operation)?;
    Ok(Some((id.into(), cells.take().explain(operation)?)))
}

fn contradiction(detail: String) -> Error {
    Error::new(ErrorKind::Conflict, OPERATION, detail)
}
