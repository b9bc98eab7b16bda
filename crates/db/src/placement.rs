//! Where a payload lies.

use bailey_core::ids::{MasterKeyId, StoreId, WriteId};
use bailey_core::spec::ContentType;
use bailey_sql::Cells;
use sea_orm::prelude::Uuid;
use sea_orm::{DbErr, Value};

/// Where a secret's payload lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The store that holds it.
    pub store: StoreId,
    /// The attempt that placed it there.
    pub write: WriteId,
    /// The store's reference, sealed.
    pub reference: Vec<u8>,
    /// The version of the worker key it is sealed under.
    pub key: MasterKeyId,
    /// The payload's content type; `None` for what an order made without one.
    pub content_type: Option<ContentType>,
}

/// Reads `write_id, store_id, reference, reference_key`.
pub(crate) fn read(cells: &mut Cells<'_>, content_type: Option<ContentType>) -> Result<Option<Placement>, DbErr> {
    let write = cells.take::<Option<Uuid>>()?;
    let store = cells.take::<Option<Uuid>>()?;
    let reference = cells.take::<Option<Vec<u8>>>()?;
    let key = cells.take::<Option<Uuid>>()?;
    match (write, store, reference, key) {
        (None, None, None, None) if content_type.is_none() => Ok(None),
        (Some(write), Some(store), Some(reference), Some(key)) => {
            Ok(Some(Placement { store: store.into(), write: write.into(), reference, key: key.into(), content_type }))
        }
        _ => Err(DbErr::Type("half a placement".to_owned())),
    }
}

/// Values for `write_id, store_id, reference, reference_key, content_type`.
pub(crate) fn values(placement: Option<&Placement>) -> [Value; 5] {
    [
        placement.map(|placement| placement.write.uuid()).into(),
        placement.map(|placement| placement.store.uuid()).into(),
        placement.map(|placement| placement.reference.clone()).into(),
        placement.map(|placement| placement.key.uuid()).into(),
        placement.and_then(|placement| placement.content_type).map(ContentType::as_str).into(),
    ]
}
