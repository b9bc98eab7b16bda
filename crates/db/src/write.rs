//! What became of attempts to place bytes.
//!
//! A write id is inserted once: as `live` by whoever commits a secret that refers to its bytes, or as
//! `condemned` by whoever wants to destroy them. The other one comes second on the key, and loses.

use std::collections::HashMap;

use bailey_core::ids::WriteId;
use bailey_sql::{Error, Explain, Sql};
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::entity::writes::{Column, Entity};

/// State of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteState {
    /// A secret refers to its bytes.
    Live,
    /// A secret did; its bytes are being destroyed.
    Dead,
    /// No secret ever may.
    Condemned,
}

/// Whether a write's bytes may be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condemned {
    /// No secret refers to them, nor ever will.
    Yes,
    /// A secret does.
    Live,
}

const CONDEMN: Sql =
    Sql::both("INSERT INTO writes (write_id, state) VALUES ($1, 'condemned') ON CONFLICT (write_id) DO NOTHING");

/// Makes sure that no secret will ever refer to a write's bytes, unless one does already. Once this is
/// committed, they may be destroyed. Condemned writes stay recorded for good.
///
/// # Errors
/// `Unavailable`.
pub async fn condemn<C: ConnectionTrait>(tx: &C, write: WriteId) -> Result<Condemned, Error> {
    let inserted = tx.execute_raw(CONDEMN.with(tx, [write.uuid().into()])).await.explain("condemn write")?;
    if inserted.rows_affected() > 0 {
        return Ok(Condemned::Yes);
    }
    match states(tx, &[write]).await?.get(&write) {
        Some(WriteState::Live) => Ok(Condemned::Live),
        // A dead write that is gone by now was destroyed already.
        Some(WriteState::Dead | WriteState::Condemned) | None => Ok(Condemned::Yes),
    }
}

/// The states of these writes; unknown ones are not among them.
///
/// # Errors
/// `Unavailable`.
pub async fn states<C: ConnectionTrait>(
    connection: &C,
    writes: &[WriteId],
) -> Result<HashMap<WriteId, WriteState>, Error> {
    let mut states = HashMap::with_capacity(writes.len());
    for chunk in writes.chunks(500) {
        let ids: Vec<Uuid> = chunk.iter().map(|write| write.uuid()).collect();
        let rows = Entity::find().filter(Column::WriteId.is_in(ids)).all(connection).await.explain("find writes")?;
        for row in rows {
            states.insert(row.write_id.into(), read(&row.state).explain("find writes")?);
        }
    }
    Ok(states)
}

fn read(state: &str) -> Result<WriteState, DbErr> {
    match state {
        "live" => Ok(WriteState::Live),
        "dead" => Ok(WriteState::Dead),
        "condemned" => Ok(WriteState::Condemned),
        _ => Err(DbErr::Type("not a state of a write".to_owned())),
    }
}
