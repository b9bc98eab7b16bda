//! Secret stores by their permanent ids.

use bailey_core::ids::StoreId;
use bailey_sql::{Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::entity::stores::{Column, Entity, Model};

/// A store that secrets may lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Its permanent id.
    pub id: StoreId,
    /// Its name: a label that may change.
    pub name: String,
    /// Its kind; never changes.
    pub kind: String,
    /// When it was first registered.
    pub created_at: DateTime<Utc>,
    /// When its name last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<Model> for Store {
    fn from(row: Model) -> Self {
        // A store without times hasn't been configured since stores have them.
        let (created_at, updated_at) = (row.created_at.unwrap_or_default(), row.updated_at.unwrap_or_default());
        Self { id: row.id.into(), name: row.name, kind: row.kind, created_at, updated_at }
    }
}

const INSERT: Sql = Sql::both(
    "INSERT INTO stores (id, name, kind, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING",
);
const RENAME: Sql = Sql::both("UPDATE stores SET name = $2, updated_at = $3 WHERE id = $1");
const DATE: Sql = Sql::both("UPDATE stores SET created_at = $2, updated_at = $2 WHERE id = $1 AND created_at IS NULL");

/// The permanent id of a configured store. The configured id wins, and gives its store the configured
/// name; without one the name decides, and a name that is new gets a fresh id.
///
/// # Errors
/// `Conflict` if the name belongs to another id, or the id or name to a store of another kind;
/// `Unavailable`.
pub async fn register<C: ConnectionTrait>(
    tx: &C,
    name: &str,
    kind: &str,
    id: Option<StoreId>,
    now: DateTime<Utc>,
) -> Result<StoreId, Error> {
    let now = now.trunc_subsecs(6);
    let fresh = id.unwrap_or_else(StoreId::new);
    let values = [fresh.uuid().into(), name.into(), kind.into(), now.into()];
    tx.execute_raw(INSERT.with(tx, values)).await.explain("register store")?;

    let named = Entity::find().filter(Column::Name.eq(name)).one(tx).await.explain("find store by name")?;
    let store = match (id, named) {
        (None, Some(named)) => named,
        (Some(id), Some(named)) if named.id == id.uuid() => named,
        (Some(id), Some(named)) => {
            return Err(contradiction(format!("the name {name} belongs to store {}, not to {id}", named.id)));
        }
        (Some(id), None) => rename(tx, id, name, now).await?,
        (None, None) => return Err(contradiction(format!("store {name} is gone again"))),
    };
    if store.kind != kind {
        return Err(contradiction(format!("store {} ({name}) is of kind {}, not {kind}", store.id, store.kind)));
    }
    tx.execute_raw(DATE.with(tx, [store.id.into(), now.into()])).await.explain("date store")?;
    Ok(store.id.into())
}

async fn rename<C: ConnectionTrait>(tx: &C, id: StoreId, name: &str, now: DateTime<Utc>) -> Result<Model, Error> {
    tx.execute_raw(RENAME.with(tx, [id.uuid().into(), name.into(), now.into()])).await.explain("rename store")?;
    let store = Entity::find_by_id(id.uuid()).one(tx).await.explain("find store")?;
    store.ok_or_else(|| contradiction(format!("store {name} is gone again")))
}

fn contradiction(detail: String) -> Error {
    Error::new(ErrorKind::Conflict, "register store", detail)
}

/// A store that was ever registered.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(connection: &C, id: StoreId) -> Result<Option<Store>, Error> {
    let row = Entity::find_by_id(id.uuid()).one(connection).await.explain("find store")?;
    Ok(row.map(Store::from))
}

/// All stores that were ever registered, by name.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(connection: &C) -> Result<Vec<Store>, Error> {
    let rows = Entity::find().order_by_asc(Column::Name).all(connection).await.explain("list stores")?;
    Ok(rows.into_iter().map(Store::from).collect())
}
