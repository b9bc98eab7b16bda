//! Transport keys: their public halves. They belong to no project.

use bailey_core::ids::{MasterKeyId, StoreId, TransportKeyId};
use bailey_core::secret::Page;
use bailey_core::transport_key::{Origin, TransportKey, TransportKeyQuery};
use bailey_sql::{Error, Explain, Sql};
use chrono::SubsecRound;
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::entity::transport_keys::{Column, Entity, Model};

impl From<Model> for TransportKey {
    fn from(row: Model) -> Self {
        let origin = row.store_id.zip(row.worker_key);
        Self {
            id: row.id.into(),
            plugin_name: row.plugin_name,
            text: row.transport_key,
            origin: origin.map(|(store, key)| Origin { store: store.into(), worker_key: key.into() }),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

const INSERT: Sql = Sql::both(
    "INSERT INTO transport_keys (id, plugin_name, transport_key, store_id, worker_key, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (store_id, worker_key) DO NOTHING",
);
const DELETE: Sql = Sql::both("DELETE FROM transport_keys WHERE id = $1");
const DELETE_UNDER: Sql = Sql::both("DELETE FROM transport_keys WHERE worker_key = $1");
const RENAME: Sql = Sql::both("UPDATE transport_keys SET plugin_name = $2 WHERE store_id = $1 AND plugin_name <> $2");

/// Inserts a key, unless its store has one of the same version of the worker key; whether it did.
///
/// # Errors
/// `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, key: &TransportKey) -> Result<bool, Error> {
    let values = [
        key.id.uuid().into(),
        key.plugin_name.as_str().into(),
        key.text.as_str().into(),
        key.origin.map(|origin| origin.store.uuid()).into(),
        key.origin.map(|origin| origin.worker_key.uuid()).into(),
        key.created_at.trunc_subsecs(6).into(),
        key.updated_at.trunc_subsecs(6).into(),
    ];
    let inserted = tx.execute_raw(INSERT.with(tx, values)).await.explain("insert transport key")?;
    Ok(inserted.rows_affected() > 0)
}

/// One key.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(connection: &C, id: TransportKeyId) -> Result<Option<TransportKey>, Error> {
    let row = Entity::find_by_id(id.uuid()).one(connection).await.explain("find transport key")?;
    Ok(row.map(TransportKey::from))
}

/// The key of this origin.
///
/// # Errors
/// `Unavailable`.
pub async fn find_of<C: ConnectionTrait>(connection: &C, origin: Origin) -> Result<Option<TransportKey>, Error> {
    let query = Entity::find()
        .filter(Column::StoreId.eq(origin.store.uuid()))
        .filter(Column::WorkerKey.eq(origin.worker_key.uuid()));
    let row = query.one(connection).await.explain("find transport key of store")?;
    Ok(row.map(TransportKey::from))
}

/// Part of the list, by creation.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    query: &TransportKeyQuery,
) -> Result<Page<TransportKeyId>, Error> {
    let mut matching = Entity::find();
    if let Some(name) = &query.plugin_name {
        matching = matching.filter(Column::PluginName.eq(name.as_str()));
    }
    let total = matching.clone().count(connection).await.explain("count transport keys")?;
    let page = matching
        .select_only()
        .column(Column::Id)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .offset(query.page.offset)
        .limit(query.page.limit);
    let ids: Vec<Uuid> = page.into_tuple().all(connection).await.explain("list transport keys")?;
    Ok(Page { items: ids.into_iter().map(TransportKeyId::from).collect(), total })
}

/// Deletes a key; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, id: TransportKeyId) -> Result<bool, Error> {
    let deleted = tx.execute_raw(DELETE.with(tx, [id.uuid().into()])).await.explain("delete transport key")?;
    Ok(deleted.rows_affected() > 0)
}

/// Deletes every key that is derived from this version of the worker key; how many there were.
///
/// # Errors
/// `Unavailable`.
pub async fn delete_under<C: ConnectionTrait>(tx: &C, key: MasterKeyId) -> Result<u64, Error> {
    let deleted = tx.execute_raw(DELETE_UNDER.with(tx, [key.uuid().into()])).await.explain("delete transport keys")?;
    Ok(deleted.rows_affected())
}

/// Gives the keys of a store its name.
///
/// # Errors
/// `Unavailable`.
pub async fn rename<C: ConnectionTrait>(tx: &C, store: StoreId, name: &str) -> Result<(), Error> {
    tx.execute_raw(RENAME.with(tx, [store.uuid().into(), name.into()])).await.explain("rename transport keys")?;
    Ok(())
}
