//! What a client gave an order to work with: placed in a store as a payload is, until the order's product
//! takes it over or the order ends without one.

use bailey_core::ids::{OrderId, ProjectId, SecretId};
use bailey_core::secret::Secret;
use bailey_core::store::Place;
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;
use sea_orm::prelude::Uuid;

use super::Fence;
use crate::counter;
use crate::placement::{self, Placement};
use crate::reference_key::{not_retired, retired};
use crate::secret::{self, condemned};

/// An input and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The secret that it is to become.
    pub secret: SecretId,
    /// Where it lies.
    pub placement: Placement,
}

const INSERT_WRITE: Sql = Sql::both("INSERT INTO writes (write_id, state) VALUES ($1, 'live')");
const INSERT: Sql = Sql::both(concat!(
    "INSERT INTO order_inputs (order_id, name, project, secret_id, write_id, store_id, reference, reference_key, \
     content_type) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE ",
    not_retired!("$8")
));

/// Gives an order an input, under a name of its own.
///
/// # Errors
/// `Condemned` if the write was condemned meanwhile, `Retired` if the version of the worker key was given up:
/// nothing of the transaction may be committed. `Unavailable`.
pub async fn insert_input<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    order: OrderId,
    name: &'static str,
    input: &Input,
) -> Result<(), Error> {
    let write = [input.placement.write.uuid().into()];
    tx.execute_raw(INSERT_WRITE.with(tx, write)).await.explain("insert write").map_err(condemned)?;
    let key = [order.uuid().into(), name.into(), project.as_str().into(), input.secret.uuid().into()];
    let values = key.into_iter().chain(placement::values(Some(&input.placement)));
    let inserted = tx.execute_raw(INSERT.with(tx, values)).await.explain("insert order input")?;
    if inserted.rows_affected() == 0 { Err(retired("insert order input")) } else { Ok(()) }
}

const FIND: Sql = Sql::both(
    "SELECT secret_id, content_type, write_id, store_id, reference, reference_key FROM order_inputs \
     WHERE order_id = $1 AND project = $2 AND name = $3",
);

/// An order's input of this name.
///
/// # Errors
/// `Unavailable`.
pub async fn find_input<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    order: OrderId,
    name: &'static str,
) -> Result<Option<Input>, Error> {
    let values = [order.uuid().into(), project.as_str().into(), name.into()];
    let row = connection.query_one_raw(FIND.with(connection, values)).await.explain("find order input")?;
    let Some(row) = row else { return Ok(None) };
    let mut cells = Cells::of(&row);
    let mut read = || {
        let secret = cells.take::<Uuid>()?.into();
        let content_type = cells.parse_some()?;
        Ok(placement::read(&mut cells, content_type)?.map(|placement| Input { secret, placement }))
    };
    read().explain("find order input")
}

const FIND_AT: Sql = Sql::both(
    "SELECT order_id, content_type, write_id, store_id, reference, reference_key FROM order_inputs \
     WHERE write_id = $1 AND secret_id = $2 AND project = $3",
);

/// The input that refers to these bytes, with its order.
///
/// # Errors
/// `Unavailable`.
pub async fn find_input_at<C: ConnectionTrait>(
    connection: &C,
    place: &Place,
) -> Result<Option<(OrderId, Placement)>, Error> {
    let values = [place.write.uuid().into(), place.secret.uuid().into(), place.project.as_str().into()];
    let row = connection.query_one_raw(FIND_AT.with(connection, values)).await.explain("find order input")?;
    let Some(row) = row else { return Ok(None) };
    let mut cells = Cells::of(&row);
    let mut read = || {
        let order = cells.take::<Uuid>()?.into();
        let content_type = cells.parse_some()?;
        Ok(placement::read(&mut cells, content_type)?.map(|placement| (order, placement)))
    };
    read().explain("find order input")
}

const ADOPT: Sql = Sql::both(
    "INSERT INTO secrets (id, project, creator, name, secret_type, algorithm, bit_length, mode, expires_at, \
     created_at, updated_at, write_id, store_id, reference, reference_key, content_type) \
     SELECT secret_id, project, $4, $5, $6, $7, $8, $9, $10, $11, $12, write_id, store_id, reference, reference_key, \
     content_type FROM order_inputs WHERE order_id = $1 AND project = $2 AND name = $3",
);
const REMOVE: Sql = Sql::both("DELETE FROM order_inputs WHERE order_id = $1 AND project = $2 AND name = $3");

/// Makes an input the payload of a secret of the order's product. Its write stays as it is.
///
/// # Errors
/// `NotFound` if there is no such input: nothing of the transaction may be committed. `Unavailable`.
pub async fn adopt_input<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    name: &'static str,
    adopted: &Secret,
) -> Result<(), Error> {
    let key = || [fence.order.uuid().into(), fence.project.as_str().into(), name.into()];
    let values = key().into_iter().chain(secret::values(adopted));
    lock(tx, &fence.project, fence.order).await?;
    let inserted = tx.execute_raw(ADOPT.with(tx, values)).await.explain("adopt order input")?;
    if inserted.rows_affected() == 0 {
        return Err(Error::new(ErrorKind::NotFound, "adopt order input", ""));
    }
    tx.execute_raw(REMOVE.with(tx, key())).await.explain("adopt order input")?;
    counter::add(tx, &fence.project, "secret", 1).await
}

const DESTROY_LATER: Sql = Sql::both(
    "INSERT INTO deletions (write_id, store_id, project, secret_id, reference, reference_key, attempts, \
     next_attempt_at) SELECT write_id, store_id, project, secret_id, reference, reference_key, 0, $3 \
     FROM order_inputs WHERE order_id = $1 AND project = $2",
);
const BURY: Sql = Sql::both(
    "UPDATE writes SET state = 'dead' \
     WHERE write_id IN (SELECT write_id FROM order_inputs WHERE order_id = $1 AND project = $2)",
);
const REMOVE_ALL: Sql = Sql::both("DELETE FROM order_inputs WHERE order_id = $1 AND project = $2");
const LOCK: Sql = Sql {
    sqlite: "SELECT name FROM order_inputs WHERE order_id = $1 AND project = $2",
    postgres: "SELECT name FROM order_inputs WHERE order_id = $1 AND project = $2 FOR UPDATE",
};

/// Makes the statements after it see one and the same row: a reference may be sealed anew this moment.
async fn lock<C: ConnectionTrait>(tx: &C, project: &ProjectId, order: OrderId) -> Result<(), Error> {
    let key = [order.uuid().into(), project.as_str().into()];
    tx.query_all_raw(LOCK.with(tx, key)).await.explain("lock order inputs")?;
    Ok(())
}

/// Turns an order's inputs into deletions. The caller has locked the order's row.
pub(super) async fn destroy<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    order: OrderId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let key = || [order.uuid().into(), project.as_str().into()];
    lock(tx, project, order).await?;
    let later = key().into_iter().chain([now.trunc_subsecs(6).into()]);
    tx.execute_raw(DESTROY_LATER.with(tx, later)).await.explain("delete order inputs")?;
    for sql in [BURY, REMOVE_ALL] {
        tx.execute_raw(sql.with(tx, key())).await.explain("delete order inputs")?;
    }
    Ok(())
}
